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

async fn events_of(service: &Service, id: &str) -> Vec<Value> {
    let history = service.get(&format!("/api/v1/jobs/{id}/history")).await.ok(200);
    history["events"].as_array().expect("events").clone()
}

#[tokio::test]
async fn a_lease_that_was_made_up_changes_nothing_and_leaves_no_trace() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let held = lease(&service).await[0].clone();
    let right = held["lease"].as_str().expect("a lease").to_owned();
    // All that is shown of a lease: its job, node and epoch, and what others were given.
    let epoch = &held["epoch"];
    let (name, proof) = right.split_at(right.match_indices('.').nth(2).expect("three parts").0);
    assert_eq!(name, format!("{id}.0.{epoch}"));
    let mut turned = right.clone().into_bytes();
    let last = turned.len() - 2;
    turned[last] = if turned[last] == b'A' { b'B' } else { b'A' };
    let forged = [
        name.to_owned(),
        format!("{name}.dw"),
        format!("{name}.dw."),
        format!("{name}.dw.{}", "A".repeat(22)),
        format!("{id}.0.{}{proof}", epoch.as_u64().expect("a number") + 1),
        format!("{id}.1.{epoch}{proof}"),
        format!("{right}x"),
        String::from_utf8(turned).expect("text"),
        "x".repeat(100_000),
        String::new(),
    ];
    let (appends, events) = (service.store.appends(), events_of(&service, &id).await);
    for text in &forged {
        let report = json!({"items": [{"lease": text, "output": 666}]});
        let failure = json!({"items": [{"lease": text, "error": {"type": "x"}}]});
        let only = json!({"items": [{"lease": text}]});
        for (path, body) in [
            (COMPLETE, &report),
            (FAIL, &failure),
            ("/api/v1/leases/release", &only),
            ("/api/v1/leases/heartbeat", &only),
        ] {
            let result = service.post(path, body).await.ok(200)["results"][0].clone();
            assert_eq!(result["error"]["code"], "lease_lost", "{path}: {text}");
            let detail = result["error"]["detail"].as_str().expect("what is wrong");
            assert!(detail.contains("no lease that was handed out"), "{detail}");
            assert_eq!(result["lease"], text.as_str());
        }
    }
    // Of another namespace it is no lease either.
    let body = json!({"items": [{"lease": right, "output": 666}]}).to_string();
    let there = [("orrery-namespace", "another")];
    let refused = service.call(Method::POST, COMPLETE, &there, Some(&body)).await.ok(200);
    assert_eq!(refused["results"][0]["error"]["code"], "lease_lost");
    assert_eq!(service.store.appends(), appends, "nothing of it was stored");
    assert_eq!(events_of(&service, &id).await, events, "nor is it kept as evidence");
    let report = json!({"items": [{"lease": right, "output": 1}]});
    let recorded = service.post(COMPLETE, &report).await.ok(200);
    assert_eq!(recorded["results"][0]["outcome"], "recorded", "the honest worker's counts");
}

#[tokio::test]
async fn the_history_names_the_worker_that_reported() {
    let service = Service::start().await;
    let id = service.job(&chain()).await;
    let held = lease(&service).await[0]["lease"].clone();
    let next = json!({"queue": "default", "max": 1});
    let report = json!({"items": [{"lease": held, "output": 1}], "lease": next});
    let second = service.post(COMPLETE, &report).await.ok(200)["leases"][0]["lease"].clone();
    service.post(COMPLETE, &json!({"items": [{"lease": second}]})).await.ok(200);
    let events = events_of(&service, &id).await;
    let by = |kind: &str| {
        let of_kind = events.iter().filter(|event| event["type"] == kind);
        let facts = of_kind.filter(|event| event["derived"] != true);
        facts.map(|event| event["actor"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(by("node_completed"), ["worker/w", "worker/w"]);
    assert_eq!(by("nodes_leased"), ["worker/w", "worker/w"], "whoever reported asks");
}

#[tokio::test]
async fn every_attempt_of_a_node_has_the_same_idempotency_key_and_an_attempt_key_of_its_own() {
    let service = Service::start().await;
    let mut job = one_node();
    job["retry"] = json!({"strategy": "immediate", "max_attempts": 5, "jitter": {"mode": "none"}});
    let id = service.job(&job).await;
    let other = service.job(&one_node()).await;
    let leases = lease(&service).await;
    let of = |leases: &Value, job: &str| {
        let leases = leases.as_array().expect("leases").clone();
        leases.into_iter().find(|lease| lease["job_id"] == job).expect("a lease of the job")
    };
    let first = of(&leases, &id);
    assert_ne!(first["idempotency_key"], of(&leases, &other)["idempotency_key"]);
    assert_ne!(first["idempotency_key"], first["attempt_key"]);
    // A failure, then a lease that runs out.
    let failed = json!({"items": [{"lease": first["lease"], "error": {"type": "Oops"}}]});
    service.post(FAIL, &failed).await.ok(200);
    service.pass(std::time::Duration::from_secs(1)).await;
    let second = of(&lease(&service).await, &id);
    // In steps: an engine that did not listen for a second lets no lease run out.
    for _ in 0..80 {
        service.pass(std::time::Duration::from_millis(400)).await;
    }
    let third = of(&lease(&service).await, &id);
    let attempts = [&first, &second, &third];
    assert_eq!(attempts.map(|lease| lease["attempt"].clone()), [1, 2, 3].map(Value::from));
    for lease in attempts {
        assert_eq!(lease["idempotency_key"], first["idempotency_key"], "{lease}");
    }
    let keys: std::collections::BTreeSet<String> =
        attempts.map(|lease| lease["attempt_key"].to_string()).into_iter().collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}
