//! Whichever engine is asked why a job does not go on, the answer is the same: the same waits, with what only its driver
//! and the engines together know, and the same driver by name.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::two_services::{Pair, call, nobody};

async fn asked(pair: &Pair, at: usize, path: &str) -> Value {
    let answer = call(&pair.engines[at], Method::GET, &format!("{path}/explain"), &[], None).await;
    let mut said = answer.ok(200);
    let answers = said["driving"].as_object_mut().expect("who drives").remove("answers");
    assert_eq!(answers, Some(json!(said["driving"]["engine"] == json!(at + 1))), "{said}");
    said
}

#[tokio::test]
async fn both_engines_name_the_same_driver_and_the_same_waits() {
    let pair = Pair::start().await;
    for driver in [1, 2] {
        let queue = format!("q{driver}");
        let nodes = json!([{"key": "a", "queue": queue}, {"key": "b", "queue": queue},
            {"key": "c", "depends_on": ["a"]}]);
        let body = json!({"name": "j", "nodes": nodes});
        let id = pair.job_of(driver, &body).await;
        let wanted = json!({"worker": "w", "max": 1});
        let lease = format!("/api/v1/queues/{queue}/lease");
        let driving = &pair.engines[driver as usize - 1];
        let leased = call(driving, Method::POST, &lease, &[], Some(&wanted)).await.ok(200);
        assert_eq!(leased["leases"][0]["node"], "a");
        let path = format!("/api/v1/jobs/{id}");
        for path in [path.clone(), format!("{path}/nodes/c"), format!("{path}/nodes/b")] {
            let said = [asked(&pair, 0, &path).await, asked(&pair, 1, &path).await];
            assert_eq!(said[0], said[1]);
            let driving = &said[0]["driving"];
            assert_eq!(driving["engine"], driver);
            assert_eq!(driving["name"], format!("engine-{driver}"));
            assert_eq!(driving["memory"], "held");
            assert!(driving["lease_until"].is_string());
        }
        let said = asked(&pair, 0, &path).await;
        let attempt = &said["waits"][0]["attempts"][0];
        assert!(attempt["lease_expires_at"].is_string(), "its driver knows: {said}");
        let workers = &said["waits"][1]["workers"];
        let ready = workers["ready"].as_u64();
        assert!(ready >= Some(1) && workers["running"] == 1, "{said}");
        assert_eq!(workers["before"], 0);
    }
}

#[tokio::test]
async fn a_job_queued_at_one_engine_for_an_environment_of_either_is_explained_by_both() {
    let pair = Pair::start().await;
    for number in 0..4 {
        let name = format!("pool-{number}");
        let pool = json!({"name": name, "capacity": {"slots": 1}});
        pair.engines[0].post("/api/v1/environments", &pool).await.ok(201);
        let body = json!({"name": "j", "environment": name, "nodes": [{"key": "a"}]});
        let first = format!("/api/v1/jobs/{}", pair.engines[0].job(&body).await);
        let admitted = async {
            while pair.engines[0].get(&first).await.ok(200)["status"] == "queued" {
                tokio::task::yield_now().await;
            }
        };
        pair.pass_until(admitted).await;
        let path = format!("/api/v1/jobs/{}", pair.engines[number % 2].job(&body).await);
        let both = async { [asked(&pair, 0, &path).await, asked(&pair, 1, &path).await] };
        let mut said = both.await;
        for said in &mut said {
            assert_eq!(said["waits"][0]["code"], "grant");
            let environment = &said["waits"][0]["environment"];
            assert_eq!(
                (&environment["name"], &environment["used"]["slots"]),
                (&json!(name), &json!(1))
            );
            // The ask may still be on its way to the environment.
            let asks = &environment["asks"]["before"];
            assert!(*asks == json!(0) || asks.is_null(), "{said}");
            said["waits"][0]["environment"]["asks"] = Value::Null;
            said["waits"][0]["message"] = Value::Null;
        }
        assert_eq!(said[0], said[1]);
    }
}

#[tokio::test]
async fn while_the_driver_does_not_answer_the_state_is_explained_all_the_same() {
    let pair = Pair::start().await;
    let id = pair.job_of(2, &json!({"name": "j", "nodes": [{"key": "a"}]})).await;
    pair.move_second_to(&nobody().await);
    let path = format!("/api/v1/jobs/{id}");
    let said = pair.pass_until(asked(&pair, 0, &path)).await;
    assert_eq!(said["waits"][0]["code"], "worker");
    assert_eq!(said["waits"][0]["workers"]["silent_engines"], json!([2]));
    assert_eq!(
        (&said["driving"]["engine"], &said["driving"]["memory"]),
        (&2.into(), &"unknown".into())
    );
}

#[tokio::test]
async fn an_engine_that_was_evicted_answers_under_its_new_number() {
    let pair = Pair::start().await;
    let answers =
        async |at: usize| pair.engines[at].get("/livez").await.header("orrery-engine").to_owned();
    assert_eq!(answers(0).await, "1; name=\"engine-1\"");
    assert_eq!(answers(1).await, "2; name=\"engine-2\"");
    // The first is silent for longer than its lease, and the second goes on.
    pair.clock.advance(Duration::from_secs(11));
    for at in [1, 0, 1] {
        pair.engines[at].driver.step().await.expect("a look");
    }
    assert_eq!(answers(0).await, "3; name=\"engine-3\"");
    assert_eq!(answers(1).await, "2; name=\"engine-2\"");
    let named = pair.engines[1].get("/api/v1/engines").await.ok(200);
    let numbers: Vec<&Value> =
        named["engines"].as_array().expect("engines").iter().map(|e| &e["engine"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(3)]);
}
