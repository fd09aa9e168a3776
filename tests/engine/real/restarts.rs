//! One engine, killed between one answer and the next: what was acknowledged is there, and is answered again as it was.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::process::EngineProcess;

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_is_answered_again_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    everything_is_answered_again(EngineProcess::start(folder.path()).await).await;
}

/// Kills in the middle of the work of one worker.
const KILLS: usize = 8;
/// Jobs that are read after each: some milliseconds of work in which a claim may come again.
const JOBS: usize = 3_000;

#[tokio::test]
async fn a_report_and_its_next_work_asked_for_again_after_kill_9_give_the_same_leases() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start(folder.path()).await;
    let job = json!({ "name": "one", "nodes": [{ "key": "a" }] });
    for _ in 0..JOBS / 1_000 {
        let batch = json!({ "jobs": vec![job.clone(); 1_000] });
        let (status, made) = engine.post("/api/v1/jobs/batch", &batch, None).await;
        assert_eq!(status, 200, "{made}");
    }
    let next = |claim: String| json!({ "queue": "default", "worker": "w", "max": 5, "wait_ms": 0, "lease_ms": 60_000, "claim": claim });
    let leases = |answer: &Value| -> BTreeSet<String> {
        let leases = answer["leases"].as_array().cloned().unwrap_or_default();
        leases.iter().filter_map(|lease| lease["lease"].as_str().map(str::to_owned)).collect()
    };
    let ask = json!({ "worker": "w", "max": 5, "lease_ms": 60_000, "claim": "first" });
    let (_, answer) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    let mut held = leases(&answer);
    assert_eq!(held.len(), 5, "{answer}");
    for number in 0..KILLS {
        let items: Vec<Value> =
            held.iter().map(|lease| json!({ "lease": lease, "output": {} })).collect();
        let report = json!({ "items": items, "lease": next(format!("claim-{number}")) });
        let (status, answer) = engine.post("/api/v1/leases/complete", &report, None).await;
        held = leases(&answer);
        assert_eq!((status, held.len()), (200, 5), "{answer}");
        // Its answer was lost with the connection: the worker asks the same again as soon as anybody listens.
        engine.kill_and_restart().await;
        let again = engine.until_answered("/api/v1/leases/complete", &report).await;
        let results = again["results"].as_array().expect("results");
        assert!(results.iter().all(|result| result["outcome"] == "replayed"), "{again}");
        assert_eq!(leases(&again), held, "after kill {number}: other leases under the same claim");
    }
}

/// Kills the engine after each answer. Where it has a lease, the next one drives when that is over.
pub(super) async fn everything_is_answered_again(mut engine: EngineProcess) {
    let drives = |mine: usize, _| mine == 64;
    let job =
        json!({ "name": "two", "nodes": [{ "key": "a" }, { "key": "b", "depends_on": ["a"] }] });
    let (status, made) = engine.post("/api/v1/jobs", &job, Some("once")).await;
    assert_eq!(status, 201, "{made}");
    engine.kill_and_restart().await;
    engine.until_groups(drives).await;

    let ask =
        json!({ "worker": "w", "max": 10, "wait_ms": 5_000, "lease_ms": 30_000, "claim": "c1" });
    let (status, leased) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    assert_eq!(status, 200, "{leased}");
    let lease = leased["leases"][0]["lease"].clone();
    engine.kill_and_restart().await;
    engine.until_groups(drives).await;

    let (_, again) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    assert_eq!(
        again["leases"][0]["lease"], lease,
        "the same claim gives the same lease after a restart"
    );
    let report = json!({ "items": [{ "lease": lease, "output": { "n": 1 } }] });
    let (_, first) = engine.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!(first["results"][0]["outcome"], "recorded", "{first}");
    engine.kill_and_restart().await;

    let (_, repeated) = engine.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!(repeated["results"][0]["outcome"], "replayed", "{repeated}");
    let other =
        json!({ "items": [{ "lease": report["items"][0]["lease"], "output": { "n": 2 } }] });
    let (_, other) = engine.post("/api/v1/leases/complete", &other, None).await;
    assert_eq!(other["results"][0]["outcome"], "refused", "{other}");
    let (status, replayed) = engine.post("/api/v1/jobs", &job, Some("once")).await;
    assert_eq!((status, replayed), (201, made), "the submission gives its first answer");
}

#[tokio::test]
async fn policies_and_pauses_survive_kill_9_and_nothing_paused_is_leased_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start(folder.path()).await;
    let job = json!({ "name": "one", "job_type": "etl", "nodes": [{ "key": "a" }] });
    let ask = json!({ "worker": "w", "max": 10, "wait_ms": 0 });
    let leased = |answer: &Value| answer["leases"].as_array().map_or(0, Vec::len);
    for number in 0..5 {
        let policy = json!({ "name": format!("p{number}"), "max_attempts": 2 + number, "applicable_job_types": ["etl"] });
        let (status, made) = engine.post("/api/v1/retry-policies", &policy, None).await;
        assert_eq!(status, 201, "{made}");
        let reason = json!({ "reason": format!("round {number}") });
        let (status, _) = engine.post("/api/v1/queues/default/pause", &reason, None).await;
        assert_eq!(status, 200);
        engine.kill_and_restart().await;
        let kept =
            engine.get(&format!("/api/v1/retry-policies/p{number}")).await.expect("it is there");
        assert_eq!(kept, made, "as it was acknowledged");
        let paused = engine.get("/api/v1/pauses").await.expect("a list");
        assert_eq!(paused["pauses"][0]["reason"], format!("round {number}"), "{paused}");
        let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
        assert_eq!((status, &made["retry"]["policy_name"]), (201, &json!("p0")), "{made}");
        let (_, answer) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
        assert_eq!(leased(&answer), 0, "{answer}");
    }
    let (status, _) = engine.post("/api/v1/queues/default/resume", &json!({}), None).await;
    assert_eq!(status, 200);
    engine.kill_and_restart().await;
    // Its streams are read one after the other.
    let ask = json!({ "worker": "w", "max": 10, "wait_ms": 5_000 });
    let mut all = 0;
    while all < 5 {
        let (_, answer) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
        assert!(leased(&answer) > 0, "{all} were leased: {answer}");
        all += leased(&answer);
    }
}
