//! What only MongoDB's event store can meet: lost answers, half-confirmed writes, a server that hangs, documents that
//! cannot be read or are too large. Faults are laid down in the server, for this test's own connections alone.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, doc};
use domain::ids::{Millis, SubjectId};
use mongodb::Client;
use orrery::environment::mongodb::{MongoConnection, SubjectKey};
use orrery::environment::{Clock, SimulatedClock, SystemClock};
use orrery::event_store::contract::{
    AppendItem, Appended, EventStore, EventStoreError, Tombstone, WakeUpMove,
};
use orrery::event_store::mongodb::MongoEventStore;
use orrery::view::contract::{Columns, Document as Shown, JobQuery, View};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::Database;
use crate::storage::samples::{NOW, append, fill, item, item_of, job, payload, record};

/// A server has one such fault at a time: another test's would take its place before it was met.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A store whose connections only this test's faults meet, and the way to lay them down.
pub(super) struct Faulty {
    pub(super) database: Database,
    pub(super) store: MongoEventStore,
    admin: Client,
    name: String,
    _turn: MutexGuard<'static, ()>,
}

impl Faulty {
    pub(super) async fn new(clock: Arc<dyn Clock>) -> Self {
        let database = Database::fresh().await;
        let name = Uuid::now_v7().simple().to_string();
        let named = format!("{}&appName={name}", database.uri);
        let connection = MongoConnection::open(&named, clock).await.expect("a connection");
        let store = MongoEventStore::open(connection, "store-a").await.expect("a store");
        let admin = Client::with_uri_str(&database.uri).await.expect("a client");
        Self { database, store, admin, name, _turn: ONE_AT_A_TIME.lock().await }
    }

    /// The next `times` of these commands meet a fault. A server that was named from outside must take such orders
    /// (`enableTestCommands`); the one of `scripts/mongod` does.
    pub(super) async fn lay_down(&self, command: &str, times: i32, fault: Document) {
        let mut data = doc! { "failCommands": [command], "appName": &self.name };
        data.extend(fault);
        let point =
            doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
        self.admin.database("admin").run_command(point).await.expect("a server that takes faults");
    }
}

fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_lost_answer_is_settled_by_writing_the_same_record_again() {
    let faulty = Faulty::new(system()).await;
    fill(&faulty.store, &job(2), 1).await;
    let mut first = item(&job(1), 1);
    first.payloads.push(payload("kept"));
    let batch = vec![first, item(&job(2), 2)];
    // The store itself tries once again; both times the connection is cut before the command is heard.
    faulty.lay_down("insert", 4, doc! { "closeConnection": true }).await;
    let lost = faulty.store.append(batch.clone()).await;
    assert!(matches!(lost, Err(EventStoreError::Unavailable(_))), "{lost:?}");
    while faulty.store.append(batch.clone()).await.is_err() {}
    assert_eq!(faulty.store.append(batch).await, Ok(vec![Appended::Committed; 2]));
    for subject in [job(1), job(2)] {
        let part = faulty.store.read(&subject, 1, usize::MAX).await.expect("a part");
        assert_eq!(part.records.len(), usize::from(subject == job(2)) + 1);
    }
    faulty.database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn what_no_majority_confirmed_is_unknown_until_it_is_written_again() {
    let faulty = Faulty::new(system()).await;
    let unconfirmed =
        doc! { "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
    faulty.lay_down("insert", 1, unconfirmed).await;
    let create = item(&job(1), 1);
    assert_eq!(append(&faulty.store, create.clone()).await, Appended::Unknown);
    let rival = item_of(&job(1), record(1, 1, 99, 0));
    assert_eq!(append(&faulty.store, rival).await, Appended::Conflict, "it is in, as it turns out");
    assert_eq!(append(&faulty.store, create).await, Appended::Committed);
    assert_eq!(append(&faulty.store, item(&job(1), 2)).await, Appended::Committed);
    faulty.database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_server_that_hangs_is_waited_for_until_the_deadline_and_no_longer() {
    let clock = SimulatedClock::at(NOW);
    let faulty = Faulty::new(Arc::new(clock.clone())).await;
    let hangs = doc! { "blockConnection": true, "blockTimeMS": 1_500 };
    faulty.lay_down("insert", 1, hangs).await;
    let asked = faulty.store.append(vec![item(&job(1), 1)]);
    tokio::pin!(asked);
    // The call is under way; only then does its time run out.
    assert!(futures_util::poll!(&mut asked).is_pending());
    clock.advance(Duration::from_secs(6));
    let late = asked.await;
    assert!(
        matches!(&late, Err(EventStoreError::Unavailable(said)) if said.contains("did not answer within 5000 ms")),
        "{late:?}"
    );
    // The call nobody waits for any more goes through all the same, and its record is known by its nonce.
    let again = loop {
        let again = faulty.store.append(vec![item(&job(1), 1)]);
        if let Ok(again) = again.await
            && again != [Appended::Unknown]
        {
            break again;
        }
    };
    assert_eq!(again, [Appended::Committed]);
    faulty.database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_record_larger_than_a_document_is_refused_before_it_is_sent() {
    let database = Database::fresh().await;
    let store = database.event_store().await;
    let huge = item_of(&job(1), record(1, 1, 1, 16 * 1_024 * 1_024));
    let answers = store.append(vec![huge, item(&job(2), 1)]).await;
    assert_eq!(answers, Ok(vec![Appended::Full, Appended::Committed]));
    assert_eq!(store.mark(&job(1)).await, Ok(None), "nothing of it was sent");
    assert_eq!(append(&store, item(&job(1), 1)).await, Appended::Committed);
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_document_that_cannot_be_read_is_noted_and_the_others_are_served() {
    let database = Database::fresh().await;
    let store = database.event_store().await;
    fill(&store, &job(1), 2).await;
    let events = database.connection.database().collection::<Document>("events");
    let group = job(1).group();
    let strange = doc! {
        "_id": { "k": 77, "n": "default", "i": "no uuid", "q": 0_i64 },
        "group": i32::from(group.index()), "due": bson::DateTime::from_millis(NOW), "number": 1_i64,
    };
    events.insert_one(strange).await.expect("inserted");
    let marks = store.live(group, NOW, None, 10).await.expect("marks");
    assert_eq!(marks.into_iter().map(|mark| mark.subject).collect::<Vec<_>>(), [job(1)]);
    assert_eq!(store.subjects(group, None, 10).await, Ok(vec![job(1)]));
    let notes = database.connection.database().collection::<Document>("quarantine");
    assert_eq!(notes.count_documents(doc! { "collection": "events" }).await.expect("a count"), 1);

    let second = doc! { "_id": SubjectKey(&job(1)).record(2) };
    events.update_one(second, doc! { "$unset": { "hash": "" } }).await.expect("changed");
    let read = store.read(&job(1), 1, usize::MAX).await;
    let Err(EventStoreError::Damaged { subject, reason }) = read else { panic!("{read:?}") };
    assert_eq!((subject, reason), (job(1).to_string(), "field `hash` is missing".to_owned()));
    let noted = doc! { "reason": "field `hash` is missing" };
    assert_eq!(notes.count_documents(noted).await.expect("a count"), 1, "for an operator to find");
    assert_eq!(append(&store, item(&job(2), 1)).await, Appended::Committed);
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_job_of_the_view_that_cannot_be_read_is_left_out_of_the_lists() {
    let database = Database::fresh().await;
    let view = database.view();
    let shown = |number: u128| Shown {
        subject: job(number),
        seq: 1,
        columns: Columns::Job(Box::new(super::queries::columns("mine"))),
        body: format!("{{\"n\":{number}}}").into(),
        nodes: Vec::new(),
    };
    view.flush(vec![shown(1), shown(2)]).await.expect("flushed");
    let jobs = database.connection.database().collection::<Document>("jobs");
    jobs.update_one(doc! { "body": "{\"n\":1}" }, doc! { "$unset": { "body": "" } })
        .bypass_document_validation(true)
        .await
        .expect("changed");
    let page =
        view.jobs(JobQuery { page_size: 10, ..super::queries::plain() }).await.expect("a page");
    assert_eq!(page.items, ["{\"n\":2}".into()]);
    let notes = database.connection.database().collection::<Document>("quarantine");
    assert_eq!(notes.count_documents(doc! { "collection": "jobs" }).await.expect("a count"), 1);
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_mark_that_an_earlier_try_left_too_late_is_hurried() {
    let database = Database::fresh().await;
    let store = database.event_store().await;
    let events = database.connection.database().collection::<Document>("events");
    let left = doc! {
        "_id": SubjectKey(&job(1)).record(0), "group": i32::from(job(1).group().index()),
        "due": bson::DateTime::from_millis(NOW + 9_000_000), "number": 1_i64,
    };
    events.insert_one(left).await.expect("inserted");
    assert_eq!(append(&store, item(&job(1), 1)).await, Appended::Committed);
    let due = store.mark(&job(1)).await.expect("a mark").map(|mark| mark.due);
    assert_eq!(due, Some(NOW));
    let parked = WakeUpMove { subject: job(1), expected: 1, due: Some(NOW + 70_000) };
    assert_eq!(store.move_wake_ups(vec![parked]).await, Ok(vec![true]));
    assert_eq!(append(&store, item(&job(1), 1)).await, Appended::Committed);
    let due = store.mark(&job(1)).await.expect("a mark").map(|mark| mark.due);
    assert_eq!(due, Some(NOW + 70_000), "what a driver moved is the driver's");
    database.end().await;
}

/// Another engine, which knows nothing of what this one did, and the other way round.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_late_append_of_an_engine_that_slept_through_a_deletion_gets_nowhere() {
    let database = Database::fresh().await;
    let (slept, deletes) = (database.event_store().await, database.event_store().await);
    fill(&slept, &job(1), 2).await;
    for first in 3..=5 {
        assert_eq!(append(&deletes, item(&job(1), first)).await, Appended::Committed);
    }
    let stone = Tombstone { count: 5, hash: [3; 32], first_answer: b"{}".to_vec() };
    let until: Millis = NOW + 1_000;
    assert_eq!(deletes.delete(&job(1), 5, stone.clone(), until).await, Ok(true));
    for late in late_appends(&job(1)) {
        assert_eq!(append(&slept, late).await, Appended::Conflict);
    }
    let part = slept.read(&job(1), 3, usize::MAX).await.expect("a part");
    assert_eq!((part.records.len(), part.tombstone), (0, Some(stone)));
    database.end().await;
}

fn late_appends(subject: &SubjectId) -> Vec<AppendItem> {
    (1..=7).map(|first| item_of(subject, record(first, 1, 4_000 + u128::from(first), 0))).collect()
}
