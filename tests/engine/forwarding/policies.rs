//! Retry policies between two engines: what one has made, the other knows at once, and of two that make one name at the
//! same moment one does.

use axum::http::Method;
use serde_json::{Value, json};

use super::two_services::{Pair, call};

const POLICIES: &str = "/api/v1/retry-policies";

fn named(name: &str, max_attempts: u32) -> Value {
    json!({"name": name, "strategy": "immediate", "max_attempts": max_attempts})
}

#[tokio::test]
async fn a_policy_is_named_at_the_other_engine_right_after_its_creation_and_its_replacement() {
    let pair = Pair::start().await;
    for (at, other) in [(0, 1), (1, 0)] {
        let (here, there) = (&pair.engines[at], &pair.engines[other]);
        let name = format!("of {at}");
        let job = json!({"name": "j", "nodes": [{"key": "n", "retry": {"policy_id": name}}]});
        here.post("/api/v1/jobs", &job).await.problem(422, "validation_failed");
        there.post("/api/v1/jobs", &job).await.problem(422, "validation_failed");
        let made = call(here, Method::POST, POLICIES, &[], Some(&named(&name, 2))).await;
        let mut expected = made.ok(201);
        let path = format!("{POLICIES}/{}", expected["id"].as_str().expect("an id"));
        for attempts in 3..6 {
            for service in [there, here] {
                assert_eq!(service.get(&path).await.ok(200), expected);
                let job =
                    call(service, Method::POST, "/api/v1/jobs", &[], Some(&job)).await.ok(201);
                let node = format!("/api/v1/jobs/{}/nodes/n", job["id"].as_str().expect("an id"));
                let kept = service.get(&node).await.ok(200)["retry_policy"].clone();
                assert_eq!(kept["version"], expected["version"], "{kept}");
                assert_eq!(kept["max_attempts"], expected["max_attempts"], "{kept}");
            }
            let body = named(&name, attempts);
            let etag = format!("\"{}\"", expected["version"]);
            let at_it = [("if-match", etag.as_str())];
            expected = call(here, Method::PUT, &path, &at_it, Some(&body)).await.ok(200);
        }
        call(there, Method::DELETE, &path, &[], None).await;
        here.get(&path).await.problem(404, "retry_policy_not_found");
        here.post("/api/v1/jobs", &job).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn of_two_creations_of_one_name_at_two_engines_at_once_one_is_made() {
    let pair = Pair::start().await;
    for round in 0..10 {
        let body = |attempts| named(&format!("round {round}"), attempts);
        let (ours, theirs) = (body(2), body(3));
        let first = call(&pair.engines[0], Method::POST, POLICIES, &[], Some(&ours));
        let second = call(&pair.engines[1], Method::POST, POLICIES, &[], Some(&theirs));
        let (first, second) = tokio::join!(first, second);
        let (made, refused) = if first.status == 201 { (first, second) } else { (second, first) };
        refused.problem(409, "retry_policy_exists");
        let path = format!("{POLICIES}/round%20{round}");
        for engine in &pair.engines {
            assert_eq!(engine.get(&path).await.ok(200), made.ok(201));
        }
    }
}
