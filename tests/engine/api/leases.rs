//! Leasing and reporting: a job run to its end over the API, and every way to do it wrong.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::{Service, chain, one_node};

const LEASE: &str = "/api/v1/queues/default/lease";
const COMPLETE: &str = "/api/v1/leases/complete";
const FAIL: &str = "/api/v1/leases/fail";

async fn lease(service: &Service) -> Value {
    let leased = service.post(LEASE, &json!({"worker": "w", "max": 10})).await.ok(200);
    leased["leases"].clone()
}

#[tokio::test]
async fn a_job_runs_to_its_end() {
    let service = Service::start().await;
    let id = service.job(&chain()).await;
    let leases = lease(&service).await;
    assert_eq!(leases.as_array().map(Vec::len), Some(1), "only the root is ready");
    let first = &leases[0];
    assert_eq!(first["job_id"], id.as_str());
    assert_eq!((&first["node"], &first["attempt"]), (&"a".into(), &1.into()));
    assert_eq!((&first["kind"], &first["action_type"]), (&"do".into(), &"first".into()));
    assert_eq!(first["input"], json!({"x": 1.5}));
    assert_eq!(first["heartbeat_ms"], 10_000);
    assert!(first["trace"].as_str().is_some_and(|trace| trace.len() == 55), "{first}");
    let report = json!({
        "items": [{"lease": first["lease"], "output": {"n": 1}}],
        "lease": {"queue": "default", "worker": "w", "max": 5, "wait_ms": 0},
    });
    let reported = service.post(COMPLETE, &report).await.ok(200);
    assert_eq!(reported["results"][0]["outcome"], "recorded");
    assert_eq!(reported["results"][0]["lease"], first["lease"]);
    assert_eq!(reported["leases"][0]["node"], "b", "the next work comes with the answer");
    let last = json!({"items": [{"lease": reported["leases"][0]["lease"], "output": [2]}]});
    service.post(COMPLETE, &last).await.ok(200);
    let job = service.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    assert_eq!((&job["status"], &job["nodes"]["completed"]), (&"completed".into(), &2.into()));
}

#[tokio::test]
async fn the_same_report_gets_the_first_answer_and_another_is_refused() {
    let service = Service::start().await;
    service.job(&chain()).await;
    let lease = lease(&service).await[0]["lease"].clone();
    let report = json!({"items": [{"lease": lease, "output": 1}]});
    let outcome = |answer: Value| answer["results"][0]["outcome"].clone();
    assert_eq!(outcome(service.post(COMPLETE, &report).await.ok(200)), "recorded");
    assert_eq!(outcome(service.post(COMPLETE, &report).await.ok(200)), "replayed");
    let other = json!({"items": [{"lease": lease, "output": 2}]});
    let refused = service.post(COMPLETE, &other).await.ok(200);
    assert_eq!(refused["results"][0]["outcome"], "refused");
    assert_eq!(refused["results"][0]["error"]["code"], "reported_differently");
    let beat =
        service.post("/api/v1/leases/heartbeat", &json!({"items": [{"lease": lease}]})).await;
    assert_eq!(beat.ok(200)["results"][0]["error"]["code"], "lease_lost");
}

#[tokio::test]
async fn one_bad_item_leaves_its_neighbours_alone() {
    let service = Service::start().await;
    let before = service.job(&one_node()).await;
    let lease = lease(&service).await[0]["lease"].clone();
    let report = json!({"items": [
        {"lease": "nonsense"},
        {"lease": format!("{before}.7.1")},
        {"lease": lease, "output": "x".repeat(300_000)},
        {"lease": lease, "output": "${{ not an expression here }}"},
    ]});
    let results = service.post(COMPLETE, &report).await.ok(200)["results"].clone();
    let codes: Vec<&Value> = (0..3).map(|item| &results[item]["error"]["code"]).collect();
    assert_eq!(codes, ["lease_lost", "lease_lost", "validation_failed"]);
    assert_eq!(results[2]["error"]["errors"][0]["pointer"], "/items/2/output");
    assert_eq!(results[3]["outcome"], "recorded");
}

#[tokio::test]
async fn a_failed_attempt_is_retried_and_a_released_one_is_not_counted() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let first = lease(&service).await[0].clone();
    let release = json!({"items": [{"lease": first["lease"]}]});
    let released = service.post("/api/v1/leases/release", &release).await.ok(200);
    assert_eq!(released["results"][0]["outcome"], "recorded");
    let second = lease(&service).await[0].clone();
    assert_eq!(second["attempt"], 1, "a released attempt is not counted");
    assert!(second["epoch"].as_u64() > first["epoch"].as_u64(), "but its token is spent");
    let failed = json!({"items": [{"lease": second["lease"], "error": {
        "type": "Refused", "message": "no", "class": "network.connect", "details": {"a": 1},
    }}]});
    let failed = service.post(FAIL, &failed).await.ok(200);
    assert_eq!(failed["results"][0]["outcome"], "recorded");
    let job = service.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    assert_eq!((&job["status"], &job["nodes"]["retrying"]), (&"running".into(), &1.into()));
}

