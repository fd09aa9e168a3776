//! Jobs that name retry policies: which may be named, what a job keeps of one, and that nothing done to it later reaches
//! the job.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::Service;

const POLICIES: &str = "/api/v1/retry-policies";
const LEASE: &str = "/api/v1/queues/default/lease";

fn named(name: &str, max_attempts: u32) -> Value {
    json!({"name": name, "strategy": "immediate", "max_attempts": max_attempts})
}

/// Fails the node that is leased next. Answers its state after that.
async fn fails(service: &Service, job: &str, node: &str) -> Value {
    let leased = service.post(LEASE, &json!({"worker": "w"})).await.ok(200)["leases"][0].clone();
    assert_eq!(leased["node"], node, "{leased}");
    let item = json!({"lease": leased["lease"], "error": {"type": "E", "message": "no"}});
    let told = service.post("/api/v1/leases/fail", &json!({"items": [item]})).await.ok(200);
    assert_eq!(told["results"][0]["outcome"], "recorded", "{told}");
    // What is tried again at once is due a moment later.
    service.pass(std::time::Duration::from_millis(20)).await;
    service.get(&format!("/api/v1/jobs/{job}/nodes/{node}")).await.ok(200)["status"].clone()
}

#[tokio::test]
async fn jobs_nodes_groups_and_templates_name_policies_by_id_or_name() {
    let service = Service::start().await;
    let made = service.post(POLICIES, &named("a", 7)).await.ok(201);
    service.post(POLICIES, &named("b c", 5)).await.ok(201);
    let by_id = json!({"policy_id": made["id"]});
    let group = json!({"key": "g", "type": "parallel_group", "retry": {"policy_id": "b c"},
        "for_each": [1, 2], "template": {"action_type": "x", "retry": by_id}});
    let body = json!({"name": "j", "retry": {"policy_id": "a"}, "nodes": [
        {"key": "plain"}, {"key": "own", "retry": {"max_attempts": 2}}, {"key": "same", "retry": by_id}, group,
    ]});
    let job = service.post("/api/v1/jobs", &body).await.ok(201);
    let id = job["id"].as_str().expect("an id");
    let (retry, version) = (&job["retry"], &made["version"]);
    assert_eq!((&retry["policy_id"], &retry["version"]), (&made["id"], version));
    assert_eq!((&retry["policy_name"], &retry["max_attempts"]), (&json!("a"), &json!(7)));
    let of = async |node: &str| {
        let path = format!("/api/v1/jobs/{id}/nodes/{node}");
        service.get(&path).await.ok(200)["retry_policy"].clone()
    };
    assert_eq!(of("plain").await, Value::Null);
    assert_eq!(of("same").await, *retry);
    let own = of("own").await;
    assert_eq!((&own["max_attempts"], own.get("policy_id")), (&json!(2), None));
    assert_eq!(of("g").await["policy_name"], "b c");
    let nodes = service.get(&format!("/api/v1/jobs/{id}/nodes")).await.ok(200);
    let copies = nodes["nodes"].as_array().expect("nodes").iter();
    let of_copies = copies.filter(|node| node["retry_policy"]["policy_id"] == made["id"]);
    assert_eq!(of_copies.count(), 3, "same, and two copies of the template: {nodes}");
    let history = service.get(&format!("/api/v1/jobs/{id}/history")).await.text;
    let lease = service.post(LEASE, &json!({"worker": "w", "max": 1})).await.ok(200);
    assert_eq!(lease["leases"][0]["max_attempts"], 7, "the copy of the job: {lease} {history}");
}

#[tokio::test]
async fn a_job_keeps_its_copy_when_the_policy_is_replaced_or_deleted() {
    let service = Service::start().await;
    let made = service.post(POLICIES, &named("a", 2)).await.ok(201);
    let body = json!({"name": "j", "nodes": [{"key": "n", "retry": {"policy_id": "a"}}]});
    let first = service.job(&body).await;
    let path = format!("{POLICIES}/a");
    let other = r#"{"strategy": "none"}"#;
    let anew = service.call(Method::PUT, &path, &[], Some(other)).await.ok(200);
    assert_eq!(fails(&service, &first, "n").await, "ready", "by its copy there is one more");
    let second = service.post("/api/v1/jobs", &body).await.ok(201);
    service.call(Method::DELETE, &path, &[], None).await;
    let of = async |job: &str| {
        let path = format!("/api/v1/jobs/{job}/nodes/n");
        service.get(&path).await.ok(200)["retry_policy"].clone()
    };
    let second = second["id"].as_str().expect("an id");
    assert_eq!(
        (&of(&first).await["version"], &of(&first).await["strategy"]),
        (&made["version"], &json!("immediate"))
    );
    assert_eq!(
        (&of(second).await["version"], &of(second).await["strategy"]),
        (&anew["version"], &json!("none"))
    );
    let problem = service.post("/api/v1/jobs", &body).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/nodes/0/retry/policy_id");

    // Another life of the engine over the same store knows the copies from the jobs' own streams.
    let again = service.started_again().await;
    again.pass(std::time::Duration::from_secs(1)).await;
    let shown = again.get(&format!("/api/v1/jobs/{first}/nodes/n")).await.ok(200);
    assert_eq!(shown["retry_policy"]["version"], made["version"], "{shown}");
    assert_eq!(fails(&again, &first, "n").await, "failed", "its two executions are used up");
}

