//! The operator's brakes over HTTP: what is paused, who did it and until when, what explains say, and what is refused.

use std::time::Duration;

use serde_json::{Value, json};

use super::service::Service;

async fn leased(service: &Service) -> usize {
    let body = json!({"worker": "w", "max": 100});
    let answer = service.post("/api/v1/queues/default/lease", &body).await.ok(200);
    answer["leases"].as_array().expect("leases").len()
}

fn job() -> Value {
    json!({"name": "j", "job_type": "night run", "nodes": [{"key": "n", "action_type": "send mail"}]})
}

#[tokio::test]
async fn each_of_the_three_is_paused_listed_explained_and_resumed() {
    let targets = [
        ("queues/default", "queue", "default"),
        ("action-types/send%20mail", "action_type", "send mail"),
        ("job-types/night%20run", "job_type", "night run"),
    ];
    for (path, kind, name) in targets {
        let service = Service::start().await;
        let id = service.job(&job()).await;
        let why = json!({"reason": "mail is down", "for_ms": 60_000});
        let pause = service.post(&format!("/api/v1/{path}/pause"), &why).await.ok(200);
        assert_eq!((&pause["kind"], &pause["name"]), (&json!(kind), &json!(name)));
        assert_eq!((&pause["paused"], &pause["by"]), (&json!(true), &json!("client")));
        assert!(pause["expires_at"].is_string() && pause["since"].is_string(), "{pause}");
        assert_eq!(leased(&service).await, 0);
        let list = service.get("/api/v1/pauses").await.ok(200);
        assert_eq!((&list["total_count"], &list["pauses"][0]), (&json!(1), &pause));
        let said = service.get(&format!("/api/v1/jobs/{id}/explain")).await.ok(200);
        let wait = &said["waits"][0];
        assert_eq!((&wait["code"], &wait["paused"][0]), (&json!("worker"), &pause), "{said}");
        let message = wait["message"].as_str().expect("words");
        assert!(message.contains("paused by client (mail is down)"), "{message}");
        let node = service.get(&format!("/api/v1/jobs/{id}/nodes/n/explain")).await.ok(200);
        assert_eq!(node["waits"][0]["paused"][0]["name"], name);

        let resumed = service.post(&format!("/api/v1/{path}/resume"), &json!({})).await.ok(200);
        assert_eq!((&resumed["paused"], &resumed["reason"]), (&json!(false), &Value::Null));
        assert_eq!(leased(&service).await, 1);
        assert_eq!(service.get("/api/v1/pauses").await.ok(200)["total_count"], 0);
        // What is not paused can be resumed again.
        service.post(&format!("/api/v1/{path}/resume"), &json!({"reason": "again"})).await.ok(200);
    }
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_survives_another_life_of_the_engine() {
    let service = Service::start().await;
    service.job(&job()).await;
    let path = "/api/v1/queues/default/pause";
    service.post(path, &json!({"for_ms": 10_000})).await.ok(200);
    let again = service.started_again().await;
    again.pass(Duration::from_secs(1)).await;
    assert_eq!(leased(&again).await, 0);
    again.pass(Duration::from_secs(10)).await;
    assert_eq!(leased(&again).await, 1);
    assert_eq!(again.get("/api/v1/pauses").await.ok(200)["total_count"], 0);
}

#[tokio::test]
async fn a_key_counts_once_and_a_pause_is_of_its_namespace_alone() {
    let service = Service::start().await;
    service.job(&job()).await;
    let path = "/api/v1/queues/default/pause";
    let call = async |namespace: &str, key: &str, body: &str| {
        let headers = [("idempotency-key", key), ("orrery-namespace", namespace)];
        service.call(axum::http::Method::POST, path, &headers, Some(body)).await
    };
    call("other", "k", r#"{"reason": "a"}"#).await.ok(200);
    assert_eq!(leased(&service).await, 1, "another namespace's queue");
    let first = call("default", "k", r#"{"for_ms": 5000}"#).await.ok(200);
    service.pass(Duration::from_secs(1)).await;
    assert_eq!(call("default", "k", r#"{"for_ms": 5000}"#).await.ok(200), first);
    call("default", "k", r#"{"for_ms": 6000}"#).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_paused() {
    let service = Service::start().await;
    let cases = [
        ("queues/default", json!({"for_ms": 0}), "/for_ms"),
        ("queues/default", json!({"for_ms": 2_592_000_001_u64}), "/for_ms"),
        ("queues/default", json!({"for_ms": "1"}), "/for_ms"),
        ("queues/default", json!({"expires_at": "soon"}), "/expires_at"),
        ("queues/default", json!({"expires_at": "2001-01-01T00:00:00Z"}), "/expires_at"),
        ("queues/default", json!({"expires_at": "2099-01-01T00:00:00Z"}), "/expires_at"),
        ("queues/default", json!({"expires_at": "2023-11-15T00:00:00Z", "for_ms": 5}), "/for_ms"),
        ("queues/default", json!({"reason": "x".repeat(1_001)}), "/reason"),
        ("queues/default", json!({"until": 5}), "/until"),
        ("queues/a%20b", json!({}), "queue"),
        ("job-types/%20", json!({}), "type"),
    ];
    for (path, body, pointer) in cases {
        let answer = service.post(&format!("/api/v1/{path}/pause"), &body).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path} {body}: {problem}");
    }
    let list = service.get("/api/v1/pauses?kind=queue").await;
    list.problem(422, "validation_failed");
    assert_eq!(service.get("/api/v1/pauses").await.ok(200)["total_count"], 0);
}
