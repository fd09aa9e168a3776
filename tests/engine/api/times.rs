//! What happens by itself because its time has come: starts, time-outs, retries.

use std::time::Duration;

use serde_json::{Value, json};

use super::service::Service;

const JOBS: &str = "/api/v1/jobs";

/// The job once it has this status; the engine gets its turns meanwhile.
async fn reaches(service: &Service, id: &str, status: &str) -> Value {
    let mut job = Value::Null;
    for _ in 0..100 {
        job = service.get(&format!("{JOBS}/{id}")).await.ok(200);
        if job["status"] == status {
            return job;
        }
        tokio::task::yield_now().await;
    }
    panic!("the job never became {status}: {job}")
}

#[tokio::test]
async fn a_job_submitted_for_later_starts_by_itself() {
    let service = Service::start().await;
    let created = service
        .post(
            JOBS,
            &json!({"name": "later", "scheduled_at": "2023-11-14T22:13:30Z", "nodes": [{"key": "a"}]}),
        )
        .await
        .ok(201);
    assert_eq!(created["status"], "pending");
    assert_eq!(created["created_at"], "2023-11-14T22:13:20.000Z");
    let id = created["id"].as_str().expect("an id").to_owned();
    service.clock.advance(Duration::from_millis(9_999));
    assert_eq!(service.get(&format!("{JOBS}/{id}")).await.ok(200)["status"], "pending");
    service.clock.advance(Duration::from_millis(1));
    reaches(&service, &id, "scheduled").await;
}
