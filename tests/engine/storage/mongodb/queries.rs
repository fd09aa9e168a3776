//! Every query that the stores make is served by an index: the server's profiler writes down all that they ask of a
//! seeded database, and each is explained. A collection scan or a sort in memory fails.
//! Always holds: no call is forgotten. Each says its name as it is made, and the names in the sources of the stores are
//! those that were heard here; a new one fails until it is asked below.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use domain::ids::{EnvironmentName, SubjectId, SubjectKind};
use futures_util::stream::{self, StreamExt};
use orrery::environment::SimulatedClock;
use orrery::environment::mongodb::{Lock, MongoConnection, SubjectKey};
use orrery::event_store::contract::{
    AppendNotice, EventStore, PayloadSweep, Snapshot, Tombstone, WakeUpMove,
};
use orrery::event_store::mongodb::MongoEventStore;
use orrery::view::contract::{
    Columns, Document as Shown, JobColumns, JobQuery, JobSort, PageStart, TOTAL_COUNTED_MAX, View,
};
use uuid::Uuid;

use super::Database;
use crate::harness::one::One as _;
use crate::storage::samples::{NOW, append, fill, item, item_of, job, namespace, payload, record};

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
    JobQuery {
        namespace: namespace("default"),
        statuses: Vec::new(),
        job_type: None,
        tag: None,
        name_prefix: None,
        environment: None,
        parent_job_id: None,
        triggered_by: None,
        error_class: None,
        created_after: None,
        created_before: None,
        sort: JobSort::CreatedAt,
        descending: false,
        start: PageStart::Page(1),
        page_size: 5,
    }
}

/// Each filter alone, all together, and none; for many jobs and for few.
fn filtered() -> Vec<JobQuery> {
    let some = |text: &str| Some(text.to_owned());
    let of = |job_type: &str| {
        let id = if job_type == "build" { 77 } else { 78 };
        vec![
            JobQuery { statuses: vec!["running"], job_type: some(job_type), ..plain() },
            JobQuery { statuses: vec!["failed", "running"], job_type: some(job_type), ..plain() },
            JobQuery { job_type: some(job_type), ..plain() },
            JobQuery { parent_job_id: Some(Uuid::from_u128(id)), tag: some("a"), ..plain() },
        ]
    };
    let mut all = vec![
        plain(),
        JobQuery { statuses: vec!["failed"], ..plain() },
        JobQuery { statuses: vec!["failed", "running"], ..plain() },
        JobQuery { tag: some("a"), ..plain() },
        JobQuery { name_prefix: some("job-1"), ..plain() },
        JobQuery { name_prefix: some("job-12"), statuses: vec!["running"], ..plain() },
        JobQuery { environment: some("gpu"), ..plain() },
        JobQuery { environment: some("default"), ..plain() },
        JobQuery { triggered_by: some("cron"), ..plain() },
        JobQuery { error_class: some("timeout.attempt"), ..plain() },
        JobQuery { created_after: Some(NOW + 3), created_before: Some(NOW + 50), ..plain() },
        JobQuery { tag: some("a"), created_after: Some(NOW + 3), ..plain() },
    ];
    all.extend(of("build"));
    all.extend(of("test"));
    all
}

