//! What the next attempt of a node is told: what went wrong before, how often it may be tried, when it must be over.

use std::time::Duration;

use serde_json::{Value, json};

use super::service::{Service, one_node};

const LEASE: &str = "/api/v1/queues/default/lease";
const FAIL: &str = "/api/v1/leases/fail";
const BEAT: &str = "/api/v1/leases/heartbeat";
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

/// Sends a heartbeat with what else it says; its result.
async fn beat(service: &Service, lease: &Value, says: Value) -> Value {
    let mut item = json!({"lease": lease["lease"]});
    for (key, value) in says.as_object().expect("fields") {
        item[key] = value.clone();
    }
    let answer = service.post(BEAT, &json!({"items": [item]})).await.ok(200);
    answer["results"][0].clone()
}

async fn says(service: &Service, lease: &Value, details: Value) {
    let kept = beat(service, lease, json!({"details": details})).await;
    assert!(kept["expires_at"].is_string() && kept["error"].is_null(), "{kept}");
}

#[tokio::test]
async fn the_newest_details_of_heartbeats_reach_the_next_attempt() {
    let service = Service::start().await;
    service.job(&persistent(9)).await;
    let mut lease = leased(&service).await;
    assert!(lease["details"].is_null(), "nobody said anything yet: {lease}");
    let long = json!({"at": "x".repeat(60_000)});
    for details in [json!({"row": 3}), long, json!([1.50, null]), json!(null), json!("${{ x }}")] {
        says(&service, &lease, json!("older")).await;
        says(&service, &lease, details.clone()).await;
        beat(&service, &lease, json!({"progress": 0.5})).await;
        fail(&service, &lease, json!({"type": "Oops"})).await;
        lease = leased(&service).await;
        assert_eq!(lease["details"], details, "{lease}");
    }
    // What nobody says anew stays: of an attempt that ends without a word, and of one that is given back.
    fail(&service, &lease, json!({"type": "Oops"})).await;
    let lease = leased(&service).await;
    assert_eq!(lease["details"], "${{ x }}");
    says(&service, &lease, json!("given back")).await;
    give_back(&service, &lease, 0).await;
    let lease = leased(&service).await;
    assert_eq!(lease["details"], "given back");
    says(&service, &lease, json!("for a time")).await;
    give_back(&service, &lease, 1_000).await;
    service.pass(Duration::from_secs(2)).await;
    assert_eq!(leased(&service).await["details"], "for a time");
}

#[tokio::test]
async fn details_of_an_attempt_that_is_lost_or_takes_too_long_reach_the_next_one() {
    let service = Service::start().await;
    let mut job = persistent(3);
    job["nodes"][0]["timeouts"] = json!({"attempt_ms": 60_000});
    service.job(&job).await;
    let lease = leased(&service).await;
    says(&service, &lease, json!({"lost": true})).await;
    for _ in 0..80 {
        service.pass(Duration::from_millis(400)).await;
    }
    let lease = leased(&service).await;
    assert_eq!((&lease["attempt"], &lease["details"]), (&2.into(), &json!({"lost": true})));
    for second in 0..90 {
        beat(&service, &lease, json!({"details": second})).await;
        service.pass(Duration::from_millis(700)).await;
    }
    let lease = leased(&service).await;
    assert_eq!(
        (&lease["attempt"], &lease["previous"]["class"]),
        (&3.into(), &"timeout.attempt".into())
    );
    assert!(lease["details"].as_u64().is_some_and(|second| second > 50), "{lease}");
}

