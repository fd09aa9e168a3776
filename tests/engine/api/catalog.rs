//! Retry policies that a namespace keeps: creating, reading, listing, replacing, deleting.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::Service;

const POLICIES: &str = "/api/v1/retry-policies";

fn named(name: &str) -> Value {
    json!({"name": name, "strategy": "linear_backoff", "max_attempts": 4, "base_delay_ms": 250})
}

#[tokio::test]
async fn a_policy_lives_from_its_creation_to_its_deletion() {
    let service = Service::start().await;
    let mut body = named("flaky http");
    body["description"] = json!("what is down for seconds");
    body["tags"] = json!(["http"]);
    body["metadata"] = json!({"owner": "shop", "k": null});
    body["rules"] = json!([{"types": ["Http5*"], "max_attempts": 9}]);
    let created = service.post(POLICIES, &body).await;
    let policy = created.ok(201);
    let id = policy["id"].as_str().expect("an id").to_owned();
    assert_eq!(created.header("location"), format!("{POLICIES}/{id}"));
    assert_eq!(created.header("etag"), format!("\"{}\"", policy["version"]));
    for field in ["name", "description", "tags", "strategy", "max_attempts", "base_delay_ms"] {
        assert_eq!(policy[field], body[field], "{field}");
    }
    assert_eq!(policy["rules"][0]["max_attempts"], 9);
    assert_eq!(policy["max_delay_ms"], 60_000, "what was left out is the engine's");

    for by in [id.as_str(), "flaky%20http"] {
        let read = service.get(&format!("{POLICIES}/{by}")).await;
        assert_eq!((read.ok(200), read.header("etag")), (policy.clone(), created.header("etag")));
    }
    service.post(POLICIES, &body).await.problem(409, "retry_policy_exists");

    let path = format!("{POLICIES}/{id}");
    let old = [("if-match", created.header("etag"))];
    let replace = r#"{"strategy": "immediate", "max_attempts": 2}"#;
    let replaced = service.call(Method::PUT, &path, &old, Some(replace)).await;
    let anew = replaced.ok(200);
    assert_eq!((&anew["id"], &anew["strategy"]), (&policy["id"], &json!("immediate")));
    assert_eq!((&anew["description"], &anew["rules"]), (&Value::Null, &json!([])));
    assert!(anew["version"].as_u64() > policy["version"].as_u64());
    assert_eq!(anew["created_at"], policy["created_at"]);
    service.call(Method::PUT, &path, &old, Some(replace)).await.problem(412, "version_mismatch");
    service.call(Method::DELETE, &path, &old, None).await.problem(412, "version_mismatch");
    let several = format!("\"1000\", {}", replaced.header("etag"));
    let several = [("if-match", several.as_str())];
    let deleted = service.call(Method::DELETE, &path, &several, None).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    service.get(&path).await.problem(404, "retry_policy_not_found");
    service.call(Method::DELETE, &path, &[], None).await.problem(404, "retry_policy_not_found");
    let gone = service.call(Method::PUT, &path, &[], Some(replace)).await;
    gone.problem(404, "retry_policy_not_found");

    let again = service.post(POLICIES, &body).await.ok(201);
    assert_eq!(again["id"], policy["id"], "an id follows from the name");
    assert!(again["version"].as_u64() > anew["version"].as_u64(), "no version comes twice");
}

#[tokio::test]
async fn a_policy_keeps_its_name_and_one_that_says_the_same_is_no_new_version() {
    let service = Service::start().await;
    let created = service.post(POLICIES, &named("a")).await.ok(201);
    let path = format!("{POLICIES}/a");
    let same = named("a").to_string();
    let replaced = service.call(Method::PUT, &path, &[], Some(&same)).await.ok(200);
    assert_eq!(replaced, created);
    let other = named("b").to_string();
    let problem = service.call(Method::PUT, &path, &[], Some(&other)).await;
    let problem = problem.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/name");
}

