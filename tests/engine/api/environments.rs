//! Environments: creating, reading, replacing, deleting, and the jobs that name them.

use axum::http::Method;
use serde_json::{Value, json};

use super::service::{Service, one_node};

const ENVIRONMENTS: &str = "/api/v1/environments";

#[tokio::test]
async fn an_environment_lives_from_its_creation_to_its_deletion() {
    let service = Service::start().await;
    let body = json!({"name": "gpu", "description": "cards", "capacity": {"slots": 2}});
    let created = service.post(ENVIRONMENTS, &body).await;
    let environment = created.ok(201);
    assert_eq!(created.header("location"), "/api/v1/environments/gpu");
    assert_eq!((&environment["name"], &environment["grants"]), (&"gpu".into(), &0.into()));
    service.post(ENVIRONMENTS, &body).await.problem(409, "environment_exists");
    let path = "/api/v1/environments/gpu";
    assert_eq!(service.get(path).await.header("etag"), created.header("etag"));
    let old = [("if-match", created.header("etag"))];
    let replace = r#"{"capacity": {"slots": 3}}"#;
    let replaced = service.call(Method::PUT, path, &old, Some(replace)).await;
    assert_eq!(replaced.ok(200)["capacity"], json!({"slots": 3}));
    service.call(Method::PUT, path, &old, Some(replace)).await.problem(412, "version_mismatch");
    service.call(Method::DELETE, path, &old, None).await.problem(412, "version_mismatch");
    let deleted = service.call(Method::DELETE, path, &[], None).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    service.get(path).await.problem(404, "environment_not_found");
    service.call(Method::DELETE, path, &[], None).await.problem(404, "environment_not_found");
}

#[tokio::test]
async fn the_default_environment_is_always_there_and_never_changes() {
    let service = Service::start().await;
    let before = service.store.appends();
    let path = "/api/v1/environments/default";
    assert_eq!(service.get(path).await.ok(200)["capacity"], json!({}));
    let list = service.get(ENVIRONMENTS).await.ok(200);
    assert_eq!(
        (&list["environments"][0]["name"], &list["total_count"]),
        (&"default".into(), &1.into())
    );
    service
        .post(ENVIRONMENTS, &json!({"name": "default"}))
        .await
        .problem(409, "environment_exists");
    service.call(Method::PUT, path, &[], Some("{}")).await.problem(409, "environment_fixed");
    service.call(Method::DELETE, path, &[], None).await.problem(409, "environment_fixed");
    assert_eq!(service.store.appends(), before);
}

#[tokio::test]
async fn pages_of_environments_of_every_size_show_each_once_with_default_first() {
    let service = Service::start().await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        service.post(ENVIRONMENTS, &json!({"name": name})).await.ok(201);
    }
    service.settled_list("/api/v1/jobs").await.ok(200);
    for size in 1..=7 {
        let (mut path, mut seen) = (format!("{ENVIRONMENTS}?page_size={size}"), Vec::new());
        loop {
            let page = service.get(&path).await.ok(200);
            assert_eq!(page["total_count"], 6, "{page}");
            let shown = page["environments"].as_array().expect("environments");
            assert!(shown.len() <= size, "{page}");
            seen.extend(shown.iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("{ENVIRONMENTS}?page_size={size}&cursor={next}");
        }
        assert_eq!(seen, ["default", "a", "b", "c", "d", "e"], "in pages of {size}");
    }
}

#[tokio::test]
async fn bad_environments_are_refused_and_store_nothing() {
    let service = Service::start().await;
    let before = service.store.appends();
    for wrong in [
        json!({}),
        json!({"name": "a b"}),
        json!({"name": "a", "capacity": {"slots": -1}}),
        json!({"name": "a", "capacity": {"sl ots": 1}}),
        json!({"name": "a", "capacity": []}),
        json!({"name": "a", "description": "x".repeat(1_001)}),
        json!({"name": "a", "nope": 1}),
    ] {
        service.post(ENVIRONMENTS, &wrong).await.problem(422, "validation_failed");
    }
    for strange in ["a%20b", "%ff", "nothing"] {
        let answer = service.get(&format!("{ENVIRONMENTS}/{strange}")).await;
        answer.problem(404, "environment_not_found");
    }
    assert_eq!(service.store.appends(), before);
}

#[tokio::test]
async fn a_key_makes_a_creation_count_once() {
    let service = Service::start().await;
    let key = [("idempotency-key", "e")];
    let body = r#"{"name": "gpu", "capacity": {"slots": 1}}"#;
    let first = service.call(Method::POST, ENVIRONMENTS, &key, Some(body)).await;
    first.ok(201);
    let again = service.call(Method::POST, ENVIRONMENTS, &key, Some(body)).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let other = r#"{"name": "gpu", "capacity": {"slots": 2}}"#;
    let other = service.call(Method::POST, ENVIRONMENTS, &key, Some(other)).await;
    other.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_job_is_admitted_as_far_as_its_environment_reaches() {
    let service = Service::start().await;
    let body = json!({"name": "small", "capacity": {"slots": 1}});
    service.post(ENVIRONMENTS, &body).await.ok(201);
    let mut job = one_node();
    job["environment"] = "small".into();
    job["resources"] = json!({"slots": 2});
    let problem = service.post("/api/v1/jobs", &job).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/resources/slots");
    job["resources"] = json!({"slots": 1});
    let first = service.job(&job).await;
    let second = service.job(&job).await;
    let status = async |id: &str| -> Value {
        service.get(&format!("/api/v1/jobs/{id}")).await.ok(200)["status"].clone()
    };
    for _ in 0..10_000 {
        if status(&first).await != "queued" {
            break;
        }
        // An environment grants 2 s after its load at the earliest.
        service.clock.advance(std::time::Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (status(&first).await, status(&second).await),
        ("scheduled".into(), "queued".into())
    );
    let delete = service.call(Method::DELETE, "/api/v1/environments/small", &[], None).await;
    delete.problem(409, "environment_in_use");
}
