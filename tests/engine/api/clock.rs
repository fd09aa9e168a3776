//! The wall clock of the machine changes under an engine that serves: small differences are worked off, a wall clock far
//! ahead is stepped to without anybody losing a lease, one that was set back is waited for. Time passes in `pass` only.

use std::time::Duration;

use orrery::environment::Clock as _;
use orrery::services::housekeeping::{Keep, Retention};
use serde_json::{Value, json};

use super::service::Service;

/// Seconds pass; the clock is looked at each second, as the pump does.
async fn pass(service: &Service, seconds: u64) {
    for _ in 0..seconds {
        service.clock.advance(Duration::from_secs(1));
        service.driver.look_at_clock().await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

/// A job that is leased for 30 s; the lease.
async fn leased(service: &Service) -> String {
    service.post("/api/v1/jobs", &json!({ "name": "j", "nodes": [{ "key": "a" }] })).await.ok(201);
    let poll = json!({ "worker": "w", "max": 1, "lease_ms": 30_000 });
    let granted = service.post("/api/v1/queues/default/lease", &poll).await.ok(200);
    granted["leases"][0]["lease"].as_str().expect("a lease").to_owned()
}

async fn heartbeat(service: &Service, lease: &str) -> Value {
    let items = json!({ "items": [{ "lease": lease }] });
    service.post("/api/v1/leases/heartbeat", &items).await.ok(200)["results"][0].clone()
}

#[tokio::test]
async fn a_small_difference_is_worked_off_and_nobody_notices() {
    let service = Service::start().await;
    let begin = service.clock.now_ms();
    service.clock.set_wall_by(4_000);
    pass(&service, 10).await;
    let now = service.clock.now_ms() - begin;
    assert!((10_800..=11_000).contains(&now), "a tenth fast: {now}");
    pass(&service, 40).await;
    assert_eq!(service.clock.ahead_ms(), 0);
    assert_eq!(service.clock.now_ms(), service.clock.wall_ms());
    assert_eq!(service.engine.cluster().clock_stepped(), 0);
}

#[tokio::test]
async fn after_a_suspend_the_clock_steps_and_every_running_lease_is_good_for_one_full_period_more()
{
    let service = Service::start().await;
    let (kept, lost) = (leased(&service).await, leased(&service).await);
    let begin = service.clock.now_ms();
    // Eight hours in which no worker could say anything.
    service.clock.set_wall_by(8 * 3_600_000);
    pass(&service, 1).await;
    assert_eq!(service.clock.now_ms() - begin, 8 * 3_600_000 + 1_000);
    assert_eq!(
        (service.engine.cluster().clock_stepped(), service.driver.clock_difference()),
        (8 * 3_600_000, None)
    );
    pass(&service, 25).await;
    let beat = heartbeat(&service, &kept).await;
    assert!(beat["expires_at"].is_string(), "{beat}");
    // The other one was silent for a full period after the step, and is lost as any other is.
    pass(&service, 20).await;
    let beat = heartbeat(&service, &lost).await;
    assert_eq!(beat["error"]["code"], "lease_lost", "{beat}");
    let beat = heartbeat(&service, &kept).await;
    assert!(beat["expires_at"].is_string(), "{beat}");
    // What is submitted now is dated by the new time.
    let job = service
        .post("/api/v1/jobs", &json!({ "name": "j", "nodes": [{ "key": "a" }] }))
        .await
        .ok(201);
    assert!(
        job["created_at"].as_str().is_some_and(|at| at.starts_with("2023-11-15T06:1")),
        "{job}"
    );
}

#[tokio::test]
async fn a_wall_clock_that_was_set_back_is_said_and_waited_for() {
    let service = Service::start().await;
    let lease = leased(&service).await;
    let begin = service.clock.now_ms();
    service.clock.set_wall_by(-60_000);
    pass(&service, 20).await;
    let now = service.clock.now_ms() - begin;
    assert!((18_000..=18_200).contains(&now), "a tenth slow, and never back: {now}");
    let said = service.driver.clock_difference().expect("it is said");
    assert!(said.contains("ms ahead of its source"), "{said}");
    assert!(heartbeat(&service, &lease).await["expires_at"].is_string());
    pass(&service, 600).await;
    assert_eq!((service.clock.ahead_ms(), service.driver.clock_difference()), (0, None));
}

#[tokio::test]
async fn retention_does_not_believe_a_clock_that_stepped_by_years() {
    let service = Service::start().await;
    let lease = leased(&service).await;
    let done = json!({ "items": [{ "lease": lease }] });
    service.post("/api/v1/leases/complete", &done).await.ok(200);
    service.settled_list("/api/v1/jobs?status=completed").await.ok(200);
    service.clock.set_wall_by(20 * 365 * 86_400_000);
    pass(&service, 2).await;
    let month = Duration::from_hours(24 * 30);
    for (any_clock, gone) in [(false, 0), (true, 1)] {
        let keep = Keep { age: Some(month), jobs: None, every: month, any_clock };
        let retention = Retention::new(service.engine.clone(), keep);
        let mut deleted = 0;
        loop {
            let (some, over) = retention.step(service.clock.now_ms()).await.expect("a step");
            deleted += some;
            if over {
                break;
            }
        }
        assert_eq!(deleted, gone, "any clock is believed: {any_clock}");
    }
}
