//! What waits in each queue, as `/metrics` shows it: for autoscalers and alerts. Written as text at each scrape and not
//! recorded, so that a queue that is gone leaves nothing behind.
//! Always holds: at most as many queues as the engine tells of (200, the first by name), whose names need no escaping.
//! Absent: queues without work, and the numbers themselves (`engine::core`).

use std::fmt::Write as _;

use domain::ids::{Millis, Namespace};

use crate::engine::core::message::QueueFacts;

/// A series a queue: its name, what it says, and its value.
type Series = (&'static str, &'static str, fn(&QueueFacts, Millis) -> f64);

const SERIES: [Series; 4] = [
    ("orrery_queue_depth", "Nodes offered in a queue.", |facts, _| number(facts.ready)),
    (
        "orrery_queue_oldest_age_seconds",
        "How long the node that waits longest in a queue has waited.",
        |facts, now| {
            let waited = facts.oldest_ready_at.map_or(0, |since| now.saturating_sub(since));
            number(u64::try_from(waited).unwrap_or(0)) / 1_000.0
        },
    ),
    ("orrery_queue_running_attempts", "Attempts leased from a queue.", |facts, _| {
        number(facts.running)
    }),
    ("orrery_queue_waiting_polls", "Lease requests that wait at a queue.", |facts, _| {
        number(facts.waiting_polls)
    }),
];

/// Appends the series of these queues.
pub(super) fn append(text: &mut String, queues: &[(Namespace, QueueFacts)], now: Millis) {
    for (name, help, value) in SERIES {
        // Writing into memory has no way to fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (namespace, facts) in queues {
            let value = value(facts, now);
            let queue = &facts.queue;
            let _ = writeln!(text, "{name}{{namespace=\"{namespace}\",queue=\"{queue}\"}} {value}");
        }
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use domain::ids::QueueName;

    use super::*;

    #[test]
    fn depth_and_age_of_a_queue_are_told_by_its_name() {
        let facts = QueueFacts {
            queue: QueueName::parse("shop").expect("a queue"),
            ready: 3,
            running: 1,
            oldest_ready_at: Some(10_000),
            waiting_polls: 0,
            last_poll_at: None,
        };
        let mut text = String::new();
        append(&mut text, &[(Namespace::default_namespace(), facts)], 12_500);
        assert!(
            text.contains("orrery_queue_depth{namespace=\"default\",queue=\"shop\"} 3\n"),
            "{text}"
        );
        let age = "orrery_queue_oldest_age_seconds{namespace=\"default\",queue=\"shop\"} 2.5\n";
        assert!(text.contains(age), "{text}");
    }
}
