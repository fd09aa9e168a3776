//! Requests that wait for a job: answered when it is as they ask, at once when it is so already, and as it is when the
//! time is over.

use std::pin::Pin;
use std::time::Duration;

use serde_json::json;

use super::service::{Answer, Service, one_node};

/// Turns of the runtime in which a request reaches its wait.
const TURNS: usize = 50;

type Asking<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// Polls a request until it waits: it must not be answered before.
async fn until_it_waits(asking: &mut Asking<'_>) {
    for _ in 0..TURNS {
        tokio::select! {
            biased;
            answer = &mut *asking => panic!("answered at once: {}", answer.text),
            () = tokio::task::yield_now() => {}
        }
    }
}

/// The answer, while time goes on by so much at the most.
async fn within(service: &Service, asking: &mut Asking<'_>, most: Duration) -> Answer {
    for _ in 0..most.as_millis() {
        for _ in 0..10 {
            tokio::select! {
                biased;
                answer = &mut *asking => return answer,
                () = tokio::task::yield_now() => {}
            }
        }
        service.pass_exactly(Duration::from_millis(1));
    }
    panic!("no answer within {most:?}")
}

async fn complete_all(service: &Service) {
    let wanted = json!({"worker": "w", "max": 10});
    let leased = service.post("/api/v1/queues/default/lease", &wanted).await.ok(200);
    for lease in leased["leases"].as_array().expect("leases") {
        let report = json!({"items": [{"lease": lease["lease"]}]});
        service.post("/api/v1/leases/complete", &report).await.ok(200);
    }
}

#[tokio::test]
async fn a_request_for_an_end_is_answered_when_the_job_ends() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let path = format!("/api/v1/jobs/{id}?wait_ms=30000&until=ended");
    let mut asking: Asking<'_> = Box::pin(service.get(&path));
    until_it_waits(&mut asking).await;
    complete_all(&service).await;
    // Told by the append, not found by the look that comes each half second.
    let job = within(&service, &mut asking, Duration::from_millis(100)).await.ok(200);
    assert_eq!(job["status"], "completed", "{job}");
    let again = service.get(&path).await.ok(200);
    assert_eq!(again["version"], job["version"], "an ended job is answered at once");
}

#[tokio::test]
async fn a_request_for_a_version_is_answered_when_the_job_has_it() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let path = format!("/api/v1/jobs/{id}?wait_ms=30000&until=version%3E%3D2");
    let mut asking: Asking<'_> = Box::pin(service.get(&path));
    until_it_waits(&mut asking).await;
    service.post(&format!("/api/v1/jobs/{id}/pause"), &json!({})).await.ok(200);
    let job = within(&service, &mut asking, Duration::from_millis(100)).await.ok(200);
    assert_eq!((&job["status"], &job["version"]), (&"paused".into(), &2.into()));
}

#[tokio::test]
async fn when_the_time_is_over_the_job_is_answered_as_it_is() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    let path = format!("/api/v1/jobs/{id}?wait_ms=700");
    let mut asking: Asking<'_> = Box::pin(service.get(&path));
    until_it_waits(&mut asking).await;
    let job = within(&service, &mut asking, Duration::from_millis(710)).await.ok(200);
    assert_eq!(job["status"], "scheduled", "{job}");
}

#[tokio::test]
async fn a_submission_can_wait_for_the_end_of_its_job() {
    let service = Service::start().await;
    let body = one_node();
    let mut asking: Asking<'_> = Box::pin(service.post("/api/v1/jobs?wait_ms=30000", &body));
    until_it_waits(&mut asking).await;
    complete_all(&service).await;
    let answer = within(&service, &mut asking, Duration::from_millis(100)).await;
    assert!(answer.header("location").starts_with("/api/v1/jobs/"));
    assert_eq!(answer.ok(201)["status"], "completed");
}

#[tokio::test]
async fn who_finds_no_place_to_wait_in_has_submitted_nothing() {
    let few = |settings: &mut orrery::config::Settings| settings.server.long_polls_max = 0;
    let service = Service::start_with(orrery::engine::core::CoreSettings::default(), few).await;
    let before = service.store.appends();
    let refused = service.post("/api/v1/jobs?wait_ms=100", &one_node()).await;
    refused.problem(429, "too_many_waiting");
    assert_eq!(service.store.appends(), before);
    let unknown = service.get("/api/v1/jobs/0192aa00-0000-7000-8000-000000000001?wait_ms=0").await;
    unknown.problem(404, "job_not_found");
}

#[tokio::test]
async fn a_poll_that_makes_no_sense_is_refused_with_its_name() {
    let service = Service::start().await;
    let id = service.job(&one_node()).await;
    for (query, name) in [
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=3600001", "wait_ms"),
        ("wait_ms=1&until=done", "until"),
        ("wait_ms=1&until=version%3E2", "until"),
        ("until=ended&wait=1", "wait"),
    ] {
        let refused = service.get(&format!("/api/v1/jobs/{id}?{query}")).await;
        let problem = refused.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], name, "{query}");
    }
    let missing =
        service.get("/api/v1/jobs/0192aa00-0000-7000-8000-000000000001?wait_ms=9000").await;
    missing.problem(404, "job_not_found");
}
