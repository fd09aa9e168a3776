//! A real engine whose wall clock is set under it, and one whose clock does not fit its data folder. The tests' builds read
//! how far the wall clock is off from a file.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::process::{EngineProcess, refused_start_with};

const HOUR_MS: i64 = 3_600_000;

fn set(clock: &Path, off_by_ms: i64) {
    // In one step: the engine reads it any moment.
    let new = clock.with_extension("new");
    fs::write(&new, off_by_ms.to_string()).expect("written");
    fs::rename(new, clock).expect("renamed");
}

/// The environment of an engine with such a clock; it lives as long as the tests.
fn settings(clock: &Path) -> &'static [(&'static str, &'static str)] {
    let clock: &'static str = clock.display().to_string().leak();
    Box::leak(vec![("ORRERY_WALL_CLOCK_OFF_BY", clock)].into_boxed_slice())
}

async fn lease(engine: &EngineProcess) -> String {
    let job = json!({ "name": "j", "nodes": [{ "key": "a" }] });
    engine.until_submitted(&job).await;
    let poll = json!({ "worker": "w", "max": 1, "wait_ms": 5_000, "lease_ms": 60_000 });
    let (_, granted) = engine.post("/api/v1/queues/default/lease", &poll, None).await;
    granted["leases"][0]["lease"].as_str().expect("a lease").to_owned()
}

#[tokio::test]
async fn a_suspended_machine_costs_nobody_a_lease_and_a_clock_set_back_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = folder.path().join("clock");
    set(&clock, 0);
    let engine = EngineProcess::start_with(&folder.path().join("data"), settings(&clock)).await;
    let held = lease(&engine).await;
    set(&clock, 10 * HOUR_MS);
    engine.until_metric("orrery_clock_steps_total", "1").await;
    let report = json!({ "items": [{ "lease": held }] });
    let (_, recorded) = engine.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!(recorded["results"][0]["outcome"], "recorded", "{recorded}");
    // Services that were due long ago by the new time have had their turn.
    engine.until_shown("/readyz", |shown| shown["status"] == "ok").await;
    set(&clock, 9 * HOUR_MS);
    engine.until_shown("/readyz?verbose", |shown| shown["status"] == "degraded").await;
    let shown = engine.get("/readyz?verbose").await.expect("ready, and degraded");
    let said =
        shown["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "clock");
    let said = said.and_then(|check| check["detail"].as_str()).unwrap_or_default();
    assert!(said.contains("ms ahead of its source"), "{shown}");
    lease(&engine).await;
}

#[tokio::test]
async fn an_engine_does_not_start_with_a_clock_that_does_not_fit_what_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, data) = (folder.path().join("clock"), folder.path().join("data"));
    set(&clock, 0);
    let mut engine = EngineProcess::start_with(&data, settings(&clock)).await;
    let held = lease(&engine).await;
    let report = json!({ "items": [{ "lease": held }] });
    engine.post("/api/v1/leases/complete", &report, None).await;
    engine.stop();
    for (off_by, said) in [
        (-48 * HOUR_MS, "the newest event that is stored is of"),
        (40 * 365 * 24 * HOUR_MS, "old enough to be deleted"),
    ] {
        set(&clock, off_by);
        let (code, refused) = refused_start_with(&data, settings(&clock));
        assert_ne!(code, 0, "{refused}");
        assert!(refused.contains(said) && refused.contains("--accept-clock"), "{refused}");
    }
    // A night is no reason to ask.
    set(&clock, -12 * HOUR_MS);
    let mut engine = EngineProcess::start_with(&data, settings(&clock)).await;
    assert_eq!(engine.get("/readyz").await.expect("ready, and degraded")["status"], "degraded");
    engine.stop();
    let mut told = settings(&clock).to_vec();
    told.push(("ORRERY__STORAGE__ACCEPT_CLOCK", "true"));
    set(&clock, -48 * HOUR_MS);
    let engine = EngineProcess::start_with(&data, told.leak()).await;
    let listed = engine.get("/api/v1/jobs?consistent=true").await.expect("a list");
    assert_eq!(listed["total_count"], 1, "{listed}");
}
