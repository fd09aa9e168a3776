//! The schema of a database: brought up once, by one engine at a time; a newer or a changed one is refused.

use std::time::Duration;

use bson::{Document, doc};
use domain::ids::GroupId;
use mongodb::error::ErrorKind;
use orrery::environment::mongodb::migrations::{Migrations, Migrator};
use orrery::environment::mongodb::{Lock, StartError, to_date};
use orrery::event_store::contract::{EventStore, PayloadSweep};
use orrery::membership::contract::Membership as _;
use orrery::view::contract::View;

use super::Database;
use crate::harness::view_document::One as _;
use crate::storage::samples::{NOW, fill, job};

fn known() -> Migrations {
    Migrations::known().expect("migrations")
}

/// Runs a command of a migration as the migrator does: what is to be dropped may be gone already.
async fn run(database: &Database, command: Document) {
    const NAMESPACE_NOT_FOUND: i32 = 26;
    if let Err(error) = database.connection.database().run_command(command).await {
        let ErrorKind::Command(refused) = &*error.kind else { panic!("{error}") };
        assert_eq!(refused.code, NAMESPACE_NOT_FOUND, "{error}");
    }
}

fn said(error: &StartError) -> String {
    error.to_string()
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn engines_that_start_at_once_apply_each_migration_once() {
    let database = Database::bare().await;
    let starts = (0..4).map(|_| {
        let migrator = Migrator::new(database.connection.clone(), known());
        async move { migrator.up().await.expect("a schema") }
    });
    let applied: usize = futures_util::future::join_all(starts).await.iter().map(Vec::len).sum();
    assert_eq!(applied, known().iter().count());
    let steps = Migrator::new(database.connection.clone(), known()).status().await.expect("steps");
    assert!(steps.iter().all(|step| step.applied_at.is_some()), "{steps:?}");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn looking_changes_nothing_and_tells_what_is_missing() {
    let database = Database::bare().await;
    let steps = Migrator::new(database.connection.clone(), known()).status().await.expect("steps");
    assert!(steps.iter().all(|step| step.applied_at.is_none()));
    let there = database.connection.database().list_collection_names().await.expect("names");
    assert_eq!(there, Vec::<String>::new());
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn an_interrupted_migration_is_run_again() {
    let database = Database::bare().await;
    for migration in known().iter() {
        // All but the last command went through before the power was cut.
        for command in migration.commands.iter().rev().skip(1).rev() {
            run(&database, command.clone()).await;
        }
    }
    let applied = Migrator::new(database.connection.clone(), known()).up().await.expect("a schema");
    assert_eq!(applied.len(), known().iter().count());
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_newer_and_a_changed_schema_are_refused() {
    let database = Database::fresh().await;
    let records = database.connection.database().collection::<Document>("schema_migrations");
    let newer = i64::from(known().newest()) + 1;
    records.insert_one(doc! { "_id": newer, "checksum": "x" }).await.expect("inserted");
    let refused =
        Migrator::new(database.connection.clone(), known()).up().await.expect_err("newer");
    assert!(said(&refused).contains("start a newer version of orrery"));
    records.delete_one(doc! { "_id": newer }).await.expect("deleted");
    let changed = doc! { "$set": { "checksum": "another" } };
    records.update_one(doc! { "_id": 1_i64 }, changed).await.expect("changed");
    let refused =
        Migrator::new(database.connection.clone(), known()).up().await.expect_err("other");
    assert!(said(&refused).contains("migration 1 was applied"));
    database.end().await;
}

/// A migrator that dies holds the right until the server's clock says that it is over; whoever comes then has a higher
/// fence, and the dead one, should it have slept only, changes nothing any more.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_migrator_that_died_is_followed_when_its_right_is_over() {
    let database = Database::bare().await;
    let held = Duration::from_millis(300);
    let taken = Lock::take(&database.connection, "schema", "the one that dies", held).await;
    let died = taken.expect("an answer").expect("the right");
    for command in known().iter().take(1).flat_map(|first| first.commands.clone()).take(3) {
        run(&database, command).await;
    }
    let applied = Migrator::new(database.connection.clone(), known()).up().await.expect("a schema");
    assert_eq!(applied.len(), known().iter().count());
    assert!(!died.renew().await.expect("an answer"), "and whoever slept finds out");
    let records = database.connection.database().collection::<Document>("schema_migrations");
    let fenced = doc! { "fence": { "$gt": died.fence() } };
    let fenced = records.count_documents(fenced).await.expect("a count");
    assert_eq!(usize::try_from(fenced).ok(), Some(known().iter().count()));
    let locks = database.connection.database().collection::<Document>("locks");
    let over = doc! { "_id": "schema", "$expr": { "$lte": ["$until", "$$NOW"] } };
    assert_eq!(locks.count_documents(over).await.expect("a count"), 1, "and it was let go of");
    database.end().await;
}

/// While another holds the right nothing is applied, however long it takes; when that one is through, nothing is left.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn whoever_waits_for_the_schema_applies_nothing_meanwhile() {
    let database = Database::bare().await;
    let taken =
        Lock::take(&database.connection, "schema", "the first", Duration::from_mins(1)).await;
    let first = taken.expect("an answer").expect("the right");
    let migrator = Migrator::new(database.connection.clone(), known());
    let second = tokio::spawn(async move { migrator.up().await });
    for migration in known().iter() {
        for command in &migration.commands {
            run(&database, command.clone()).await;
        }
        let record = doc! { "_id": i64::from(migration.number), "checksum": &migration.checksum };
        let records = database.connection.database().collection::<Document>("schema_migrations");
        records.insert_one(record).await.expect("recorded");
        assert!(!second.is_finished(), "it waits");
    }
    first.release().await.expect("let go");
    let applied = second.await.expect("it ends").expect("a schema");
    assert_eq!(applied.len(), 0, "the first has done everything");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_migration_whose_statements_fail_is_not_recorded() {
    let database = Database::bare().await;
    let strict = r#"{ "why": "a rule", "commands": [
        { "create": "things", "validator": { "a": { "$type": "int" } } },
        { "insert": "things", "documents": [ { "a": "no number" } ] } ] }"#;
    let known = Migrations::of(&[("strict", strict)]).expect("migrations");
    let refused = Migrator::new(database.connection.clone(), known.clone()).up().await;
    assert!(said(&refused.expect_err("refused")).contains("orrery migrate up"));
    let steps = Migrator::new(database.connection.clone(), known).status().await.expect("steps");
    assert!(steps.iter().all(|step| step.applied_at.is_none()), "{steps:?}");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_lease_is_one_holders_and_whoever_slept_through_its_end_finds_out() {
    let database = Database::bare().await;
    let take = |held| Lock::take(&database.connection, "test", "me", Duration::from_millis(held));
    let first = take(60_000).await.expect("an answer").expect("the lease");
    assert!(take(60_000).await.expect("an answer").is_none());
    assert!(first.renew().await.expect("an answer"));
    first.release().await.expect("let go");
    // The next millisecond of the server's clock is enough.
    let second = loop {
        if let Some(lease) = take(60_000).await.expect("an answer") {
            break lease;
        }
    };
    assert!(second.fence() > first.fence());
    assert!(!first.renew().await.expect("an answer"));
    first.release().await.expect("no harm");
    assert!(second.renew().await.expect("an answer"), "and the other's is left alone");
    database.end().await;
}

/// What stood in a database before each migration is read by today's code after all of them.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn documents_of_every_earlier_schema_carry_over() {
    let samples: &[(u32, &str)] = &[
        (1, include_str!("../../../../migrations/samples/0001_event_store.json")),
        (2, include_str!("../../../../migrations/samples/0002_view.json")),
        (3, include_str!("../../../../migrations/samples/0003_membership.json")),
        (4, include_str!("../../../../migrations/samples/0004_payload_sweep.json")),
        (5, include_str!("../../../../migrations/samples/0005_nodes.json")),
        (6, include_str!("../../../../migrations/samples/0006_lean_pages.json")),
        (7, include_str!("../../../../migrations/samples/0007_environment_times.json")),
        (8, include_str!("../../../../migrations/samples/0008_words.json")),
    ];
    let numbers: Vec<u32> = samples.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, known().iter().map(|migration| migration.number).collect::<Vec<_>>());
    let database = Database::bare().await;
    for (number, text) in samples {
        let migrations = known();
        let migration = migrations.iter().find(|one| one.number == *number).expect("a migration");
        for command in &migration.commands {
            run(&database, command.clone()).await;
        }
        let all: Document = serde_json::from_str(text).expect("samples");
        for (collection, documents) in &all {
            let target = database.connection.database().collection::<Document>(collection);
            for document in documents.as_array().expect("documents") {
                let document = document.as_document().expect("a document");
                target.insert_one(document).await.expect("inserted");
            }
        }
    }
    Migrator::new(database.connection.clone(), known()).up().await.expect("a schema");
    let store = database.event_store().await;
    let info = store.info().await.expect("info");
    assert_eq!((info.store_id.as_str(), info.incarnation), ("sample", 3));
    // It is of before leases were authenticated: it got a key, which every engine reads.
    assert_eq!(info.lease_key.reveal().len(), 64);
    let another = database.event_store().await.info().await.expect("info");
    assert_eq!(another.lease_key, info.lease_key);
    let part = store.read(&job(7), 1, usize::MAX).await.expect("a part");
    assert_eq!(part.records.iter().map(|record| record.first).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(store.mark(&job(7)).await.expect("an answer").map(|mark| mark.number), Some(2));
    let gone = store.read(&job(8), 1, usize::MAX).await.expect("a part");
    assert_eq!(gone.tombstone.map(|stone| stone.count), Some(1));
    let shown = database.view().get(&job(7)).await.expect("an answer").expect("a document");
    assert_eq!(shown.seq, 3);
    let page = database.view().jobs(super::queries::plain()).await.expect("a page");
    assert_eq!(page.items.len(), 1);
    // The stream of the samples has the records that brought its payloads.
    let late = NOW + 200_000_000_000;
    let pages = database.connection.database().collection::<Document>("nodes");
    let of_job = doc! { "job_id": orrery::environment::mongodb::uuid_bson(job(7).id) };
    let page = pages.find_one(of_job).await.expect("an answer").expect("a page");
    assert_eq!(page.get_array("nodes").map(Vec::len).ok(), Some(1));
    let environments = database.connection.database().collection::<Document>("environments");
    for (name, has_times) in [("gpu", false), ("cards", true), ("lab", true)] {
        let found = environments.find_one(doc! { "name": name }).await.expect("an answer");
        let found = found.expect("an environment");
        let times = ["created_at", "updated_at"].map(|field| found.get_datetime(field).ok());
        let expected = [NOW, NOW + 5].map(|at| has_times.then(|| to_date(at)));
        assert_eq!(times.map(Option::<&bson::DateTime>::copied), expected, "{name}");
    }
    let swept = store.sweep(late, 10).await.expect("swept");
    assert_eq!((swept.looked_at, swept.removed), (2, 0));
    fill(&store, &job(9), 2).await;
    let roster = database.membership().look().await.expect("a roster");
    assert_eq!(roster.engines.iter().map(|engine| engine.engine).collect::<Vec<_>>(), [7]);
    // What another engine wrote of its append before the migration is still told of.
    let mut notices = Vec::new();
    for group in GroupId::all() {
        notices.extend(store.notices(group).await.expect("notices").into_iter().map(|one| one.seq));
    }
    notices.sort_unstable();
    assert_eq!(notices, [3, 4]);
    assert_eq!(roster.groups.iter().map(|group| group.fence).sum::<u64>(), 7);
    database.end().await;
}
