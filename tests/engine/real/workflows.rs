//! Recorded workflows, run to the end with sixteen workers while the engine is killed twice and two of the worker
//! processes die. Each task is recorded once, and none starts before its parents are. One workflow is our own and
//! always here (`nightly_report.json`); those of real runs lie in the folder of `ORRERY_WORKFLOWS_DIR`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::{EngineProcess, WorkerProcess, run};
use super::recorded_outcomes;

/// A second of the recording is a fifth of a millisecond, so that the longest takes seconds.
const SCALE: f64 = 0.0002;

/// The recorded workflows of real runs.
pub(super) fn files() -> Vec<PathBuf> {
    let folder =
        std::env::var_os("ORRERY_WORKFLOWS_DIR").expect("ORRERY_WORKFLOWS_DIR is a folder");
    let files = std::fs::read_dir(folder).expect("the folder of recorded workflows");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".json.gz"));
    files.sort();
    assert!(!files.is_empty(), "no recorded workflows in the folder");
    files
}

#[tokio::test]
async fn a_workflow_completes_though_engines_and_workers_are_killed() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/real/nightly_report.json");
    imported_run_through_kills(Path::new(file)).await;
}

#[tokio::test]
#[ignore = "needs recorded workflows: ORRERY_WORKFLOWS_DIR"]
async fn every_recorded_workflow_completes_though_engines_and_workers_are_killed() {
    for file in files() {
        imported_run_through_kills(&file).await;
    }
}

/// The levels of the smallest as groups.
#[tokio::test]
#[ignore = "needs recorded workflows: ORRERY_WORKFLOWS_DIR"]
async fn a_recorded_workflow_completes_as_groups_though_the_engine_is_killed() {
    let files = files();
    let smallest = files.iter().min_by_key(|file| std::fs::metadata(file).map_or(0, |of| of.len()));
    let file = smallest.expect("a file");
    let name = file.to_string_lossy();
    let text = run(&["import", "wfformat", "--groups", &name]);
    let job: Value = serde_json::from_str(&text).expect("a job");
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start(folder.path()).await;
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{name}: {made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    let total = made["nodes"]["total"].as_u64().expect("a total");
    let _workers: Vec<WorkerProcess> =
        (0..2).map(|_| WorkerProcess::start(&engine, 4, SCALE)).collect();
    engine.until(&id, |job| completed(job) >= total / 3).await;
    engine.kill_and_restart().await;
    let ended = engine.until(&id, |job| job["completed_at"].is_string()).await;
    assert_eq!((&ended["status"], completed(&ended)), (&Value::from("completed"), total), "{name}");
}

async fn imported_run_through_kills(file: &Path) {
    let name = file.to_string_lossy();
    let job = serde_json::from_str(&run(&["import", "wfformat", &name])).expect("a job");
    run_through_kills(&job, &name).await;
}

async fn run_through_kills(job: &Value, name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start(folder.path()).await;
    let (status, made) = engine.post("/api/v1/jobs", job, Some(name)).await;
    assert_eq!(status, 201, "{name}: {made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    let total = made["nodes"]["total"].as_u64().expect("a total");

    let mut workers: Vec<WorkerProcess> =
        (0..4).map(|_| WorkerProcess::start(&engine, 4, SCALE)).collect();
    engine.until(&id, |job| completed(job) >= total / 4).await;
    engine.kill_and_restart().await;
    workers[0].kill();
    engine.until(&id, |job| completed(job) >= total / 2).await;
    engine.kill_and_restart().await;
    workers[1].kill();
    workers.extend((0..2).map(|_| WorkerProcess::start(&engine, 4, SCALE)));
    let ended = engine.until(&id, |job| job["completed_at"].is_string()).await;

    assert_eq!(ended["status"], "completed", "{name}: {ended}");
    assert_eq!(completed(&ended), total, "{name}");
    let (again, replayed) = engine.post("/api/v1/jobs", job, Some(name)).await;
    assert_eq!(
        (again, &replayed),
        (201, &made),
        "{name}: the same submission gives its first answer again"
    );
    let export = engine.text(&format!("/api/v1/jobs/{id}/history?format=ndjson")).await;
    recorded_outcomes::recorded(&id, job, &export, name);
}

pub(super) fn completed(job: &Value) -> u64 {
    job["nodes"]["completed"].as_u64().unwrap_or(0)
}
