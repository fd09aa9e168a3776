//! Every query that the stores make is served by an index: the server's profiler writes down all that they ask of a
//! seeded database, and each is explained. A collection scan or a sort in memory fails.
//! Always holds: no call is forgotten. Each says its name as it is made, and the names in the sources of the stores are
//! those that were heard here; a new one fails until it is asked below.

mod asked;
mod call_names;
mod profile;

use std::collections::BTreeSet;
use std::sync::PoisonError;

use bson::{Bson, Document, doc};
use domain::ids::{EnvironmentName, SubjectId};
use futures_util::stream::{self, StreamExt};
use orrery::view::contract::{Columns, Document as Shown, JobColumns, JobQuery, JobSort, View};
use orrery_testing::view::every_job;
use uuid::Uuid;

use self::asked::{ask_the_event_store, ask_the_view, seed};
use self::call_names::{Heard, named_in_the_sources};
use self::profile::{profile_all, profiled, scans_and_sorts, shape, wrong};
use super::Database;
use crate::storage::samples::{NOW, job, namespace};

pub(super) fn columns(name: &str) -> JobColumns {
    JobColumns {
        name: name.to_owned(),
        status: "running",
        job_type: Some("build".to_owned()),
        environment: "gpu".to_owned(),
        parent_job_id: Some(Uuid::from_u128(77)),
        triggered_by: Some("cron".to_owned()),
        error_class: Some("timeout.attempt".to_owned()),
        priority: 5,
        tags: vec!["a".to_owned(), "b".to_owned()],
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(super) fn plain() -> JobQuery {
    JobQuery { page_size: 5, ..every_job(namespace("default")) }
}

fn shown(number: u128, columns: JobColumns) -> Shown {
    let columns = Columns::Job(Box::new(columns));
    Shown { subject: job(number), seq: 2, columns, body: "{}".into(), nodes: Vec::new() }
}

fn environment(name: &str, seq: u64) -> Shown {
    let parsed = EnvironmentName::parse(name).expect("a name");
    let subject = SubjectId::environment(namespace("default"), &parsed);
    Shown {
        subject,
        seq,
        columns: Columns::Named { name: name.to_owned() },
        body: "{}".into(),
        nodes: Vec::new(),
    }
}

/// Every combination of filters, each in every order.
fn combinations() -> Vec<JobQuery> {
    let some = |yes: bool, text: &str| yes.then(|| text.to_owned());
    let mut all = Vec::new();
    for bits in 0..1_u32 << 9 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        for statuses in [vec![], vec!["failed"], vec!["failed", "running"]] {
            for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
                all.push(JobQuery {
                    statuses: statuses.clone(),
                    job_type: some(has(0), "build"),
                    tag: some(has(1), "a"),
                    name_prefix: some(has(2), "job-"),
                    environment: some(has(3), "gpu"),
                    parent_job_id: has(4).then(|| Uuid::from_u128(77)),
                    triggered_by: some(has(5), "cron"),
                    error_class: some(has(6), "timeout.attempt"),
                    created_after: has(7).then_some(NOW - 5),
                    created_before: has(8).then_some(NOW + 50_000),
                    sort,
                    descending: all.len() % 2 == 0,
                    ..plain()
                });
            }
        }
    }
    all
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn no_combination_of_filters_and_orders_scans_or_sorts() {
    let database = Database::fresh().await;
    let view = database.view();
    let documents = (1..=12).map(|number| shown(number, columns(&format!("job-{number}"))));
    view.flush(documents.collect()).await.expect("flushed");
    profile_all(&database).await;
    let all = combinations();
    let asked = all.len() as u64;
    let pages = stream::iter(all)
        .map(|query| async { view.jobs(query).await.map(|page| page.next.is_some()) })
        .buffer_unordered(8)
        .filter_map(|page| async { page.ok() })
        .collect::<Vec<_>>();
    assert_eq!(pages.await.len() as u64, asked);
    database.connection.database().run_command(doc! { "profile": 0 }).await.expect("no more");
    assert_eq!(scans_and_sorts(&database).await, (0, 0));
    let profile = database.connection.database().collection::<Document>("system.profile");
    let through = doc! { "planSummary": { "$regex": "^IXSCAN" } };
    let through = profile.count_documents(through).await.expect("a count");
    assert!(through >= 2 * asked, "{through} of {asked}");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn every_query_goes_through_an_index_that_finds_and_orders() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let database = Database::fresh().await;
    let mongo = database.connection.database().clone();
    seed(&database).await;
    let heard = Heard::default();
    let listening =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(heard.clone()));
    profile_all(&database).await;
    // Another test, which listens to nothing, may be the first to make a call: what it found is looked up anew.
    database.event_store().await;
    tracing::callsite::rebuild_interest_cache();
    // A store of before leases were authenticated, which gets its key when it is opened next.
    let unset = doc! { "$unset": { "lease_key": "" } };
    let meta = mongo.collection::<Document>("meta");
    meta.update_one(doc! { "_id": "store" }, unset).await.expect("a store without a key");
    ask_the_event_store(&database).await;
    ask_the_view(&database).await;
    let jobs = mongo.collection::<Document>("jobs");
    jobs.find(doc! { "body": "x" }).await.expect("a planted scan");
    mongo.run_command(doc! { "profile": 0 }).await.expect("no more profiling");
    // It empties the view, for which it goes through all of it.
    database.view().adopt("another", false).await.expect("emptied");
    drop(listening);
    let heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let named = named_in_the_sources();
    assert!(named.len() > 40, "{named:?}");
    let unasked: Vec<_> = named.difference(&heard).collect();
    assert!(unasked.is_empty(), "ask these too: {unasked:?}");

    let entries = profiled(&database).await;
    let (mut broken, mut seen, mut shapes) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for entry in &entries {
        let namespace = entry.get_str("ns").unwrap_or_default().to_owned();
        let operation = entry.get_str("op").unwrap_or_default().to_owned();
        if namespace.ends_with("system.profile") {
            continue;
        }
        let plan = entry.get_str("planSummary").unwrap_or_default().to_owned();
        let command = entry.get_document("command").cloned().unwrap_or_default();
        let alike = (plan, operation.clone(), shape(&Bson::Document(command)));
        seen.insert((namespace.clone(), operation));
        if shapes.insert((namespace, alike)) {
            broken.extend(wrong(&database, entry).await);
        }
    }
    assert!(entries.len() > 300 && seen.len() > 15, "{} {seen:?}", entries.len());
    assert_eq!(broken.len(), 1, "only the planted one: {broken:#?}");
    assert!(broken[0].contains("COLLSCAN") && broken[0].contains("\"x\""), "{broken:?}");
    database.end().await;
}
