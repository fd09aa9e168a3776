//! What the next attempt of a node is told: what went wrong before, how often it may be tried, when it must be over.

use std::time::Duration;

use serde_json::{Value, json};

use super::service::{Service, one_node};

const LEASE: &str = "/api/v1/queues/default/lease";
const FAIL: &str = "/api/v1/leases/fail";
const RELEASE: &str = "/api/v1/leases/release";

/// One node that is tried again at once.
fn persistent(attempts: u32) -> Value {
    let mut job = one_node();
    job["retry"] =
        json!({"strategy": "immediate", "max_attempts": attempts, "jitter": {"mode": "none"}});
    job
}

async fn leased(service: &Service) -> Value {
    service.post(LEASE, &json!({"worker": "w"})).await.ok(200)["leases"][0].clone()
}

async fn fail(service: &Service, lease: &Value, error: Value) {
    let report = json!({"items": [{"lease": lease["lease"], "error": error}]});
    let answer = service.post(FAIL, &report).await.ok(200);
    assert_eq!(answer["results"][0]["outcome"], "recorded", "{answer}");
}

#[tokio::test]
async fn an_attempt_is_told_what_went_wrong_in_the_one_before() {
    let service = Service::start().await;
    service.job(&persistent(4)).await;
    let first = leased(&service).await;
    assert!(first["previous"].is_null(), "nothing went wrong yet: {first}");
    assert_eq!((&first["max_attempts"], &first["deadline"]), (&4.into(), &Value::Null));
    // Large ones are kept beside the stream, and are told all the same.
    for details in [json!({"at": 7}), json!({"at": "x".repeat(100_000)}), Value::Null] {
        let lease = leased_again(&service, &first).await;
        let mut error = json!({"type": "Refused", "message": "no", "class": "network.connect"});
        if !details.is_null() {
            error["details"] = details.clone();
        }
        fail(&service, &lease, error.clone()).await;
        error["details"] = details;
        let next = leased(&service).await;
        assert_eq!(next["previous"], error, "{next}");
        // Given back, it is told again.
        let back = json!({"items": [{"lease": next["lease"]}]});
        service.post(RELEASE, &back).await.ok(200);
    }
}

/// The first lease, or the one after it was failed and given back.
async fn leased_again(service: &Service, first: &Value) -> Value {
    let next = leased(service).await;
    if next.is_null() { first.clone() } else { next }
}

#[tokio::test]
async fn an_attempt_is_told_that_the_worker_before_was_not_heard_of_any_more() {
    let service = Service::start().await;
    let mut job = persistent(3);
    job["nodes"][0]["timeouts"] = json!({"attempt_ms": 600_000});
    let id = service.job(&job).await;
    leased(&service).await;
    for _ in 0..80 {
        service.pass(Duration::from_millis(400)).await;
    }
    let next = leased(&service).await;
    assert_eq!(
        (&next["attempt"], &next["previous"]["class"]),
        (&2.into(), &"heartbeat.missed".into())
    );
    assert_eq!(next["previous"]["type"], "LeaseExpired");
    fail(&service, &next, json!({"type": "Oops", "retryable": false})).await;
    let over = service.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    assert_eq!(over["status"], "failed");
}

#[tokio::test]
async fn the_deadline_of_an_attempt_is_the_earliest_of_its_own_the_nodes_and_the_jobs() {
    let service = Service::start().await;
    let after = |lease: &Value| {
        let deadline = lease["deadline"].as_str().expect("a deadline").to_owned();
        chrono::DateTime::parse_from_rfc3339(&deadline).expect("a time").timestamp_millis()
    };
    for (timeouts, of_job, expected) in [
        (json!({"attempt_ms": 10_000, "total_ms": 20_000}), 30_000, 10_000),
        (json!({"attempt_ms": 20_000, "total_ms": 10_000}), 30_000, 10_000),
        (json!({"attempt_ms": 20_000}), 5_000, 5_000),
    ] {
        let mut job = persistent(2);
        job["nodes"][0]["timeouts"] = timeouts;
        job["timeout_ms"] = of_job.into();
        let submitted = service.engine.now();
        service.job(&job).await;
        let lease = leased(&service).await;
        assert_eq!(after(&lease) - submitted, expected, "{lease}");
        let policy = &lease["max_attempts"];
        assert_eq!(policy, 2);
    }
}

