//! Engines on a database of MongoDB: what was acknowledged survives kill -9, and of two each drives its share and all
//! when the other has ended or died.

use bson::{Document, doc};
use domain::ids::{JobId, Namespace, SubjectId};
use serde_json::json;

use super::expansion::expanded_through_kills;
use super::next_attempt::{a_delay_survives, details_survive};
use super::process::{EngineProcess, WorkerProcess};
use super::restarts::everything_is_answered_again;
use crate::storage::mongodb::Database;

/// What makes an engine process use this database.
pub(super) fn on(database: &Database) -> &'static [(&'static str, &'static str)] {
    // A process is told by its environment; the few bytes live as long as the tests.
    let uri: &'static str = Box::leak(database.uri.clone().into_boxed_str());
    Box::leak(Box::new([("ORRERY__STORAGE__URI", uri)]))
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn what_was_acknowledged_on_mongodb_survives_kill_9_and_is_answered_again_as_it_was() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    everything_is_answered_again(EngineProcess::start_with(folder.path(), on(&database)).await)
        .await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "no file is made");
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_second_engine_takes_its_share_and_everything_when_the_first_ends() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = EngineProcess::start_with(folder.path(), on(&database)).await;
    let job = json!({ "name": "one", "nodes": [{ "key": "a" }] });
    let (status, made) = first.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    let second = EngineProcess::start_with(folder.path(), on(&database)).await;
    second.until_groups(|mine, others| mine > 0 && others > 0 && mine + others == 64).await;
    let listed = second.get("/api/v1/engines").await.expect("a list");
    assert_eq!(listed["total_count"], 2, "{listed}");
    assert_eq!(listed["engines"][0]["address"], first.url().trim_start_matches("http://"));
    assert_eq!(listed["engines"][1]["answers"], true, "{listed}");
    let id = made["id"].as_str().expect("an id");
    let found = second.until(id, |job| job["name"] == "one").await;
    assert_eq!(found["id"], made["id"]);
    first.stop();
    second.until_groups(|mine, others| mine == 64 && others == 0).await;
    let listed = second.get("/api/v1/jobs?consistent=true").await.expect("a list");
    assert_eq!(listed["total_count"], 1, "{listed}");
    drop(second);
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn jobs_go_on_at_the_other_engine_when_one_is_killed() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = EngineProcess::start_with(folder.path(), on(&database)).await;
    let second = EngineProcess::start_with(folder.path(), on(&database)).await;
    second.until_groups(|mine, others| mine > 0 && mine + others == 64).await;
    let chain = json!({ "name": "chain", "nodes": [
        { "key": "a" }, { "key": "b", "depends_on": ["a"] }, { "key": "c", "depends_on": ["b"] },
        { "key": "d", "depends_on": ["c"] }] });
    let mut jobs = Vec::new();
    for number in 0..12 {
        let engine = if number % 2 == 0 { &first } else { &second };
        let (status, made) = engine.post("/api/v1/jobs", &chain, None).await;
        assert_eq!(status, 201, "{made}");
        jobs.push(made["id"].as_str().expect("an id").to_owned());
    }
    let _theirs = WorkerProcess::start(&first, 4, 0.0);
    let _ours = WorkerProcess::start(&second, 4, 0.0);
    // Under way, and somewhere between.
    second.until(&jobs[0], |job| job["nodes"]["completed"].as_u64() > Some(0)).await;
    first.kill();
    for id in &jobs {
        let ended = second.until(id, |job| job["completed_at"].is_string()).await;
        assert_eq!(
            (&ended["status"], &ended["nodes"]["completed"]),
            (&json!("completed"), &json!(4))
        );
    }
    second.until_groups(|mine, others| mine == 64 && others == 0).await;
    for id in &jobs {
        let export = second.text(&format!("/api/v1/jobs/{id}/history?format=ndjson")).await;
        let subject =
            SubjectId::job(Namespace::default_namespace(), JobId::parse(id).expect("a job id"));
        domain::history::verify(&subject, export.as_bytes()).expect("the chain holds");
    }
    drop(second);
    database.end().await;
}

/// How many events there are, of all streams.
async fn events(database: &Database) -> u64 {
    let stored = database.connection.database().collection::<Document>("events");
    let records = doc! { "$match": { "count": { "$exists": true }, "gone": { "$exists": false } } };
    let sum = doc! { "$group": { "_id": null, "events": { "$sum": "$count" } } };
    let mut found = stored.aggregate([records, sum]).await.expect("an answer");
    if !found.advance().await.expect("a page") {
        return 0;
    }
    let summed = found.deserialize_current().expect("a sum");
    u64::try_from(summed.get_i64("events").expect("a sum")).expect("a count")
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn an_expansion_that_is_killed_in_its_middle_loses_and_doubles_nothing() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start_with(folder.path(), on(&database)).await;
    expanded_through_kills(engine, async || events(&database).await).await;
    database.end().await;
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn what_an_attempt_leaves_for_the_next_one_survives_kill_9() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start_with(folder.path(), on(&database)).await;
    details_survive(&mut engine).await;
    a_delay_survives(&mut engine).await;
    drop(engine);
    database.end().await;
}
