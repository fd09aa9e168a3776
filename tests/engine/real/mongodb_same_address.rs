//! Of two engines on one database one is killed and started again at its address: it knows that the life before it is over,
//! and takes over while that one's lease still holds. Meanwhile a list that promises to be consistent shows all that was
//! acknowledged, or says that it cannot.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::mongodb::on;
use super::process::{EngineProcess, pause};
use crate::storage::mongodb::Database;

/// Jobs that were acknowledged before the kill.
const JOBS: u64 = 120;
/// Lists asked for after it, until one is consistent.
const LISTS_MAX: usize = 2_000;

async fn two(database: &Database, folder: &std::path::Path) -> (EngineProcess, EngineProcess) {
    let first = EngineProcess::start_with(folder, on(database)).await;
    let second = EngineProcess::start_with(folder, on(database)).await;
    for engine in [&first, &second] {
        engine.until_groups(|mine, others| mine > 0 && others > 0 && mine + others == 64).await;
    }
    (first, second)
}

/// The records of all engines there ever were, by number.
async fn records(database: &Database) -> Vec<Document> {
    let client = Client::with_uri_str(&database.uri).await.expect("a client");
    let engines = client.default_database().expect("a name").collection::<Document>("engines");
    let mut found = engines.find(doc! {}).sort(doc! { "_id": 1 }).await.expect("an answer");
    let mut records = Vec::new();
    while found.advance().await.expect("a page") {
        records.push(found.deserialize_current().expect("a record"));
    }
    records
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn an_engine_started_again_at_its_address_takes_over_while_the_dead_ones_lease_holds() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, second) = two(&database, folder.path()).await;
    let one = json!({ "name": "one", "nodes": [{ "key": "a" }] });
    for number in 0..JOBS {
        let engine = if number % 2 == 0 { &first } else { &second };
        let (status, made) = engine.post("/api/v1/jobs", &one, None).await;
        assert_eq!(status, 201, "{made}");
    }
    first.kill_and_restart().await;
    // All that was ready can be leased, also of the groups that the dead one drove.
    let mut leased = 0;
    while leased < JOBS {
        let ask = json!({ "worker": "w", "max": 100, "wait_ms": 1_000, "lease_ms": 60_000 });
        let (status, answer) = first.post("/api/v1/queues/default/lease", &ask, None).await;
        assert_eq!(status, 200, "{answer}");
        leased += answer["leases"].as_array().expect("leases").len() as u64;
    }
    assert_eq!(leased, JOBS);
    let records = records(&database).await;
    let moment = |record: &Document, field: &str| {
        record.get_datetime(field).expect("a time").timestamp_millis()
    };
    let dead = records.first().expect("the first engine's record");
    let (evicted, until) = (moment(dead, "evicted_at"), moment(dead, "until"));
    let begins = moment(records.last().expect("the new life's record"), "started_at");
    // A machine that took so long to start it says nothing about what it then did.
    if begins + 5_000 < until {
        assert!(
            evicted < until,
            "it was waited for: its lease ended {} ms before",
            evicted - until
        );
    }
    let lives = |record: &&Document| !record.contains_key("evicted_at");
    assert_eq!(records.iter().filter(lives).count(), 2, "nobody else was evicted: {records:?}");
    drop((first, second));
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_consistent_list_after_a_kill_shows_all_that_was_acknowledged_or_says_that_it_cannot() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, second) = two(&database, folder.path()).await;
    let one = json!({ "name": "one", "nodes": [{ "key": "a" }] });
    let batch = json!({ "jobs": vec![one; usize::try_from(JOBS).expect("few")] });
    let (status, made) = first.post("/api/v1/jobs/batch", &batch, None).await;
    assert_eq!(status, 200, "{made}");
    // At once: what was acknowledged a moment ago is in no view yet.
    first.kill_and_restart().await;
    for engine in [&first, &second] {
        let mut seen: Option<Value> = None;
        for _ in 0..LISTS_MAX {
            seen = engine.get("/api/v1/jobs?consistent=true&page_size=1").await;
            if seen.is_some() {
                break;
            }
            pause().await;
        }
        let seen = seen.expect("a list in the end");
        assert_eq!(seen["total_count"], JOBS, "{seen}");
    }
    drop((first, second));
    database.end().await;
}
