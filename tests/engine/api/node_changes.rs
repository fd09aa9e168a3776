//! Nodes that are changed while they have not run: what a worker, the documents and the history then say, and what is
//! refused.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::{Answer, Service};

async fn change(service: &Service, job: &str, node: &str, body: &Value) -> Answer {
    change_if(service, job, node, body, &[]).await
}

async fn change_if(
    service: &Service,
    job: &str,
    node: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let path = format!("/api/v1/jobs/{job}/nodes/{node}");
    service.call(Method::PATCH, &path, headers, Some(&body.to_string())).await
}

async fn leased(service: &Service, queue: &str) -> Vec<Value> {
    let path = format!("/api/v1/queues/{queue}/lease");
    let answer = service.post(&path, &json!({"worker": "w", "max": 100})).await.ok(200);
    answer["leases"].as_array().expect("leases").clone()
}

#[tokio::test]
async fn a_ready_node_is_leased_where_it_belongs_now_with_what_it_says_now() {
    let service = Service::start().await;
    let body = json!({"name": "j", "input": {"host": "b"}, "nodes": [
        {"key": "n", "action_type": "old", "input": {"host": "a"}}, {"key": "m"}]});
    let job = service.job(&body).await;
    let patch = json!({"queue": "large", "action_type": "new", "priority": 1, "at_most_once": true,
        "timeouts": {"attempt_ms": 60_000}, "retry": {"max_attempts": 8},
        "input": {"host": "${{ job.input.host }}"}, "reason": "wrong host"});
    let changed = change(&service, &job, "n", &patch).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    let shown = changed.ok(200);
    assert_eq!((&shown["queue"], &shown["status"]), (&json!("large"), &json!("ready")));
    assert_eq!((&shown["priority"], &shown["at_most_once"]), (&json!(1), &json!(true)));
    assert_eq!(
        (&shown["input"], &shown["retry_policy"]["max_attempts"]),
        (&json!({"host": "b"}), &json!(8))
    );
    let fields =
        json!(["queue", "action_type", "priority", "timeouts", "retry", "input", "at_most_once"]);
    assert_eq!(shown["changed"]["fields"], fields);
    let graph = service.get(&format!("/api/v1/jobs/{job}/graph")).await.ok(200);
    let marks: Vec<&Value> =
        graph["nodes"].as_array().expect("nodes").iter().map(|node| &node["changed"]).collect();
    assert_eq!(marks, [&json!(true), &json!(false)]);

    assert_eq!(leased(&service, "default").await.len(), 1, "the other one alone");
    let lease = leased(&service, "large").await.pop().expect("a lease");
    assert_eq!((&lease["action_type"], &lease["input"]), (&json!("new"), &json!({"host": "b"})));
    assert_eq!(lease["max_attempts"], 8);
    let queues = service.get("/api/v1/queues").await.ok(200);
    let counts: Vec<(&Value, &Value)> = queues["queues"]
        .as_array()
        .expect("queues")
        .iter()
        .map(|queue| (&queue["queue"], &queue["running"]))
        .collect();
    assert_eq!(counts, [(&json!("default"), &json!(1)), (&json!("large"), &json!(1))]);

    let history = service.get(&format!("/api/v1/jobs/{job}/history")).await.ok(200);
    let events = history["events"].as_array().expect("events");
    let event = events.iter().find(|event| event["type"] == "node_patched").expect("the change");
    assert_eq!((&event["node"], &event["reason"]), (&json!("n"), &json!("wrong host")));
    assert_eq!(event["actor"], "client");
    let data = event["data"].to_string();
    assert!(data.contains("\"large\"") && data.contains("\"old\""), "as it was and is: {data}");
}

