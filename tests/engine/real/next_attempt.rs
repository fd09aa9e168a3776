//! What an attempt leaves for the next one, through kill -9: details that were said in heartbeats are there once an event of
//! the job has followed (docs/decisions/0035), and an attempt that was given back for a time is offered again then, not
//! before, and not counted.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::process::EngineProcess;

const BEAT: &str = "/api/v1/leases/heartbeat";
const FAIL: &str = "/api/v1/leases/fail";
const RELEASE: &str = "/api/v1/leases/release";
const COMPLETE: &str = "/api/v1/leases/complete";

const MINUTE_MS: i64 = 60_000;
/// A lease that runs out in a test, and one that does not.
const SHORT_MS: u64 = 5_000;
const LONG_MS: u64 = 600_000;

/// A job of these nodes, each with a queue of its own.
async fn submitted(engine: &EngineProcess, nodes: &[&str]) -> String {
    let nodes: Vec<Value> = nodes.iter().map(|key| json!({ "key": key, "queue": key })).collect();
    let retry = json!({ "strategy": "immediate", "max_attempts": 5, "jitter": { "mode": "none" } });
    let job = json!({ "name": "goes on", "retry": retry, "nodes": nodes });
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// What there is of a node's work within a time.
async fn polled(engine: &EngineProcess, node: &str, wait_ms: u64, lease_ms: u64) -> Option<Value> {
    let ask = json!({ "worker": "w", "max": 1, "wait_ms": wait_ms, "lease_ms": lease_ms });
    let answer = engine.until_answered(&format!("/api/v1/queues/{node}/lease"), &ask).await;
    let lease = answer["leases"].get(0).cloned();
    assert!(lease.as_ref().is_none_or(|lease| lease["node"] == node), "{lease:?}");
    lease
}

/// The next attempt of a node, which comes.
async fn next(engine: &EngineProcess, node: &str) -> Value {
    polled(engine, node, 25_000, LONG_MS).await.expect("there is work")
}

/// Says one thing of a lease; its result.
async fn say(engine: &EngineProcess, path: &str, lease: &Value, says: Value) -> Value {
    let mut item = says;
    item["lease"] = lease["lease"].clone();
    let answer = engine.until_answered(path, &json!({ "items": [item] })).await;
    let result = answer["results"][0].clone();
    assert!(result["error"].is_null(), "{path}: {result}");
    result
}

#[tokio::test]
async fn details_said_in_heartbeats_are_there_for_the_next_attempt_after_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    details_survive(&mut EngineProcess::start(folder.path()).await).await;
}

