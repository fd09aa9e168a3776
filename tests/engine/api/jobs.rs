//! Jobs: submitting, reading, changing and steering, each well and badly.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::{Service, chain, one_node};

const JOBS: &str = "/api/v1/jobs";

#[tokio::test]
async fn a_submitted_job_is_there_at_once_with_its_location_and_version() {
    let service = Service::start().await;
    let created = service.post(JOBS, &chain()).await;
    let job = created.ok(201);
    let path = format!("{JOBS}/{}", job["id"].as_str().expect("an id"));
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("etag"), format!("\"{}\"", job["version"]));
    let read = service.get(&path).await;
    assert_eq!(read.header("etag"), created.header("etag"));
    let read = read.ok(200);
    assert_eq!((&read["name"], &read["status"]), (&job["name"], &job["status"]));
    assert_eq!(read["nodes"]["total"], 2);
    assert_eq!(read["input"], json!({"n": 1}));
    assert!(read["created_at"].as_str().is_some_and(|at| at.ends_with("000Z")), "{read}");
    let known = [("if-none-match", created.header("etag"))];
    let same = service.call(Method::GET, &path, &known, None).await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
}

#[tokio::test]
async fn bad_submissions_are_refused_and_store_nothing() {
    let service = Service::start().await;
    let before = service.store.appends();
    let bad = [
        ("{", 400, "malformed_json", ""),
        ("", 400, "malformed_json", ""),
        ("[]", 422, "validation_failed", ""),
        (r#"{"nodes": []}"#, 422, "validation_failed", "/name"),
        (r#"{"name": "x", "nodes": []}"#, 422, "validation_failed", "/nodes"),
        (r#"{"name": "", "nodes": [{"key": "a"}]}"#, 422, "validation_failed", "/name"),
        (r#"{"name": "x", "nodes": [{"key": "a b"}]}"#, 422, "validation_failed", "/nodes/0/key"),
        (r#"{"name": "x", "nodes": [{"key": "a"}], "x": 1}"#, 422, "validation_failed", "/x"),
        (
            r#"{"name": "x", "nodes": [{"key": "a", "depends_on": ["a"]}]}"#,
            422,
            "validation_failed",
            "/nodes/0/depends_on/0",
        ),
        (
            r#"{"name": "x", "nodes": [{"key": "a"}], "environment": "nowhere"}"#,
            422,
            "validation_failed",
            "/environment",
        ),
        (
            r#"{"name": "x", "nodes": [{"key": "a", "type": "sub_job"}]}"#,
            422,
            "node_type_not_available",
            "/nodes/0/type",
        ),
        (
            r#"{"name": "x", "nodes": [{"key": "a"}], "recovery": {}}"#,
            422,
            "not_available",
            "/recovery",
        ),
    ];
    for (body, status, code, pointer) in bad {
        let answer = service.call(Method::POST, JOBS, &[], Some(body)).await;
        let problem = answer.problem(status, code);
        if status == 422 {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        }
    }
    let text = [("content-type", "text/plain")];
    let answer = service.call(Method::POST, JOBS, &text, Some("{}")).await;
    answer.problem(415, "unsupported_media_type");
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(9 << 20));
    let answer = service.call(Method::POST, JOBS, &[], Some(&large)).await;
    answer.problem(413, "body_too_large");
    let input = json!({"name": "x", "nodes": [{"key": "a", "input": "y".repeat(300_000)}]});
    service.post(JOBS, &input).await.problem(422, "validation_failed");
    let cycle = json!({"name": "x", "nodes": [
        {"key": "a", "depends_on": ["b"]}, {"key": "b", "depends_on": ["a"]},
    ]});
    let problem = service.post(JOBS, &cycle).await.problem(422, "validation_failed");
    assert!(problem.to_string().contains("a -> b -> a"), "{problem}");
    assert_eq!(service.store.appends(), before, "something was stored");
}

#[tokio::test]
async fn bad_headers_are_refused_with_their_name() {
    let service = Service::start().await;
    let before = service.store.appends();
    let body = one_node().to_string();
    for (name, value, pointer) in [
        ("orrery-namespace", "a b", "Orrery-Namespace"),
        ("idempotency-key", "", "Idempotency-Key"),
        ("idempotency-key", "a b", "Idempotency-Key"),
        ("idempotency-key", &"k".repeat(256), "Idempotency-Key"),
    ] {
        let answer = service.call(Method::POST, JOBS, &[(name, value)], Some(&body)).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    assert_eq!(service.store.appends(), before);
}

#[tokio::test]
async fn a_key_makes_a_submission_count_once() {
    let service = Service::start().await;
    let key = [("idempotency-key", "k-1")];
    let body = chain().to_string();
    let first = service.call(Method::POST, JOBS, &key, Some(&body)).await;
    let id = first.ok(201)["id"].as_str().expect("an id").to_owned();
    // The job goes on; the answer stays the first one.
    service.post(&format!("{JOBS}/{id}/pause"), &json!({})).await.ok(200);
    let spaced = serde_json::to_string_pretty(&chain()).expect("JSON");
    let again = service.call(Method::POST, JOBS, &key, Some(&spaced)).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("location"), first.header("location"));
    let other = service.call(Method::POST, JOBS, &key, Some(&one_node().to_string())).await;
    other.problem(422, "idempotency_key_reused");
    let elsewhere = [("idempotency-key", "k-1"), ("orrery-namespace", "other")];
    let elsewhere = service.call(Method::POST, JOBS, &elsewhere, Some(&body)).await.ok(201);
    assert_ne!(elsewhere["id"], id.as_str(), "a key belongs to its namespace");
}

#[tokio::test]
async fn a_key_makes_a_steering_count_once() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let (pause, resume) = (format!("{JOBS}/{id}/pause"), format!("{JOBS}/{id}/resume"));
    let key = [("idempotency-key", "p")];
    let first = service.call(Method::POST, &pause, &key, Some(r#"{"reason": "why"}"#)).await;
    assert_eq!(first.ok(200)["status"], "paused");
    service.call(Method::POST, &resume, &key, None).await.ok(200);
    let again = service.call(Method::POST, &pause, &key, Some(r#"{"reason":"why"}"#)).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let other = service.call(Method::POST, &pause, &key, Some(r#"{"reason": "else"}"#)).await;
    other.problem(422, "idempotency_key_reused");
    assert_ne!(service.get(&format!("{JOBS}/{id}")).await.ok(200)["status"], "paused");
}

#[tokio::test]
async fn each_job_of_a_batch_is_answered_by_itself() {
    let service = Service::start().await;
    let body = json!({"jobs": [one_node(), {"name": "x", "nodes": [{"key": "a b"}]}, 7, chain()]});
    let key = [("idempotency-key", "batch")];
    let path = format!("{JOBS}/batch");
    let first = service.call(Method::POST, &path, &key, Some(&body.to_string())).await;
    let results = first.ok(200)["results"].clone();
    assert!(results[0]["id"].is_string() && results[0].get("error").is_none(), "{results}");
    assert_eq!(results[1]["error"]["errors"][0]["pointer"], "/jobs/1/nodes/0/key");
    assert_eq!(results[2]["error"]["errors"][0]["pointer"], "/jobs/2");
    assert!(results[3]["id"].is_string());
    let again = service.call(Method::POST, &path, &key, Some(&body.to_string())).await.ok(200);
    assert_eq!(again["results"][0], results[0]);
    assert_eq!(again["results"][3], results[3]);
    for wrong in [json!({}), json!({"jobs": []}), json!({"jobs": {}}), json!({"jobs": [], "x": 1})]
    {
        service.post(&path, &wrong).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whatever_it_is_called() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let strange = "00000000-0000-7000-8000-000000000000";
    for id in [strange, "x", "%00", "%ff", &id[1..]] {
        for (method, end) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::POST, "/pause"),
            (Method::POST, "/start"),
        ] {
            let answer = service.call(method, &format!("{JOBS}/{id}{end}"), &[], None).await;
            answer.problem(404, "job_not_found");
        }
    }
    let elsewhere = [("orrery-namespace", "other")];
    let path = format!("{JOBS}/{id}");
    service.call(Method::GET, &path, &elsewhere, None).await.problem(404, "job_not_found");
}

#[tokio::test]
async fn steering_that_the_state_forbids_says_what_stood_in_the_way() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let path = format!("{JOBS}/{id}");
    let refused = service.post(&format!("{path}/resume"), &json!({})).await;
    let problem = refused.problem(409, "invalid_job_state");
    assert_eq!(problem["job_id"], id.as_str());
    assert!(problem["current"].is_string() && problem["attempted"].is_string(), "{problem}");
    assert_eq!(problem["allowed"], json!(["paused"]));
    service.call(Method::DELETE, &path, &[], None).await.ok(200);
    assert_eq!(service.get(&path).await.ok(200)["status"], "cancelled");
    let again = service.call(Method::POST, &format!("{path}/cancel"), &[], None).await;
    assert_eq!(again.ok(200)["version"], 2, "it is cancelled, as asked, and nothing more happened");
    for end in ["start", "pause", "resume"] {
        let refused = service.call(Method::POST, &format!("{path}/{end}"), &[], None).await;
        refused.problem(409, "invalid_job_state");
    }
    let wrong = service.post(&format!("{path}/pause"), &json!({"why": 1})).await;
    assert_eq!(wrong.problem(422, "validation_failed")["errors"][0]["pointer"], "/why");
    let wrong = service.post(&format!("{path}/pause"), &json!({"reason": "x".repeat(1_001)})).await;
    wrong.problem(422, "validation_failed");
}

#[tokio::test]
async fn a_job_is_changed_only_at_the_version_that_was_read() {
    let service = Service::start().await;
    let mut body = one_node();
    body["start"] = "manual".into();
    let id = service.job(&body).await;
    let path = format!("{JOBS}/{id}");
    let tag = service.get(&path).await.header("etag").to_owned();
    let change = r#"{"name": "new", "tags": ["t"], "priority": 1, "timeout_ms": 60000}"#;
    let at = |tag: &str| vec![("if-match", tag.to_owned())];
    let patched = patch(&service, &path, &at(&tag), change).await;
    let job = patched.ok(200);
    assert_eq!((&job["name"], &job["priority"]), (&"new".into(), &1.into()));
    assert_ne!(patched.header("etag"), tag);
    patch(&service, &path, &at(&tag), change).await.problem(412, "version_mismatch");
    patch(&service, &path, &at("\"0\", W/\"1\""), change).await.problem(412, "version_mismatch");
    patch(&service, &path, &at("7"), change).await.problem(422, "validation_failed");
    let both = format!("{tag}, {}", patched.header("etag"));
    patch(&service, &path, &at(&both), r#"{"description": "d"}"#).await.ok(200);
    let cleared = patch(&service, &path, &at("*"), r#"{"description": null}"#).await.ok(200);
    assert_eq!(cleared["description"], Value::Null);
    for wrong in [
        r#"{"priority": 11}"#,
        r#"{"name": null, "status": "x"}"#,
        r#"{"tags": ["a", "a"]}"#,
        r#"{"scheduled_at": "soon"}"#,
        r#"{"timeout_ms": 5}"#,
        r#"{"metadata": {"$x": 1}}"#,
    ] {
        patch(&service, &path, &[], wrong).await.problem(422, "validation_failed");
    }
    service.post(&format!("{path}/start"), &json!({})).await.ok(200);
    let body = json!({"worker": "w"});
    service.post("/api/v1/queues/default/lease", &body).await.ok(200);
    let late = patch(&service, &path, &[], r#"{"timeout_ms": 90000}"#).await;
    late.problem(409, "already_started");
}

async fn patch(
    service: &Service,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> super::service::Answer {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    service.call(Method::PATCH, path, &headers, Some(body)).await
}

#[tokio::test]
async fn integers_of_any_length_stay_as_they_were_sent() {
    let service = Service::start().await;
    let text = r#"{"name": "n", "metadata": {"n": 12345678901234567890123}, "nodes": [{"key": "a", "metadata": {"n": -98765432109876543210987}}]}"#;
    let headers = [("idempotency-key", "k")];
    let made = service.call(Method::POST, "/api/v1/jobs", &headers, Some(text)).await;
    assert!(made.text.contains("12345678901234567890123"), "{}", made.text);
    let id = made.ok(201)["id"].as_str().expect("an id").to_owned();
    let nodes = service.get(&format!("/api/v1/jobs/{id}/nodes")).await;
    assert!(nodes.text.contains("-98765432109876543210987"), "{}", nodes.text);
    // Another number under the same key is another body, also where a float would not tell them apart.
    let other = text.replace("12345678901234567890123", "12345678901234567890124");
    let refused = service.call(Method::POST, "/api/v1/jobs", &headers, Some(&other)).await;
    refused.problem(422, "idempotency_key_reused");
    let spaced = text.replace("{\"n\"", "{ \"n\"");
    service.call(Method::POST, "/api/v1/jobs", &headers, Some(&spaced)).await.ok(201);
}

#[tokio::test]
async fn no_accept_encoding_keeps_an_answer_back() {
    let service = Service::start().await;
    for said in
        ["identity;q=0", "br, identity;q=0, *;q=0", "deflate", "gzip;q=0", "*;q=0", "nonsense;;"]
    {
        let headers = [("accept-encoding", said)];
        let body = one_node().to_string();
        let answer = service.call(Method::POST, "/api/v1/jobs", &headers, Some(&body)).await;
        answer.ok(201);
    }
}

#[tokio::test]
async fn what_a_list_is_filtered_by_can_be_found_again() {
    let service = Service::start().await;
    for (pointer, body) in [
        ("/name", json!({"name": "a\tb", "nodes": [{"key": "a"}]})),
        ("/tags/0", json!({"name": "n", "tags": ["a\nb"], "nodes": [{"key": "a"}]})),
        ("/job_type", json!({"name": "n", "job_type": "a\tb", "nodes": [{"key": "a"}]})),
        ("/triggered_by", json!({"name": "n", "triggered_by": "a\nb", "nodes": [{"key": "a"}]})),
        ("/nodes/0/queue", json!({"name": "n", "nodes": [{"key": "a", "queue": ".."}]})),
        ("/environment", json!({"name": "n", "environment": ".", "nodes": [{"key": "a"}]})),
    ] {
        let refused = service.post("/api/v1/jobs", &body).await.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    for (filter, body) in [
        ("tag=a%2Cb%26c", json!({"name": "n", "tags": ["a,b&c"], "nodes": [{"key": "a"}]})),
        ("name_prefix=%20x%25", json!({"name": " x%y", "nodes": [{"key": "a"}]})),
        ("job_type=%F0%9F%90%99", json!({"name": "n", "job_type": "🐙", "nodes": [{"key": "a"}]})),
    ] {
        let id = service.job(&body).await;
        let list = service.settled_list(&format!("/api/v1/jobs?{filter}")).await.ok(200);
        assert_eq!(list["jobs"][0]["id"], id.as_str(), "{filter}");
    }
}

#[tokio::test]
async fn an_etag_weakened_on_the_way_is_known_again_and_explained_where_it_cannot_count() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let path = format!("/api/v1/jobs/{id}");
    let headers = [("if-none-match", "W/\"1\"")];
    let known = service.call(Method::GET, &path, &headers, None).await;
    assert_eq!(known.status.as_u16(), 304);
    let headers = [("if-match", "W/\"1\"")];
    let refused = service.call(Method::PATCH, &path, &headers, Some(r#"{"priority": 1}"#)).await;
    let problem = refused.problem(412, "version_mismatch");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("weak entity tag") && detail.contains("send \"1\""), "{detail}");
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_what_it_is() {
    let service = Service::start().await;
    for coding in ["gzip", "br", "identity, gzip"] {
        let headers = [("content-encoding", coding)];
        let answer = service.call(Method::POST, JOBS, &headers, Some("\u{1f}compressed")).await;
        answer.problem(415, "unsupported_media_type");
    }
    let headers = [("content-encoding", "identity")];
    let body = one_node().to_string();
    service.call(Method::POST, JOBS, &headers, Some(&body)).await.ok(201);
}