#[tokio::test]
async fn the_change_survives_another_life_of_the_engine() {
    let service = Service::start().await;
    let job = service.job(&json!({"name": "j", "nodes": [{"key": "n"}]})).await;
    change(&service, &job, "n", &json!({"queue": "large"})).await.ok(200);
    let again = service.started_again().await;
    again.pass(std::time::Duration::from_secs(1)).await;
    assert_eq!(leased(&again, "default").await, Vec::<Value>::new());
    assert_eq!(leased(&again, "large").await.len(), 1);
}

#[tokio::test]
async fn a_version_that_is_another_one_and_a_node_that_runs_are_conflicts() {
    let service = Service::start().await;
    let nodes =
        json!([{"key": "g", "type": "parallel_group", "nodes": [{"key": "m"}, {"key": "n"}]}]);
    let job = service.job(&json!({"name": "j", "nodes": nodes})).await;
    let patch = json!({"queue": "q"});
    let stale = change_if(&service, &job, "g%2Fm", &patch, &[("if-match", "\"7\"")]).await;
    stale.problem(412, "version_mismatch");
    change_if(&service, &job, "g%2Fm", &patch, &[("if-match", "\"1\"")]).await.ok(200);
    let lease = leased(&service, "default").await.pop().expect("a lease");
    assert_eq!(lease["node"], "g/n");
    let problem = change(&service, &job, "g%2Fn", &patch).await.problem(409, "invalid_node_state");
    assert_eq!((&problem["node"], &problem["current"]), (&json!("g/n"), &json!("running")));
    change(&service, &job, "g%2Fx", &patch).await.problem(404, "node_not_found");
    service.post(&format!("/api/v1/jobs/{job}/cancel"), &json!({})).await.ok(200);
    change(&service, &job, "g%2Fm", &patch).await.problem(409, "invalid_job_state");
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named_and_nothing_is_changed() {
    let service = Service::start().await;
    let body = json!({"name": "j", "nodes": [
        {"key": "n"}, {"key": "c", "type": "checkpoint", "depends_on": ["n"]}]});
    let job = service.job(&body).await;
    let cases = [
        ("n", json!({"queue": "a b"}), "/queue"),
        ("n", json!({"queue": 3}), "/queue"),
        ("n", json!({"action_type": ""}), "/action_type"),
        ("n", json!({"priority": 0}), "/priority"),
        ("n", json!({"priority": 11}), "/priority"),
        ("n", json!({"timeouts": {"queue_ms": 1}}), "/timeouts/queue_ms"),
        ("n", json!({"timeouts": {"x_ms": 1}}), "/timeouts/x_ms"),
        ("n", json!({"retry": {"max_attempts": 0}}), "/retry/max_attempts"),
        ("n", json!({"retry": {"policy_id": "nobody"}}), "/retry/policy_id"),
        ("n", json!({"retry": {"policy_id": "a", "max_attempts": 2}}), "/retry/max_attempts"),
        ("n", json!({"input": "${{ nodes.c.output }}"}), "/input"),
        ("n", json!({"input": {"a": ["${{ 1 + }}"]}}), "/input/a/0"),
        ("n", json!({"at_most_once": "yes"}), "/at_most_once"),
        ("n", json!({"key": "m"}), "/key"),
        ("n", json!({"reason": "x".repeat(1_001)}), "/reason"),
        ("c", json!({"queue": "q"}), "/queue"),
        ("c", json!({"input": 1}), "/input"),
        ("c", json!({"retry": null}), "/retry"),
        ("c", json!({"timeouts": {"total_ms": 5_000}}), "/timeouts/total_ms"),
    ];
    for (node, patch, pointer) in cases {
        let answer = change(&service, &job, node, &patch).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{patch}: {problem}");
    }
    let shown = service.get(&format!("/api/v1/jobs/{job}")).await.ok(200);
    assert_eq!(shown["version"], 1);
    let nothing = change(&service, &job, "n", &json!({})).await.ok(200);
    assert_eq!(nothing["changed"], Value::Null);
    assert_eq!(leased(&service, "default").await.len(), 1);
}