#[tokio::test]
async fn pages_of_policies_of_every_size_show_each_once_by_name() {
    let service = Service::start().await;
    let none = service.get(POLICIES).await.ok(200);
    assert_eq!((&none["retry_policies"], &none["total_count"]), (&json!([]), &json!(0)));
    for name in ["e", "b", "d", "a", "c ä"] {
        service.post(POLICIES, &named(name)).await.ok(201);
    }
    for size in 1..=6 {
        let (mut path, mut seen) = (format!("{POLICIES}?page_size={size}"), Vec::new());
        loop {
            let page = service.get(&path).await.ok(200);
            assert_eq!(page["total_count"], 5, "{page}");
            let shown = page["retry_policies"].as_array().expect("policies");
            assert!(shown.len() <= size, "{page}");
            seen.extend(shown.iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("{POLICIES}?page_size={size}&cursor={next}");
        }
        assert_eq!(seen, ["a", "b", "c ä", "d", "e"], "in pages of {size}");
    }
    let second = service.get(&format!("{POLICIES}?page=2&page_size=2")).await.ok(200);
    assert_eq!(second["retry_policies"][0]["name"], "c ä");
    service.get(&format!("{POLICIES}?nope=1")).await.problem(422, "validation_failed");
}

#[tokio::test]
async fn a_namespace_sees_no_other_ones_policies() {
    let service = Service::start().await;
    let there = [("orrery-namespace", "other")];
    let body = named("a").to_string();
    let created = service.call(Method::POST, POLICIES, &there, Some(&body)).await.ok(201);
    let id = created["id"].as_str().expect("an id");
    service.get(&format!("{POLICIES}/{id}")).await.problem(404, "retry_policy_not_found");
    service.get(&format!("{POLICIES}/a")).await.problem(404, "retry_policy_not_found");
    assert_eq!(service.get(POLICIES).await.ok(200)["total_count"], 0);
    let here = service.post(POLICIES, &named("a")).await.ok(201);
    assert_ne!(here["id"], created["id"]);
}

#[tokio::test]
async fn bad_policies_are_refused_where_their_fields_stand_and_store_nothing() {
    let service = Service::start().await;
    let before = service.store.appends();
    let uuid = "0198c0de-0000-7000-8000-000000000001";
    #[rustfmt::skip]
    let wrong = [
        (json!({}), "/name", "required"),
        (json!({"name": 1}), "/name", "wrong_type"),
        (json!({"name": ""}), "/name", "invalid_format"),
        (json!({"name": " a"}), "/name", "invalid_format"),
        (json!({"name": ".."}), "/name", "invalid_format"),
        (json!({"name": "a\nb"}), "/name", "invalid_format"),
        (json!({"name": "x".repeat(256)}), "/name", "invalid_format"),
        (json!({"name": uuid}), "/name", "invalid_format"),
        (json!({"name": "a", "nope": 1}), "/nope", "unknown_field"),
        (json!({"name": "a", "policy_id": "b"}), "/policy_id", "unknown_field"),
        (json!({"name": "a", "description": "x".repeat(1_001)}), "/description", "invalid_length"),
        (json!({"name": "a", "tags": ["b", "b"]}), "/tags/1", "duplicate"),
        (json!({"name": "a", "tags": [""]}), "/tags/0", "invalid_length"),
        (json!({"name": "a", "metadata": {"A": 1}}), "/metadata", "invalid_key"),
        (json!({"name": "a", "metadata": {"a": "x".repeat(20_000)}}), "/metadata", "too_large"),
        (json!({"name": "a", "strategy": "some"}), "/strategy", "invalid_value"),
        (json!({"name": "a", "strategy": "custom_backoff"}), "/delays_ms", "required"),
        (json!({"name": "a", "max_attempts": 0}), "/max_attempts", "out_of_range"),
        (json!({"name": "a", "base_delay_ms": 86_400_001}), "/base_delay_ms", "out_of_range"),
        (json!({"name": "a", "max_delay_ms": 1_000_000_000_001_u64}), "/max_delay_ms", "out_of_range"),
        (json!({"name": "a", "multiplier": 0}), "/multiplier", "out_of_range"),
        (json!({"name": "a", "step_delay_ms": "x"}), "/step_delay_ms", "wrong_type"),
        (json!({"name": "a", "delays_ms": [-1]}), "/delays_ms/0", "out_of_range"),
        (json!({"name": "a", "jitter": {"range": 2}}), "/jitter/range", "out_of_range"),
        (json!({"name": "a", "total_ms": 1}), "/total_ms", "out_of_range"),
        (json!({"name": "a", "retryable_error_types": ["a*b"]}), "/retryable_error_types/0", "invalid_format"),
        (json!({"name": "a", "non_retryable_error_types": [""]}), "/non_retryable_error_types/0", "invalid_length"),
        (json!({"name": "a", "classify": [{"types": [], "class": "x"}]}), "/classify/0/types", "required"),
        (json!({"name": "a", "rules": [{}]}), "/rules/0", "required"),
        (json!({"name": "a", "when": "1 +"}), "/when", "expression"),
        (json!({"name": "a", "windows": [{"from": "08:00", "to": "08:00"}]}), "/windows/0/to", "contradiction"),
        (json!({"name": "a", "on_exhausted": "escalate"}), "/on_exhausted", "not_available"),
        (json!({"name": "a", "strategy": "circuit_breaker"}), "/strategy", "not_available"),
        (json!({"name": "a", "breaker": {}}), "/breaker", "not_available"),
        (json!({"name": "a", "avoid_last_worker": true}), "/avoid_last_worker", "not_available"),
        (json!({"name": "a", "applicable_job_types": ["a*b"]}), "/applicable_job_types/0", "invalid_format"),
        (json!({"name": "a", "applicable_job_types": [""]}), "/applicable_job_types/0", "invalid_length"),
    ];
    for (body, pointer, code) in wrong {
        let kind = if code == "not_available" { code } else { "validation_failed" };
        let problem = service.post(POLICIES, &body).await.problem(422, kind);
        let error = &problem["errors"][0];
        let said = (error["pointer"].as_str(), error["code"].as_str());
        assert_eq!(said, (Some(pointer), Some(code)), "{body}: {problem}");
    }
    for strange in ["%ff", "nothing", uuid, "a%0Ab"] {
        let answer = service.get(&format!("{POLICIES}/{strange}")).await;
        answer.problem(404, "retry_policy_not_found");
    }
    assert_eq!(service.store.appends(), before);
}

#[tokio::test]
async fn a_key_makes_a_creation_count_once() {
    let service = Service::start().await;
    let key = [("idempotency-key", "p")];
    let body = named("a").to_string();
    let first = service.call(Method::POST, POLICIES, &key, Some(&body)).await;
    first.ok(201);
    service.call(Method::PUT, &format!("{POLICIES}/a"), &[], Some("{}")).await.ok(200);
    let again = service.call(Method::POST, POLICIES, &key, Some(&body)).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "as it was made");
    let other = named("b").to_string();
    let other = service.call(Method::POST, POLICIES, &key, Some(&other)).await;
    other.problem(422, "idempotency_key_reused");
}