#[tokio::test]
async fn a_submission_that_comes_again_is_answered_whatever_became_of_its_policies() {
    let service = Service::start().await;
    service.post(POLICIES, &named("a", 2)).await.ok(201);
    let body =
        json!({"name": "j", "retry": {"policy_id": "a"}, "nodes": [{"key": "n"}]}).to_string();
    let key = [("idempotency-key", "k")];
    let first = service.call(Method::POST, "/api/v1/jobs", &key, Some(&body)).await;
    first.ok(201);
    for change in [Method::PUT, Method::DELETE] {
        let anew = (change == Method::PUT).then_some(r#"{"max_attempts": 9}"#);
        service.call(change, &format!("{POLICIES}/a"), &[], anew).await;
        let again = service.call(Method::POST, "/api/v1/jobs", &key, Some(&body)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
    }
    let other = [("idempotency-key", "other")];
    let other = service.call(Method::POST, "/api/v1/jobs", &other, Some(&body)).await;
    other.problem(422, "validation_failed");
}

#[tokio::test]
async fn what_cannot_be_named_is_refused_where_it_stands_and_stores_nothing() {
    let service = Service::start().await;
    service.post(POLICIES, &named("a", 2)).await.ok(201);
    let there = [("orrery-namespace", "other")];
    let body = named("b", 2).to_string();
    let elsewhere = service.call(Method::POST, POLICIES, &there, Some(&body)).await;
    let elsewhere = elsewhere.ok(201)["id"].clone();
    let before = service.store.appends();
    let node = |retry: Value| json!({"name": "j", "nodes": [{"key": "a"}, {"key": "b"}, {"key": "c"}, {"key": "d", "retry": retry}]});
    let job = |retry: Value| json!({"name": "j", "retry": retry, "nodes": [{"key": "a"}]});
    let member = json!({"name": "j", "nodes": [{"key": "g", "type": "sequential_group", "nodes": [{"key": "m", "retry": {"policy_id": "x"}}]}]});
    #[rustfmt::skip]
    let wrong = [
        (node(json!({"policy_id": "nothing"})), "/nodes/3/retry/policy_id", "unknown_policy"),
        (node(json!({"policy_id": elsewhere})), "/nodes/3/retry/policy_id", "unknown_policy"),
        (node(json!({"policy_id": "b"})), "/nodes/3/retry/policy_id", "unknown_policy"),
        (node(json!({"policy_id": ""})), "/nodes/3/retry/policy_id", "unknown_policy"),
        (node(json!({"policy_id": 7})), "/nodes/3/retry/policy_id", "wrong_type"),
        (node(json!({"policy_id": "a", "max_attempts": 2})), "/nodes/3/retry/max_attempts", "contradiction"),
        (node(json!({"policy_id": "a", "rules": [{"types": ["A"]}]})), "/nodes/3/retry/rules", "contradiction"),
        (job(json!({"policy_id": "nothing"})), "/retry/policy_id", "unknown_policy"),
        (job(json!({"policy_id": "a", "strategy": "none"})), "/retry/strategy", "contradiction"),
        (member, "/nodes/0/nodes/0/retry/policy_id", "unknown_policy"),
    ];
    for (body, pointer, code) in wrong {
        let problem = service.post("/api/v1/jobs", &body).await.problem(422, "validation_failed");
        let error = &problem["errors"][0];
        let said = (error["pointer"].as_str(), error["code"].as_str());
        assert_eq!(said, (Some(pointer), Some(code)), "{body}: {problem}");
    }
    let batch = json!({"jobs": [job(json!({"policy_id": "a"})), job(json!({"policy_id": "x"}))]});
    let before_batch = service.store.appends();
    assert_eq!(before_batch, before);
    let results = service.post("/api/v1/jobs/batch", &batch).await.ok(200)["results"].clone();
    assert!(results[0]["id"].is_string(), "{results}");
    assert_eq!(results[1]["error"]["errors"][0]["pointer"], "/jobs/1/retry/policy_id");
}

#[tokio::test]
async fn a_named_policy_is_previewed() {
    let service = Service::start().await;
    let mut policy = named("a", 3);
    policy["strategy"] = json!("linear_backoff");
    policy["jitter"] = json!({"mode": "none"});
    let made = service.post(POLICIES, &policy).await.ok(201);
    let path = format!("{POLICIES}/preview");
    for body in [
        json!({"policy_id": "a", "attempts": 3}),
        json!({"policy_id": made["id"], "attempts": 3}),
        json!({"policy": {"policy_id": "a"}, "attempts": 3}),
    ] {
        let preview = service.post(&path, &body).await.ok(200);
        let waits: Vec<_> = preview["waits"].as_array().expect("waits").iter().collect();
        let shown: Vec<_> = waits.iter().map(|wait| wait["delay_ms"].as_u64()).collect();
        assert_eq!(shown, [Some(1_000), Some(2_000), None], "{body}");
    }
    for (body, pointer, code) in [
        (json!({"policy_id": "x"}), "/policy_id", "unknown_policy"),
        (json!({"policy": {"policy_id": "x"}}), "/policy/policy_id", "unknown_policy"),
        (json!({"policy_id": "a", "policy": {}}), "/policy_id", "contradiction"),
    ] {
        let problem = service.post(&path, &body).await.problem(422, "validation_failed");
        let error = &problem["errors"][0];
        let said = (error["pointer"].as_str(), error["code"].as_str());
        assert_eq!(said, (Some(pointer), Some(code)), "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_job_that_says_nothing_gets_the_policy_of_its_type_and_keeps_it() {
    let service = Service::start().await;
    let of = |name: &str, types: Value, most: u32| {
        let mut policy = named(name, most);
        policy["applicable_job_types"] = types;
        policy
    };
    let first = service.post(POLICIES, &of("second by name", json!(["etl.*"]), 7)).await.ok(201);
    assert_eq!(first["applicable_job_types"], json!(["etl.*"]));
    service.pass(std::time::Duration::from_secs(1)).await;
    service.post(POLICIES, &of("first by name", json!(["etl.load", "web"]), 8)).await.ok(201);
    service.post(POLICIES, &named("by hand", 2)).await.ok(201);
    let job = async |body: Value| service.post("/api/v1/jobs", &body).await.ok(201);
    let node = || json!([{"key": "n"}]);

    let older = job(json!({"name": "j", "job_type": "etl.load", "nodes": node()})).await;
    assert_eq!(older["retry"]["policy_name"], "second by name", "created first");
    assert_eq!(older["retry"]["version"], first["version"]);
    let exact = job(json!({"name": "j", "job_type": "web", "nodes": node()})).await;
    assert_eq!(exact["retry"]["policy_name"], "first by name");
    for other in [json!("etl"), json!("ETL.load"), json!("webs"), Value::Null] {
        let none = job(json!({"name": "j", "job_type": other, "nodes": node()})).await;
        assert_eq!(none["retry"], Value::Null, "{other}");
    }
    let own =
        job(json!({"name": "j", "job_type": "web", "retry": {"max_attempts": 5}, "nodes": node()}))
            .await;
    assert_eq!((&own["retry"]["max_attempts"], own["retry"].get("policy_id")), (&json!(5), None));
    let nodes = json!([{"key": "n", "retry": {"policy_id": "by hand"}}, {"key": "m"}]);
    let both = job(json!({"name": "j", "job_type": "web", "nodes": nodes})).await;
    assert_eq!(both["retry"]["policy_name"], "first by name", "for nodes that say nothing");
    let lease = service.post(LEASE, &json!({"worker": "w", "max": 100})).await.ok(200);
    let most: Vec<u64> = lease["leases"]
        .as_array()
        .expect("leases")
        .iter()
        .map(|lease| lease["max_attempts"].as_u64().expect("a number"))
        .collect();
    assert_eq!(most, [7, 8, 3, 3, 3, 3, 5, 2, 8]);

    // What was submitted keeps it, and what comes does not get it any more.
    let path = format!("{POLICIES}/first%20by%20name");
    service.call(Method::PUT, &path, &[], Some(r#"{"strategy": "none"}"#)).await.ok(200);
    let id = exact["id"].as_str().expect("an id");
    let kept = service.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    assert_eq!(kept["retry"]["max_attempts"], 8);
    let after = job(json!({"name": "j", "job_type": "web", "nodes": node()})).await;
    assert_eq!(after["retry"], Value::Null);
}