/// Three attempts run. Two say something, the third ends, and its event has what they said; then the engine is killed. One
/// worker is gone with it, the other one fails.
pub(super) async fn details_survive(engine: &mut EngineProcess) {
    let job = submitted(engine, &["failed", "lost", "other"]).await;
    let (failed, other) = (next(engine, "failed").await, next(engine, "other").await);
    let lost = polled(engine, "lost", 25_000, SHORT_MS).await.expect("there is work");
    let (small, large) = (json!({ "row": 3 }), json!({ "at": "x".repeat(60_000) }));
    for (lease, details) in [(&lost, &small), (&failed, &large)] {
        say(engine, BEAT, lease, json!({ "details": "older" })).await;
        say(engine, BEAT, lease, json!({ "progress": 0.5, "details": details })).await;
    }
    say(engine, COMPLETE, &other, json!({})).await;
    say(engine, BEAT, &lost, json!({ "details": "no event has it" })).await;
    engine.kill_and_restart().await;
    engine.until_groups(|mine, _| mine == 64).await;

    let error = json!({ "type": "Oops", "message": "no" });
    let reported = say(engine, FAIL, &failed, json!({ "error": error })).await;
    assert_eq!(reported["outcome"], "recorded", "{reported}");
    let again = next(engine, "failed").await;
    assert_eq!(again["attempt"], 2);
    assert!(again["details"] == large && again["previous"]["type"] == "Oops");
    say(engine, COMPLETE, &again, json!({})).await;
    // Nobody is heard of any more: its lease runs out.
    let again = next(engine, "lost").await;
    let why = &again["previous"]["class"];
    assert_eq!((&again["attempt"], why), (&json!(2), &json!("heartbeat.missed")), "{again}");
    assert_eq!(again["details"], small, "what an event has, and nothing older");
    say(engine, COMPLETE, &again, json!({})).await;
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

/// Sets how far the engine's wall clock is ahead.
fn set(clock: &Path, ahead_ms: i64) {
    // In one step: the engine reads it any moment.
    let new = clock.with_extension("new");
    fs::write(&new, ahead_ms.to_string()).expect("written");
    fs::rename(new, clock).expect("renamed");
}

#[tokio::test]
async fn an_attempt_given_back_for_a_time_is_offered_again_then_also_after_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = folder.path().join("clock");
    set(&clock, 0);
    // It lives as long as the tests.
    let named: &'static str = clock.display().to_string().leak();
    let settings = Box::leak(vec![("ORRERY_WALL_CLOCK_OFF_BY", named)].into_boxed_slice());
    let mut engine = EngineProcess::start_with(&folder.path().join("data"), settings).await;
    let job = submitted(&engine, &["soon", "late"]).await;
    for (node, minutes) in [("soon", 60), ("late", 120)] {
        let lease = next(&engine, node).await;
        say(&engine, BEAT, &lease, json!({ "details": node })).await;
        let given = json!({ "after_ms": minutes * MINUTE_MS });
        assert_eq!(say(&engine, RELEASE, &lease, given).await["outcome"], "recorded");
    }
    let until = delayed(&engine, &job).await;
    engine.kill_and_restart().await;
    assert_eq!(delayed(&engine, &job).await, until, "the times are as they were");
    nothing_yet(&engine).await;
    set(&clock, 59 * MINUTE_MS);
    engine.until_metric("orrery_clock_steps_total", "1").await;
    assert_eq!(delayed(&engine, &job).await, until);
    nothing_yet(&engine).await;
    // One comes in the engine's life, the other one's time is over before it is started again.
    set(&clock, 61 * MINUTE_MS);
    engine.until_metric("orrery_clock_steps_total", "2").await;
    uncounted(&engine, "soon").await;
    engine.kill();
    set(&clock, 121 * MINUTE_MS);
    engine.kill_and_restart().await;
    uncounted(&engine, "late").await;
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

/// Until when the nodes wait; none has an attempt that counts.
async fn delayed(engine: &EngineProcess, job: &str) -> Vec<Value> {
    let listed = engine.get(&format!("/api/v1/jobs/{job}/nodes")).await.expect("nodes");
    let nodes = listed["nodes"].as_array().expect("nodes");
    for node in nodes {
        assert_eq!((&node["status"], &node["attempt"]), (&json!("waiting"), &json!(0)), "{node}");
        assert!(node["delayed_until"].is_string(), "{node}");
    }
    nodes.iter().map(|node| node["delayed_until"].clone()).collect()
}

async fn nothing_yet(engine: &EngineProcess) {
    for node in ["soon", "late"] {
        let early = polled(engine, node, 0, LONG_MS).await;
        assert_eq!(early, None, "its time has not come");
    }
}

/// Takes the node's first attempt that counts, and completes it.
async fn uncounted(engine: &EngineProcess, node: &str) {
    let lease = next(engine, node).await;
    assert_eq!(lease["attempt"], 1, "{lease}");
    assert_eq!((&lease["details"], &lease["previous"]), (&json!(node), &Value::Null), "{lease}");
    say(engine, COMPLETE, &lease, json!({})).await;
}

/// As on the embedded store, where the store has a clock of its own: it is offered again at the time that the release names,
/// though the engine is killed before.
pub(super) async fn a_delay_survives(engine: &mut EngineProcess) {
    let job = submitted(engine, &["soon"]).await;
    let lease = next(engine, "soon").await;
    say(engine, BEAT, &lease, json!({ "details": "soon" })).await;
    assert_eq!(
        say(engine, RELEASE, &lease, json!({ "after_ms": 5_000 })).await["outcome"],
        "recorded"
    );
    let node = engine.get(&format!("/api/v1/jobs/{job}/nodes/soon")).await.expect("a node");
    let until = node["delayed_until"].as_str().expect("a time").to_owned();
    engine.kill_and_restart().await;
    engine.until_groups(|mine, _| mine == 64).await;
    uncounted(engine, "soon").await;
    let history = engine.get(&format!("/api/v1/jobs/{job}/history")).await.expect("a history");
    let rows = history["events"].as_array().expect("events");
    let taken = rows.iter().rfind(|row| row["type"] == "nodes_leased").expect("it was leased");
    // Times of one form compare as texts.
    assert!(taken["at"].as_str().expect("a time") >= until.as_str(), "not before {until}: {taken}");
}
