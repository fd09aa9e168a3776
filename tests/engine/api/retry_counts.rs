//! What the engine counts of retries, by the class of the failure that they followed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::service::{Service, one_node};

const LEASE: &str = "/api/v1/queues/default/lease";
const FAIL: &str = "/api/v1/leases/fail";
const COMPLETE: &str = "/api/v1/leases/complete";

async fn leased(service: &Service) -> Value {
    service.post(LEASE, &json!({"worker": "w"})).await.ok(200)["leases"][0].clone()
}

async fn fail(service: &Service, class: &str) {
    let lease = leased(service).await;
    let error = json!({"type": "Refused", "class": class});
    let report = json!({"items": [{"lease": lease["lease"], "error": error}]});
    service.post(FAIL, &report).await.ok(200);
}

/// Scheduled, succeeded, exhausted and cancelled, of each class that has any.
fn counted(service: &Service) -> BTreeMap<&'static str, [u64; 4]> {
    let counts = service.engine.counts().retries;
    let of = counts
        .by_class()
        .map(|(class, of)| (class, [of.scheduled, of.succeeded, of.exhausted, of.cancelled]));
    of.filter(|(_, counts)| *counts != [0; 4]).collect()
}

fn retried(policy: Value) -> Value {
    let mut job = one_node();
    job["retry"] = policy;
    job
}

#[tokio::test]
async fn a_retry_that_succeeds_counts_for_the_class_of_the_failure_before() {
    let service = Service::start().await;
    service.job(&retried(json!({"strategy": "immediate", "max_attempts": 4}))).await;
    fail(&service, "network.connect").await;
    fail(&service, "throttled").await;
    let lease = leased(&service).await;
    service.post(COMPLETE, &json!({"items": [{"lease": lease["lease"]}]})).await.ok(200);
    let expected = [("network.connect", [1, 0, 0, 0]), ("throttled", [1, 1, 0, 0])];
    assert_eq!(counted(&service), BTreeMap::from(expected));
    // A node that never failed is no retry.
    service.job(&one_node()).await;
    let lease = leased(&service).await;
    service.post(COMPLETE, &json!({"items": [{"lease": lease["lease"]}]})).await.ok(200);
    assert_eq!(counted(&service), BTreeMap::from(expected));
}

#[tokio::test]
async fn executions_used_up_final_failures_and_cancelled_waits_are_told_apart() {
    let service = Service::start().await;
    let twice = json!({"strategy": "immediate", "max_attempts": 2});
    service.job(&retried(twice.clone())).await;
    fail(&service, "network.connect").await;
    fail(&service, "network.connect").await;
    assert_eq!(counted(&service), BTreeMap::from([("network.connect", [1, 0, 1, 0])]));
    // Final by its class: nothing was used up. A word of one's own is counted with all others.
    service.job(&retried(twice)).await;
    fail(&service, "validation").await;
    let id = service.job(&retried(json!({"max_attempts": 2, "base_delay_ms": 60_000}))).await;
    fail(&service, "disk.melted").await;
    service.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({"reason": "enough"})).await.ok(200);
    let expected = [("network.connect", [1, 0, 1, 0]), ("other", [1, 0, 0, 1])];
    assert_eq!(counted(&service), BTreeMap::from(expected));
}

#[tokio::test]
async fn a_failure_before_a_restart_is_still_known_when_its_retry_succeeds() {
    let service = Service::start().await;
    service.job(&retried(json!({"strategy": "immediate", "max_attempts": 4}))).await;
    fail(&service, "throttled").await;
    let service = service.started_again().await;
    service.pass(Duration::from_secs(1)).await;
    let lease = leased(&service).await;
    service.post(COMPLETE, &json!({"items": [{"lease": lease["lease"]}]})).await.ok(200);
    assert_eq!(counted(&service), BTreeMap::from([("throttled", [0, 1, 0, 0])]));
}
