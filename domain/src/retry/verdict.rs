//! Whether a failed attempt is followed by another. Stands in for the full rules, which land next.
#![allow(missing_docs, reason = "replaced by the next landing")]
use super::policy::RetryPolicy;
use crate::ids::Millis;
#[derive(Debug)]
pub struct ErrorFacts<'a> {
    pub error_type: &'a str,
    pub class: &'a str,
    pub retryable: Option<bool>,
    pub retry_after_ms: Option<u64>,
}
#[derive(Debug)]
pub enum Verdict {
    Retry { wait_ms: u64, due: Millis, why: String },
    Final { why: String },
}
pub fn verdict(
    p: &RetryPolicy,
    _f: &ErrorFacts<'_>,
    n: u32,
    _prev: u64,
    _draw: f64,
    now: Millis,
    _d: Option<Millis>,
) -> Verdict {
    if n < p.max_attempts {
        Verdict::Retry { wait_ms: 1000, due: now + 1000, why: String::new() }
    } else {
        Verdict::Final { why: String::new() }
    }
}
