//! Every query that the stores make is served by an index: the server's profiler writes down all that they ask of a
//! seeded database, and each is explained. A collection scan or a sort in memory fails.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};
use domain::ids::{EnvironmentName, SubjectId, SubjectKind};
use orrery::event_store::contract::{EventStore, MarkMove, Nudge, Snapshot, Tombstone};
use orrery::view::contract::{
    Columns, Document as Shown, JobColumns, JobQuery, JobSort, PageStart, TOTAL_COUNTED_MAX, View,
};
use uuid::Uuid;

use super::Database;
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
    Shown { subject: job(number), seq: 2, columns, body: "{}".into() }
}

fn environment(name: &str, seq: u64) -> Shown {
    let parsed = EnvironmentName::parse(name).expect("a name");
    let subject = SubjectId::environment(namespace("default"), &parsed);
    Shown { subject, seq, columns: Columns::Named { name: name.to_owned() }, body: "{}".into() }
}

async fn ask_the_event_store(database: &Database) {
    // It knows no heads, so that it must look.
    let store = database.event_store().await;
    store.info().await.expect("info");
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
    let move_to = |number, expected| MarkMove { subject: job(number), expected, due: None };
    store.move_marks(vec![move_to(2, 1), move_to(3, 1)]).await.expect("moved");
    store.move_marks(vec![move_to(4, 1), move_to(5, 7)]).await.expect("moved in part");
    let nudge = vec![Nudge { subject: job(1), seq: 3 }];
    store.nudge(nudge.clone()).await.expect("nudged");
    store.nudges(group).await.expect("nudges");
    store.clear_nudges(nudge).await.expect("cleared");
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
}

async fn ask_the_view(database: &Database) {
    let view = database.view();
    let gone = |number, seq| {
        let columns = Columns::Deleted { keep_until: NOW };
        Shown { subject: job(number), seq, columns, body: "".into() }
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

#[tokio::test]
async fn every_query_goes_through_an_index_that_finds_and_orders() {
    let Some(database) = Database::fresh().await else { return };
    let mongo = database.connection.database().clone();
    seed(&database).await;
    let large = 256_i64 * 1_024 * 1_024;
    let made =
        mongo.run_command(doc! { "create": "system.profile", "capped": true, "size": large });
    made.await.expect("room for the profile");
    mongo.run_command(doc! { "profile": 2 }).await.expect("profiling");
    ask_the_event_store(&database).await;
    ask_the_view(&database).await;
    let jobs = mongo.collection::<Document>("jobs");
    jobs.find(doc! { "body": "x" }).await.expect("a planted scan");
    mongo.run_command(doc! { "profile": 0 }).await.expect("no more profiling");

    let entries = profiled(&database).await;
    let (mut broken, mut seen) = (Vec::new(), BTreeSet::new());
    for entry in &entries {
        let namespace = entry.get_str("ns").unwrap_or_default().to_owned();
        let operation = entry.get_str("op").unwrap_or_default().to_owned();
        if namespace.ends_with("system.profile") {
            continue;
        }
        seen.insert((namespace, operation));
        broken.extend(wrong(&database, entry).await);
    }
    assert!(entries.len() > 300 && seen.len() > 15, "{} {seen:?}", entries.len());
    assert_eq!(broken.len(), 1, "only the planted one: {broken:#?}");
    assert!(broken[0].contains("COLLSCAN") && broken[0].contains("\"x\""), "{broken:?}");
    database.end().await;
}