async fn seed(database: &Database) {
    let (store, view) = (database.event_store().await, database.view());
    for number in 1..=200 {
        fill(&store, &job(number), 3).await;
    }
    let many = i64::try_from(TOTAL_COUNTED_MAX).expect("small") + 50;
    let documents: Vec<Shown> = (1..=many)
        .map(|number| {
            let mut columns = columns(&format!("job-{number}"));
            columns.created_at += number / 3;
            columns.updated_at -= number / 5;
            columns.priority = u8::try_from(number % 10 + 1).expect("small");
            if number % 50 == 0 {
                columns.job_type = Some("test".to_owned());
                columns.status = "failed";
                columns.parent_job_id = Some(Uuid::from_u128(78));
                "default".clone_into(&mut columns.environment);
            }
            shown(u128::try_from(number).expect("positive"), columns)
        })
        .collect();
    for part in documents.chunks(1_000) {
        view.flush(part.to_vec()).await.expect("flushed");
    }
    let environments = (1..=20).map(|number| environment(&format!("env-{number}"), 1)).collect();
    view.flush(environments).await.expect("flushed");
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

async fn ask_the_event_store(database: &Database) {
    // It knows no heads, so that it must look.
    let clock = SimulatedClock::at(NOW);
    let connection = MongoConnection::open(&database.uri, Arc::new(clock.clone())).await;
    let store = MongoEventStore::open(connection.expect("a connection"), "store-a").await;
    let store = store.expect("a store");
    store.info().await.expect("info");
    // The newest time is written now and then only.
    clock.advance(Duration::from_secs(5));
    for first in [4, 9] {
        append(&store, item(&job(1), first)).await;
    }
    let mut create = item(&job(900), 1);
    create.payloads.push(payload("large"));
    append(&store, create.clone()).await;
    append(&store, create).await;
    let mut rival = item_of(&job(900), record(1, 1, 5, 0));
    rival.payloads.push(payload("refused"));
    append(&store, rival).await;
    for from in [1, 2, 3, 5] {
        store.read(&job(1), from, usize::MAX).await.expect("a part");
    }
    let group = job(1).group();
    store.live(group, NOW, None, 10).await.expect("marks");
    store.live(group, NOW, Some(job(1)), 10).await.expect("marks");
    store.subjects(group, None, 10).await.expect("subjects");
    store.subjects(group, Some(job(1)), 10).await.expect("subjects");
    store.mark(&job(1)).await.expect("an answer");
    let move_to = |number, expected| WakeUpMove { subject: job(number), expected, due: None };
    store.move_marks(vec![move_to(2, 1), move_to(3, 1)]).await.expect("moved");
    store.move_marks(vec![move_to(4, 1), move_to(5, 7)]).await.expect("moved in part");
    let notice = vec![AppendNotice { subject: job(1), seq: 3 }];
    store.write_notices(notice.clone()).await.expect("noticed");
    store.notices(group).await.expect("append_notices");
    store.clear_notices(notice).await.expect("cleared");
    store.payloads(&job(900), &[payload("large").hash, [1; 32]]).await.expect("payloads");
    let snapshot = |seq| Snapshot { seq, hash: [1; 32], body: b"{}"[..].into() };
    for seq in [2, 3, 1] {
        store.save_snapshot(&job(1), snapshot(seq)).await.expect("kept");
    }
    store.snapshot(&job(1)).await.expect("a snapshot");
    let stone = Tombstone { count: 3, hash: [2; 32], first_answer: b"{}".to_vec() };
    for number in [6, 7] {
        store.delete(&job(number), 3, stone.clone(), NOW).await.expect("deleted");
    }
    store.read(&job(6), 2, usize::MAX).await.expect("a part");
    append(&store, item(&job(7), 1)).await;
    late_marks_and_strange_ones(database, &store).await;
    let mut later = item(&job(902), 1);
    later.record.at = NOW + 1_000;
    append(&store, later).await;
    let bytes = |bytes: Vec<u8>| bson::Binary { subtype: BinarySubtype::Generic, bytes };
    let mut id = SubjectKey(&job(1)).document();
    id.extend(doc! { "h": bytes(vec![1; 32]), "w": bytes(vec![1; 16]) });
    let unnamed = doc! { "_id": id, "at": bson::DateTime::from_millis(NOW), "body": "{}" };
    let payloads = database.connection.database().collection::<Document>("payloads");
    payloads.insert_one(unnamed).await.expect("inserted");
    for max in [1, 10] {
        store.sweep(NOW + 10_000, max).await.expect("swept");
    }
}

async fn late_marks_and_strange_ones(database: &Database, store: &MongoEventStore) {
    let events = database.connection.database().collection::<Document>("events");
    let mark = |id: Document, due| {
        doc! { "_id": id, "group": 7, "due": bson::DateTime::from_millis(due), "number": 1_i64 }
    };
    let late = mark(SubjectKey(&job(901)).record(0), NOW + 9_000_000);
    events.insert_one(late).await.expect("inserted");
    append(store, item(&job(901), 1)).await;
    events.insert_one(mark(doc! { "k": 77 }, NOW)).await.expect("inserted");
    let group = domain::ids::GroupId::all().nth(7).expect("a group");
    store.live(group, NOW, None, 10).await.expect("marks");
    let right = Lock::take(&database.connection, "test", "me", Duration::from_secs(9)).await;
    let right = right.expect("an answer").expect("the right");
    right.renew().await.expect("an answer");
    right.release().await.expect("let go");
}

async fn ask_the_view(database: &Database) {
    let view = database.view();
    let gone = |number, seq| {
        let columns = Columns::Deleted { keep_until: NOW };
        Shown { subject: job(number), seq, columns, body: "".into(), nodes: Vec::new() }
    };
    view.flush(vec![shown(1, columns("again")), shown(20_000, columns("new"))])
        .await
        .expect("flushed");
    view.flush(vec![Shown { seq: 1, ..shown(1, columns("late")) }]).await.expect("passed over");
    view.flush(vec![gone(2, 9), environment("env-1", 5)]).await.expect("flushed");
    view.get(&job(1)).await.expect("an answer");
    view.named(namespace("default"), SubjectKind::Environment, 2, 5).await.expect("a page");
    for query in filtered() {
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for descending in [false, true] {
                let first = JobQuery { sort, descending, ..query.clone() };
                let page = view.jobs(first.clone()).await.expect("a page");
                if let Some((value, id)) = page.next {
                    let start = PageStart::After { value, id };
                    view.jobs(JobQuery { start, ..first }).await.expect("a page");
                }
            }
        }
    }
}

