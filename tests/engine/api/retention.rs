//! Retention as clients see it: what is let go of, what is still answered for a day, and what is not.

use std::time::Duration;

use axum::http::Method;
use orrery::services::housekeeping::{Keep, Retention};
use serde_json::{Value, json};

use super::service::{Service, one_node};

const HOUR: Duration = Duration::from_hours(1);

/// Submits under a key, so that the id follows from it.
async fn keyed(service: &Service, key: &str, body: &Value) -> super::service::Answer {
    let headers = [("idempotency-key", key)];
    service.call(Method::POST, "/api/v1/jobs", &headers, Some(&body.to_string())).await
}

/// A job that nobody works on.
fn elsewhere() -> Value {
    json!({ "name": "elsewhere", "nodes": [{ "key": "a", "queue": "elsewhere" }] })
}

/// A job that is over.
async fn finished(service: &Service, key: &str) -> String {
    let made = keyed(service, key, &one_node()).await.ok(201);
    let ask = json!({ "worker": "w", "max": 1 });
    let leased = service.post("/api/v1/queues/default/lease", &ask).await.ok(200);
    let report = json!({ "items": [{ "lease": leased["leases"][0]["lease"] }] });
    service.post("/api/v1/leases/complete", &report).await.ok(200);
    made["id"].as_str().expect("an id").to_owned()
}

/// Whole passes until one lets go of nothing. Answers how many went.
async fn passed(service: &Service, keep: Keep) -> u64 {
    let retention = Retention::new(service.engine.clone(), keep);
    let mut all = 0;
    loop {
        let mut gone = 0;
        loop {
            // The view must show what is over before it can be found.
            service.settled_list("/api/v1/jobs").await;
            let (went, over) = retention.step(service.engine.now()).await.expect("a step");
            gone += went;
            if over {
                break;
            }
        }
        all += gone;
        if gone == 0 {
            return all;
        }
    }
}

#[tokio::test]
async fn a_job_that_was_over_for_long_is_gone_and_its_submission_still_answered() {
    let service = Service::start().await;
    let keep = Keep { age: Some(HOUR), jobs: None, every: HOUR, any_clock: false };
    let old = finished(&service, "old").await;
    let first = keyed(&service, "old", &one_node()).await;
    let running = service.job(&elsewhere()).await;
    assert_eq!(passed(&service, keep).await, 0, "nothing is old yet");
    service.pass(HOUR).await;
    let young = finished(&service, "young").await;
    assert_eq!(passed(&service, keep).await, 1);

    let path = format!("/api/v1/jobs/{old}");
    service.until_removed(&old).await;
    service.get(&path).await.problem(410, "job_deleted");
    for below in ["nodes", "history", "graph", "progress"] {
        service.get(&format!("{path}/{below}")).await.problem(410, "job_deleted");
    }
    service.post(&format!("{path}/cancel"), &json!({})).await.problem(410, "job_deleted");
    let again = keyed(&service, "old", &one_node()).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "its first answer");
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("location"), first.header("location"));
    let other = json!({ "name": "other", "nodes": [{ "key": "a" }] });
    keyed(&service, "old", &other).await.problem(422, "idempotency_key_reused");
    let list = service.settled_list("/api/v1/jobs").await.ok(200);
    let listed: Vec<&str> = list["jobs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|job| job["id"].as_str())
        .collect();
    assert!(!listed.contains(&old.as_str()), "{listed:?}");
    assert!(listed.contains(&young.as_str()) && listed.contains(&running.as_str()), "{listed:?}");

    service.pass(HOUR * 25).await;
    service.job(&one_node()).await;
    service.get(&path).await.problem(404, "job_not_found");
    let new = keyed(&service, "old", &other).await.ok(201);
    assert_eq!((&new["id"], &new["name"]), (&json!(old), &json!("other")), "the key is free again");
}

#[tokio::test]
async fn of_too_many_jobs_the_longest_unchanged_go() {
    let service = Service::start().await;
    let mut jobs = Vec::new();
    for number in 0..30 {
        jobs.push(finished(&service, &format!("job-{number}")).await);
        service.pass(Duration::from_mins(1)).await;
    }
    let running = service.job(&elsewhere()).await;
    let keep = Keep { age: None, jobs: Some(10), every: HOUR, any_clock: false };
    assert_eq!(passed(&service, keep).await, 20);
    for (number, job) in jobs.iter().enumerate() {
        let answer = service.get(&format!("/api/v1/jobs/{job}")).await;
        let expected = if number < 20 { 410 } else { 200 };
        assert_eq!(answer.status.as_u16(), expected, "job {number}");
    }
    service.get(&format!("/api/v1/jobs/{running}")).await.ok(200);
}
