//! Engines on a database of MongoDB: what was acknowledged survives kill -9, and one drives at a time.

use serde_json::json;

use super::process::EngineProcess;
use super::restarts::everything_is_answered_again;
use crate::storage::mongodb::Database;

/// What makes an engine process use this database.
fn on(database: &Database) -> &'static [(&'static str, &'static str)] {
    // A process is told by its environment; the few bytes live as long as the tests.
    let uri: &'static str = Box::leak(database.uri.clone().into_boxed_str());
    Box::leak(Box::new([("ORRERY__STORAGE__URI", uri)]))
}

#[tokio::test]
async fn what_was_acknowledged_on_mongodb_survives_kill_9_and_is_answered_again_as_it_was() {
    let Some(database) = Database::bare().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    everything_is_answered_again(EngineProcess::start_with(folder.path(), on(&database)).await)
        .await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "no file is made");
    database.end().await;
}

#[tokio::test]
async fn a_second_engine_waits_until_the_first_ends_and_then_has_everything() {
    let Some(database) = Database::bare().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = EngineProcess::start_with(folder.path(), on(&database)).await;
    let (path, settings) = (folder.path().to_owned(), on(&database));
    let second = tokio::spawn(async move { EngineProcess::start_with(&path, settings).await });
    let job = json!({ "name": "one", "nodes": [{ "key": "a" }] });
    let (status, made) = first.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    assert!(!second.is_finished(), "only one engine drives");
    first.stop();
    let second = second.await.expect("the second engine is ready");
    let id = made["id"].as_str().expect("an id");
    let found = second.until(id, |job| job["name"] == "one").await;
    assert_eq!(found["id"], made["id"]);
    let listed = second.get("/api/v1/jobs?consistent=true").await.expect("a list");
    assert_eq!(listed["total_count"], 1, "{listed}");
    drop(second);
    database.end().await;
}
