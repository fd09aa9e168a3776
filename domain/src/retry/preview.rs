//! What a policy would do, seen in advance. The same `verdict` as for a job's node gives every wait, so that what is shown is
//! what is done. Attempts take no time; each fails in the same way.

use super::condition::JobParts;
use super::facts::ErrorFacts;
use super::policy::{OnExhausted, RetryPolicy};
use super::verdict::{RetryVerdict, Tried, verdict};
use crate::ids::Millis;

/// How the node of a preview fails.
#[derive(Debug, Clone, Copy)]
pub struct PreviewOrder<'a> {
    /// How many attempts are looked at.
    pub attempts: u32,
    /// In [0, 1], one an attempt and then from the first again; empty: 0.5.
    pub draws: &'a [f64],
    pub facts: ErrorFacts<'a>,
    /// When the first attempt fails.
    pub at: Millis,
}

/// What a policy would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// After each attempt, the first included.
    pub waits: Vec<PreviewedWait>,
    /// The sum of all waits, in milliseconds.
    pub total_ms: u64,
    /// What follows the first failure.
    pub decision: &'static str,
    /// What settled it.
    pub reason: String,
    /// The class that decided.
    pub class: String,
}

/// What follows one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PreviewedWait {
    /// Milliseconds; none: no other attempt follows.
    pub delay_ms: Option<u64>,
    /// The shortest and the longest wait that a draw can give.
    pub range: Option<(u64, u64)>,
    /// The place of the rule that decided.
    pub rule: Option<usize>,
}

/// The waits of a node that fails again and again.
pub fn preview(policy: &RetryPolicy, order: &PreviewOrder<'_>) -> Preview {
    let class = policy.class_of(order.facts.error_type, order.facts.known_class());
    let facts = ErrorFacts { class, ..order.facts };
    let mut seen = Preview {
        waits: Vec::with_capacity(order.attempts as usize),
        total_ms: 0,
        decision: "fail",
        reason: String::new(),
        class: facts.class.to_owned(),
    };
    let (mut now, mut previous_wait_ms) = (order.at, 0);
    let mut by_rule = vec![0_u32; policy.rules.len()];
    let untimed = RetryPolicy { total_ms: None, ..policy.clone() };
    for executions in 1..=order.attempts {
        let drawn = |draw: f64| Tried {
            executions,
            by_rule: &by_rule,
            previous_wait_ms,
            draw,
            now,
            since: order.at,
            deadline: None,
            job: JobParts::default(),
        };
        let place = (executions - 1) as usize % order.draws.len().max(1);
        let draw = order.draws.get(place).copied().unwrap_or(0.5);
        let judged = verdict(policy, &facts, &drawn(draw));
        if executions == 1 {
            (seen.decision, seen.reason) = decision(policy, &judged);
        }
        let RetryVerdict::Retry { wait_ms, due, rule, .. } = judged else {
            // A longer wait may be too late where a shorter one is not; no later attempt is there all the same.
            let missing = (executions..=order.attempts).map(|_| PreviewedWait::default());
            seen.waits.extend(missing);
            break;
        };
        let end = |draw| match verdict(&untimed, &facts, &drawn(draw)) {
            RetryVerdict::Retry { wait_ms, .. } => Some(wait_ms),
            RetryVerdict::Final { .. } => None,
        };
        let range = end(0.0).zip(end(1.0)).map(|(least, most)| (least.min(most), most.max(least)));
        seen.waits.push(PreviewedWait { delay_ms: Some(wait_ms), range, rule });
        seen.total_ms = seen.total_ms.saturating_add(wait_ms);
        (now, previous_wait_ms) = (due, wait_ms);
        if let Some(count) = rule.and_then(|rule| by_rule.get_mut(rule)) {
            *count += 1;
        }
    }
    seen
}

fn decision(policy: &RetryPolicy, judged: &RetryVerdict) -> (&'static str, String) {
    match judged {
        RetryVerdict::Retry { why, .. } => ("retry", why.to_string()),
        RetryVerdict::Final { why } => {
            let pauses = why.is_exhausted() && policy.on_exhausted == OnExhausted::Pause;
            (if pauses { "pause" } else { "fail" }, why.to_string())
        }
    }
}
