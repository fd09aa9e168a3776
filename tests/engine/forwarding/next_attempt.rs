//! What an attempt leaves for the next one, said at an engine that does not drive the job: details of heartbeats and delays of
//! releases come to the same as at the driver.

use std::time::Duration;

use axum::http::Method;
use orrery::environment::Clock as _;
use serde_json::{Value, json};

use super::two_services::{Pair, key_driven_by};
use crate::api::service::Service;

/// Who drives the jobs.
const DRIVER: u32 = 1;
const DELAY_MS: u64 = 3_000;
/// By which the delayed work is handed out late at most: turns of the simulated clock.
const LATE: Duration = Duration::from_millis(900);
const DAY_MS: u64 = 86_400_000;

/// A job of one node, and the engine at which things are said of it.
struct Told<'a> {
    pair: &'a Pair,
    asked: &'a Service,
    queue: String,
    id: String,
}

impl Told<'_> {
    async fn job(pair: &Pair, asked: usize) -> Told<'_> {
        let queue = format!("asked-{asked}");
        let retry = json!({"strategy": "immediate", "max_attempts": 9, "jitter": {"mode": "none"}});
        let job = json!({"name": "j", "retry": retry, "nodes": [{"key": "a", "queue": queue}]});
        let key = key_driven_by(DRIVER, &queue);
        let headers = [("idempotency-key", key.as_str())];
        let asked = &pair.engines[asked];
        let made = asked.call(Method::POST, "/api/v1/jobs", &headers, Some(&job.to_string())).await;
        let id = made.ok(201)["id"].as_str().expect("an id").to_owned();
        Told { pair, asked, queue, id }
    }

    /// What the driver hands out within this time.
    async fn polled(&self, wait_ms: u64) -> Value {
        let path = format!("/api/v1/queues/{}/lease", self.queue);
        let wanted = json!({"worker": "w", "max": 1, "wait_ms": wait_ms});
        let driver = &self.pair.engines[DRIVER as usize - 1];
        let leased = self.pair.pass_until(driver.post(&path, &wanted)).await.ok(200);
        leased["leases"][0].clone()
    }

    /// Says something of a lease at the engine that is asked: the result.
    async fn say(&self, verb: &str, lease: &Value, says: Value) -> Value {
        let mut item = says;
        item["lease"] = lease["lease"].clone();
        let path = format!("/api/v1/leases/{verb}");
        let said = self.asked.post(&path, &json!({ "items": [item] })).await.ok(200);
        said["results"][0].clone()
    }

    async fn heard(&self, lease: &Value, says: Value) {
        let kept = self.say("heartbeat", lease, says).await;
        assert!(kept["error"].is_null() && kept["expires_at"].is_string(), "{kept}");
    }

    async fn reported(&self, verb: &str, lease: &Value, says: Value) {
        let result = self.say(verb, lease, says.clone()).await;
        assert_eq!(result["outcome"], "recorded", "{verb}: {result}");
        let again = self.say(verb, lease, says).await;
        assert_eq!(again["outcome"], "replayed", "{verb}: {again}");
    }

    async fn refused(&self, verb: &str, lease: &Value, says: Value) -> Value {
        let result = self.say(verb, lease, says).await;
        assert!(result["error"].is_object(), "{verb}: {result}");
        result["error"].clone()
    }

    /// The node, which both engines show alike.
    async fn node(&self) -> Value {
        let path = format!("/api/v1/jobs/{}/nodes/a", self.id);
        let [here, there] = &self.pair.engines;
        let (here, there) = (here.get(&path).await.ok(200), there.get(&path).await.ok(200));
        assert_eq!(here, there);
        here
    }
}

#[tokio::test]
async fn details_of_heartbeats_reach_the_next_attempt_whichever_engine_heard_them() {
    let pair = Pair::start().await;
    for asked in [0, 1] {
        let told = Told::job(&pair, asked).await;
        let first = told.polled(0).await;
        told.heard(&first, json!({"progress": 0.25, "details": {"row": [1.50, null]}})).await;
        let attempt = told.node().await["attempts"][0].clone();
        let shown = (&attempt["progress"], &attempt["details"]);
        assert_eq!(shown, (&json!(0.25), &json!({"row": [1.50, null]})), "before an event has it");
        let long = json!("x".repeat(65_534));
        told.heard(&first, json!({ "details": long })).await;
        let longer = json!("x".repeat(65_535));
        let refused = told.refused("heartbeat", &first, json!({ "details": longer })).await;
        assert_eq!(
            (&refused["status"], &refused["errors"][0]["pointer"]),
            (&json!(422), &json!("/items/0/details"))
        );
        told.heard(&first, json!({"progress": 0.5})).await;
        told.reported("fail", &first, json!({"error": {"type": "Oops"}})).await;
        let second = told.polled(0).await;
        assert_eq!((&second["attempt"], &second["previous"]["type"]), (&json!(2), &json!("Oops")));
        assert!(second["details"] == long, "the newest ones, whole");
        assert_eq!(told.node().await["attempts"][0]["progress"], 0.5, "an event has it");
        let late = told.refused("heartbeat", &first, json!({"details": "too late"})).await;
        assert_eq!(late["code"], "lease_lost", "{late}");
        told.heard(&second, json!({"details": null})).await;
        told.reported("release", &second, json!({})).await;
        let third = told.polled(0).await;
        assert_eq!((&third["attempt"], &third["details"]), (&json!(2), &Value::Null), "{third}");
        told.reported("complete", &third, json!({})).await;
    }
}

#[tokio::test]
async fn an_attempt_given_back_for_a_time_waits_for_it_whichever_engine_was_told() {
    let pair = Pair::start().await;
    for asked in [0, 1] {
        let told = Told::job(&pair, asked).await;
        let first = told.polled(0).await;
        told.heard(&first, json!({"details": "for later"})).await;
        let refused = told.refused("release", &first, json!({"after_ms": DAY_MS + 1})).await;
        assert_eq!(
            (&refused["status"], &refused["errors"][0]["pointer"]),
            (&json!(422), &json!("/items/0/after_ms"))
        );
        let due = pair.clock.now_ms() + i64::try_from(DELAY_MS).expect("small");
        told.reported("release", &first, json!({ "after_ms": DELAY_MS })).await;
        let other = told.refused("release", &first, json!({"after_ms": DELAY_MS + 1})).await;
        assert_eq!(other["code"], "reported_differently", "{other}");
        let node = told.node().await;
        assert_eq!((&node["status"], &node["attempt"]), (&json!("waiting"), &json!(0)), "{node}");
        assert!(node["delayed_until"].is_string(), "{node}");
        assert!(told.polled(DELAY_MS - 1_000).await.is_null(), "its time has not come");
        let second = told.polled(DELAY_MS).await;
        let late = u64::try_from(pair.clock.now_ms() - due).expect("not before");
        assert!(Duration::from_millis(late) <= LATE, "{late} ms late");
        assert_eq!((&second["attempt"], &second["details"]), (&json!(1), &json!("for later")));
        told.reported("complete", &second, json!({})).await;
    }
}