#[tokio::test]
async fn a_heartbeat_renews_and_tells_of_a_cancel() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let leased = lease(&service).await[0].clone();
    service.clock.advance(std::time::Duration::from_secs(5));
    let beat = json!({"items": [{"lease": leased["lease"], "progress": 0.5}]});
    let path = "/api/v1/leases/heartbeat";
    let kept = service.post(path, &beat).await.ok(200)["results"][0].clone();
    assert!(kept["expires_at"].as_str() > leased["expires_at"].as_str(), "{kept}");
    assert_eq!(kept["cancel"], false);
    service.call(Method::POST, &format!("/api/v1/jobs/{id}/cancel"), &[], None).await.ok(200);
    let kept = service.post(path, &beat).await.ok(200)["results"][0].clone();
    assert_eq!(kept["cancel"], true, "{kept}");
}

#[tokio::test]
async fn the_same_claim_gives_the_same_leases() {
    let service = Service::start().await;
    service.job(&json!({"name": "two", "nodes": [{"key": "a"}, {"key": "b"}]})).await;
    let body = json!({"worker": "w", "max": 1, "claim": "c-1"});
    let first = service.post(LEASE, &body).await.ok(200);
    let again = service.post(LEASE, &body).await.ok(200);
    assert_eq!(first["leases"][0]["lease"], again["leases"][0]["lease"]);
    let other =
        service.post(LEASE, &json!({"worker": "w", "max": 1, "claim": "c-2"})).await.ok(200);
    assert_ne!(first["leases"][0]["lease"], other["leases"][0]["lease"]);
}

#[tokio::test]
async fn the_history_names_the_request_that_leased() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let body = json!({"worker": "w"}).to_string();
    let asked = [("x-request-id", "asked-for-work")];
    service.call(Method::POST, LEASE, &asked, Some(&body)).await.ok(200);
    let history = service.get(&format!("/api/v1/jobs/{id}/history")).await.ok(200);
    let events = history["events"].as_array().expect("events");
    let leased = events.iter().find(|event| event["type"] == "nodes_leased").expect("a lease");
    assert_eq!(leased["correlation_id"], "asked-for-work", "{leased}");
    assert_eq!(leased["actor"], "worker/w");
}

#[tokio::test]
async fn bad_lease_requests_and_reports_are_refused_and_store_nothing() {
    let service = Service::start().await;
    service.job(&one_node()).await;
    let before = service.store.appends();
    for (wrong, pointer) in [
        (json!({}), "/worker"),
        (json!({"worker": ""}), "/worker"),
        (json!({"worker": 7}), "/worker"),
        (json!({"worker": "w", "max": 0}), "/max"),
        (json!({"worker": "w", "max": 1_001}), "/max"),
        (json!({"worker": "w", "max": -1}), "/max"),
        (json!({"worker": "w", "wait_ms": 30_001}), "/wait_ms"),
        (json!({"worker": "w", "lease_ms": 4_999}), "/lease_ms"),
        (json!({"worker": "w", "action_types": ["a", ""]}), "/action_types/1"),
        (json!({"worker": "w", "claim": ""}), "/claim"),
        (json!({"worker": "w", "nope": 1}), "/nope"),
    ] {
        let problem = service.post(LEASE, &wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{wrong}");
    }
    let answer = service.post("/api/v1/queues/a%20b/lease", &json!({"worker": "w"})).await;
    assert_eq!(answer.problem(422, "validation_failed")["errors"][0]["pointer"], "queue");
    for path in [COMPLETE, FAIL, "/api/v1/leases/release", "/api/v1/leases/heartbeat"] {
        for wrong in [
            json!({}),
            json!({"items": []}),
            json!({"items": [{}]}),
            json!({"items": [{"lease": 7}]}),
            json!({"items": [{"lease": "x", "nope": 1}]}),
            json!({"items": vec![json!({"lease": "x"}); 1_001]}),
        ] {
            service.post(path, &wrong).await.problem(422, "validation_failed");
        }
    }
    let next = json!({"items": [{"lease": "x"}], "lease": {"queue": "a b"}});
    let problem = service.post(COMPLETE, &next).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/lease/queue");
    assert_eq!(service.store.appends(), before, "something was stored");
}

#[tokio::test]
async fn a_client_that_goes_away_during_a_long_poll_holds_no_lease() {
    let service = Service::start().await;
    {
        let body = json!({"worker": "gone", "wait_ms": 20_000});
        let mut poll = Box::pin(service.post(LEASE, &body));
        for _ in 0..100 {
            tokio::select! {
                biased;
                answer = &mut poll => panic!("there is no work yet: {}", answer.text),
                () = tokio::task::yield_now() => {}
            }
        }
        // The connection closes: the handler is dropped where it stands.
    }
    service.job(&one_node()).await;
    let mut leased = lease(&service).await;
    for _ in 0..100 {
        if leased != json!([]) {
            break;
        }
        tokio::task::yield_now().await;
        leased = lease(&service).await;
    }
    assert_eq!(leased[0]["attempt"], 1, "{leased}");
}

#[tokio::test]
async fn a_failure_without_a_class_gets_every_execution_of_its_policy() {
    let service = Service::start().await;
    let mut job = one_node();
    job["retry"] = json!({"strategy": "immediate", "max_attempts": 3, "jitter": {"mode": "none"}});
    let id = service.job(&job).await;
    for attempt in 1..=3 {
        let held = lease(&service).await[0].clone();
        assert_eq!(held["attempt"], attempt);
        let report = json!({"items": [{"lease": held["lease"], "error": {"type": "Oops", "message": "no"}}]});
        service.post(FAIL, &report).await.ok(200);
    }
    let ended = service.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    assert_eq!(
        (&ended["status"], &ended["error"]["class"]),
        (&json!("failed"), &json!("unclassified"))
    );
}