/// Gives a lease back for a time; the result.
async fn give_back(service: &Service, lease: &Value, after_ms: u64) -> Value {
    let body = json!({"items": [{"lease": lease["lease"], "after_ms": after_ms}]});
    service.post(RELEASE, &body).await.ok(200)["results"][0].clone()
}

#[tokio::test]
async fn an_attempt_given_back_for_a_time_is_offered_again_then_and_does_not_count() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let first = leased(&service).await;
    let given = give_back(&service, &first, 60_000).await;
    assert_eq!(given["outcome"], "recorded", "{given}");
    assert_eq!(give_back(&service, &first, 60_000).await["outcome"], "replayed");
    let other = give_back(&service, &first, 50_000).await;
    assert_eq!(other["error"]["code"], "reported_differently", "{other}");
    let job = format!("/api/v1/jobs/{id}");
    let node = service.get(&format!("{job}/nodes/a")).await.ok(200);
    assert_eq!((&node["status"], &node["attempt"]), (&"waiting".into(), &0.into()), "{node}");
    for path in [format!("{job}/explain"), format!("{job}/nodes/a/explain")] {
        let wait = service.get(&path).await.ok(200)["waits"][0].clone();
        assert_eq!((&wait["code"], &wait["ends_on"]), (&"delay".into(), &"time".into()), "{wait}");
        assert_eq!(wait["wakes_at"], "2023-11-14T22:14:20.000Z", "{wait}");
    }
    service.pass(Duration::from_secs(59)).await;
    assert!(leased(&service).await.is_null(), "its time has not come");
    // A paused job offers nothing, and the time goes on.
    service.post(&format!("{job}/pause"), &json!({})).await.ok(200);
    service.pass(Duration::from_secs(2)).await;
    service.post(&format!("{job}/resume"), &json!({})).await.ok(200);
    let again = leased(&service).await;
    assert_eq!((&again["attempt"], &again["previous"]), (&1.into(), &Value::Null), "{again}");
    let history = service.get(&format!("{job}/history")).await.ok(200);
    let types: Vec<&str> = history["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    assert!(types.contains(&"delays_over"), "{types:?}");
}

#[tokio::test]
async fn a_node_given_back_for_a_time_takes_no_place_and_ends_with_its_job() {
    let service = Service::start().await;
    let two = json!({"name": "two", "max_parallel": 1, "nodes": [{"key": "a"}, {"key": "b"}]});
    let id = service.job(&two).await;
    let first = leased(&service).await;
    assert_eq!(first["node"], "a");
    give_back(&service, &first, 5_000).await;
    let second = leased(&service).await;
    assert_eq!(second["node"], "b", "the place is free: {second}");
    // Its time is over while the place is taken: it waits for that.
    service.pass(Duration::from_secs(6)).await;
    let job = format!("/api/v1/jobs/{id}");
    let wait = service.get(&format!("{job}/nodes/a/explain")).await.ok(200)["waits"][0].clone();
    assert_eq!(wait["code"], "place", "{wait}");
    give_back(&service, &second, 86_400_000).await;
    let first = leased(&service).await;
    assert_eq!(first["node"], "a", "{first}");
    give_back(&service, &first, 86_400_000).await;
    service.post(&format!("{job}/cancel"), &json!({})).await.ok(200);
    let over = service.get(&job).await.ok(200);
    assert_eq!((&over["status"], &over["nodes"]["cancelled"]), (&"cancelled".into(), &2.into()));
}

#[tokio::test]
async fn a_time_that_is_too_long_or_none_is_refused() {
    let service = Service::start().await;
    service.job(&one_node()).await;
    let lease = leased(&service).await;
    let refused = give_back(&service, &lease, 86_400_001).await;
    assert_eq!(refused["error"]["status"], 422, "{refused}");
    assert_eq!(refused["error"]["errors"][0]["pointer"], "/items/0/after_ms");
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(null), json!([])] {
        let body = json!({"items": [{"lease": lease["lease"], "after_ms": wrong}]});
        let problem = service.post(RELEASE, &body).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/items/0/after_ms", "{wrong}");
    }
    let given = give_back(&service, &lease, 0).await;
    assert_eq!(given["outcome"], "recorded");
    assert_eq!(leased(&service).await["node"], "a", "at once");
}
