//! Everything that the stores can be asked, each in every way that makes another query of it.

use std::sync::Arc;
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Document, doc};
use domain::ids::SubjectKind;
use orrery::environment::SimulatedClock;
use orrery::environment::mongodb::{Lock, MongoConnection, SubjectKey};
use orrery::event_store::contract::{
    AppendNotice, EventStore, PayloadSweep, Snapshot, Tombstone, WakeUpMove,
};
use orrery::event_store::mongodb::MongoEventStore;
use orrery::view::contract::{
    Columns, Document as Shown, JobQuery, JobSort, PageStart, TOTAL_COUNTED_MAX, View,
};
use uuid::Uuid;

use super::super::Database;
use super::{columns, environment, plain, shown};
use crate::harness::view_document::One as _;
use crate::storage::samples::{NOW, append, fill, item, item_of, job, namespace, payload, record};

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

pub(super) async fn seed(database: &Database) {
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

pub(super) async fn ask_the_event_store(database: &Database) {
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
    store.move_wake_ups(vec![move_to(2, 1), move_to(3, 1)]).await.expect("moved");
    store.move_wake_ups(vec![move_to(4, 1), move_to(5, 7)]).await.expect("moved in part");
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

pub(super) async fn ask_the_view(database: &Database) {
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
