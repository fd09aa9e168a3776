//! One engine, killed between one answer and the next: what was acknowledged is there, and is answered again as it was.

use serde_json::json;

use super::process::EngineProcess;

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_is_answered_again_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    everything_is_answered_again(EngineProcess::start(folder.path()).await).await;
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
