//! What the demo runs: a diamond of four nodes, and the worker's code that lets one of them fail once.

use std::time::Duration;

use orrery_client::api::shapes::AttemptErrorShape;
use orrery_client::worker::attempt::{Attempt, AttemptOutcome, RunAttempt, StopSignal};
use orrery_client::worker::raw;
use serde_json::{Value, json};

/// The queue of the demo's nodes.
pub(super) const QUEUE: &str = "demo";
/// The node that fails at its first attempt.
const FLAKY: &str = "charge";
/// The nodes in the order in which they are shown.
pub(super) const KEYS: [&str; 4] = ["order", "reserve", FLAKY, "ship"];

/// The job document.
pub(super) fn document() -> Value {
    let node = |key: &str, name: &str, parents: &[&str], work_ms: u64| json!({ "key": key, "name": name, "queue": QUEUE, "depends_on": parents, "input": { "work_ms": work_ms } });
    json!({
        "name": "demo: one order",
        "description": "A diamond: two nodes run side by side, one of them fails once and is retried.",
        "nodes": [
            node(KEYS[0], "take the order", &[], 400),
            node(KEYS[1], "reserve the goods", &[KEYS[0]], 900),
            node(KEYS[2], "charge the card", &[KEYS[0]], 600),
            node(KEYS[3], "ship", &[KEYS[1], KEYS[2]], 500),
        ]
    })
}

/// Works as long as the input says; the first attempt of one node ends in an error that a retry mends.
#[derive(Debug)]
pub(super) struct DemoWork;

impl RunAttempt for DemoWork {
    async fn run(&self, attempt: Attempt, mut stop: StopSignal) -> AttemptOutcome {
        let input: Value = serde_json::from_str(attempt.input.get()).unwrap_or_default();
        let work_ms = input.get("work_ms").and_then(Value::as_u64).unwrap_or(100);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(work_ms)) => {}
            reason = stop.requested() => return AttemptOutcome::of_stop(reason),
        }
        if attempt.node == FLAKY && attempt.number == 1 {
            return AttemptOutcome::Failed(AttemptErrorShape {
                kind: "CardServiceDown".to_owned(),
                message: "the card service answered 503 (the demo lets the first attempt fail)"
                    .to_owned(),
                class: "server.unavailable".to_owned(),
                retryable: Some(true),
                ..AttemptErrorShape::default()
            });
        }
        AttemptOutcome::completed(raw(&json!({ "done": attempt.node, "attempt": attempt.number })))
    }
}