/// What a profiled operation was, as a command that can be explained.
fn explainable(entry: &Document) -> Option<Document> {
    let (_, collection) = entry.get_str("ns").ok()?.split_once('.')?;
    let command = entry.get_document("command").ok()?;
    match entry.get_str("op").ok()? {
        "update" => Some(doc! { "update": collection, "updates": [command.clone()] }),
        "remove" => Some(doc! { "delete": collection, "deletes": [command.clone()] }),
        _ => {
            let name = command.keys().next()?;
            let known = ["find", "aggregate", "count", "findAndModify", "findandmodify"];
            known.contains(&name.as_str()).then(|| {
                let kept = command.iter().filter(|(field, _)| {
                    !field.starts_with('$')
                        && !["lsid", "txnNumber", "stmtId", "maxTimeMS", "writeConcern"]
                            .contains(&field.as_str())
                });
                kept.map(|(field, value)| (field.clone(), value.clone())).collect()
            })
        }
    }
}

/// The names of all stages in an answer to `explain`.
fn stages(explained: &Bson, found: &mut BTreeSet<String>) {
    match explained {
        Bson::Document(inner) => {
            for (field, value) in inner {
                if field == "rejectedPlans" {
                    continue;
                }
                if let (true, Bson::String(stage)) = (field == "stage", value) {
                    found.insert(stage.clone());
                }
                stages(value, found);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| stages(item, found)),
        _ => {}
    }
}

/// What is wrong with one operation's plan.
async fn wrong(database: &Database, entry: &Document) -> Option<String> {
    let plan = entry.get_str("planSummary").unwrap_or_default();
    if plan.contains("COLLSCAN") || entry.get_bool("hasSortStage").unwrap_or(false) {
        return Some(format!("{plan}: {entry}"));
    }
    let command = explainable(entry)?;
    let explain = doc! { "explain": command, "verbosity": "queryPlanner" };
    let explained = database.connection.database().run_command(explain).await.expect("a plan");
    let mut found = BTreeSet::new();
    stages(&Bson::Document(explained), &mut found);
    let bad = ["COLLSCAN", "SORT", "SORT_KEY_GENERATOR"].iter().any(|stage| found.contains(*stage));
    bad.then(|| format!("{found:?}: {entry}"))
}

async fn profiled(database: &Database) -> Vec<Document> {
    let profile = database.connection.database().collection::<Document>("system.profile");
    let mut cursor = profile.find(doc! {}).sort(doc! { "$natural": 1 }).await.expect("a profile");
    let mut entries = Vec::new();
    while cursor.advance().await.expect("an entry") {
        entries.push(cursor.deserialize_current().expect("an entry"));
    }
    entries
}

/// A query without its values: of those that are alike one is explained.
fn shape(of: &Bson) -> String {
    match of {
        Bson::Document(inner) => {
            let fields = inner.iter().map(|(field, value)| match (field.as_str(), value) {
                // Which index, and in which order.
                ("hint" | "sort", value) => format!("{field}={value}"),
                (_, Bson::String(text)) if field == "find" || field == "aggregate" => text.clone(),
                _ => format!("{field}:{}", shape(value)),
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Bson::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        other => format!("{:?}", other.element_type()),
    }
}

/// The names of the calls that are made while it is set.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "orrery::mongodb" {
            event.record(&mut Names(self.0.clone()));
        }
    }
}

struct Names(Arc<Mutex<BTreeSet<String>>>);

impl tracing::field::Visit for Names {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "what" {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

/// The names of all calls in the sources of the stores and of what they share.
fn named_in_the_sources() -> BTreeSet<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let stores = [format!("{root}/event_store/mongodb"), format!("{root}/view/mongodb")];
    let mut files: Vec<std::path::PathBuf> = stores
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.extend(
        ["lease.rs", "quarantine.rs"]
            .map(|name| std::path::Path::new(root).join("environment/mongodb").join(name)),
    );
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        for call in ["make(", "begin(", "bulk(", "insert(", "documents(", "find(", "change("] {
            for (at, _) in text.match_indices(call) {
                let behind = text[at + call.len()..].trim_start();
                let Some(name) = behind.strip_prefix('"').and_then(|b| b.split('"').next()) else {
                    continue;
                };
                // PeerDirectory are fields of documents: one word, or an operator.
                if name.contains(' ') || ["append_notices", "payloads"].contains(&name) {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

/// Plan summaries of the database's profile that name a scan, and how many entries sorted in memory.
async fn scans_and_sorts(database: &Database) -> (u64, u64) {
    let profile = database.connection.database().collection::<Document>("system.profile");
    let mine = doc! { "$not": { "$regex": "system.profile" } };
    let scans = doc! { "ns": mine.clone(), "planSummary": { "$regex": "COLLSCAN" } };
    let sorts = doc! { "ns": mine, "hasSortStage": true };
    (
        profile.count_documents(scans).await.expect("a count"),
        profile.count_documents(sorts).await.expect("a count"),
    )
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

async fn profile_all(database: &Database) {
    let large = 256_i64 * 1_024 * 1_024;
    let mongo = database.connection.database();
    let made =
        mongo.run_command(doc! { "create": "system.profile", "capped": true, "size": large });
    made.await.expect("room for the profile");
    mongo.run_command(doc! { "profile": 2 }).await.expect("profiling");
}

#[tokio::test]
async fn no_combination_of_filters_and_orders_scans_or_sorts() {
    let Some(database) = Database::fresh().await else { return };
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
async fn every_query_goes_through_an_index_that_finds_and_orders() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let Some(database) = Database::fresh().await else { return };
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