#[tokio::test]
async fn details_are_durable_with_the_next_event_of_the_job_and_previous_with_its_own() {
    let service = Service::start().await;
    let mut job = persistent(5);
    job["nodes"] = json!([{"key": "a"}, {"key": "b"}, {"key": "c"}]);
    service.job(&job).await;
    let body = json!({"worker": "w", "max": 3});
    let leases = service.post(LEASE, &body).await.ok(200)["leases"].clone();
    let (small, large) = (json!({"at": 1}), json!({"at": "x".repeat(50_000)}));
    let before = service.store.appends();
    says(&service, &leases[0], small.clone()).await;
    says(&service, &leases[1], large.clone()).await;
    assert_eq!(service.store.appends(), before, "heartbeats are no events");
    // Something else happens to the job: its event has what was said of both.
    fail(&service, &leases[2], json!({"type": "Oops", "details": {"why": "x".repeat(3_000)}}))
        .await;
    says(&service, &leases[0], json!("never durable")).await;

    let service = service.started_again().await;
    service.pass(Duration::from_secs(1)).await;
    let again = leased(&service).await;
    assert_eq!((&again["node"], &again["attempt"]), (&"c".into(), &2.into()));
    assert_eq!(again["previous"]["details"]["why"].as_str().map(str::len), Some(3_000));
    for _ in 0..80 {
        service.pass(Duration::from_millis(400)).await;
        beat(&service, &again, json!({})).await;
    }
    let leases = service.post(LEASE, &body).await.ok(200)["leases"].clone();
    let told: Vec<(&Value, &Value)> = leases
        .as_array()
        .expect("leases")
        .iter()
        .map(|one| (&one["node"], &one["details"]))
        .collect();
    assert_eq!(told, [(&json!("a"), &small), (&json!("b"), &large)]);
}

#[tokio::test]
async fn details_that_are_too_large_are_refused_for_their_item_alone() {
    let service = Service::start().await;
    let two = json!({"name": "two", "nodes": [{"key": "a"}, {"key": "b"}]});
    service.job(&two).await;
    let leases = service.post(LEASE, &json!({"worker": "w", "max": 2})).await.ok(200);
    let lease = |at: usize| leases["leases"][at]["lease"].clone();
    let items = json!({"items": [
        {"lease": lease(0), "details": "x".repeat(65_535)},
        {"lease": lease(1), "details": "x".repeat(65_534)},
    ]});
    let results = service.post(BEAT, &items).await.ok(200)["results"].clone();
    assert_eq!(results[0]["error"]["status"], 422, "{results}");
    assert_eq!(results[0]["error"]["errors"][0]["pointer"], "/items/0/details");
    assert!(results[1]["error"].is_null() && results[1]["expires_at"].is_string());
    for progress in [json!(1.01), json!(-0.1), json!("half")] {
        let items = json!({"items": [{"lease": lease(0), "progress": progress}]});
        let problem = service.post(BEAT, &items).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/items/0/progress", "{progress}");
    }
}

#[tokio::test]
async fn a_node_shows_what_its_attempts_said_before_and_after_an_event_has_it() {
    let service = Service::start().await;
    let id = service.job(&persistent(3)).await;
    let path = format!("/api/v1/jobs/{id}/nodes");
    let shown = async |at: usize| {
        let node = service.get(&format!("{path}/a")).await.ok(200);
        let attempt = &node["attempts"][at];
        (attempt["progress"].clone(), attempt["details"].clone())
    };
    let lease = leased(&service).await;
    assert_eq!(shown(0).await, (Value::Null, Value::Null));
    let large = json!({"at": "x".repeat(9_000)});
    beat(&service, &lease, json!({"progress": 0.25, "details": large})).await;
    beat(&service, &lease, json!({"progress": 0.5})).await;
    assert_eq!(shown(0).await, (json!(0.5), large.clone()));
    fail(&service, &lease, json!({"type": "Oops"})).await;
    assert_eq!(shown(0).await, (json!(0.5), large), "an event has it");
    let lease = leased(&service).await;
    assert_eq!(shown(1).await, (Value::Null, Value::Null), "the next one said nothing yet");
    beat(&service, &lease, json!({"details": "short"})).await;
    give_back(&service, &lease, 60_000).await;
    assert_eq!(shown(1).await.1, "short");
    let list = service.get(&path).await.ok(200);
    let attempts = &list["nodes"][0]["attempts"];
    assert_eq!((&attempts[0]["details"], &attempts[1]["details"]), (&Value::Null, &json!("short")));
    let until = &list["nodes"][0]["delayed_until"];
    assert!(until.as_str().is_some_and(|at| at.ends_with('Z')), "{list}");
}
