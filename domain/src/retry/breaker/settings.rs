//! What a circuit breaker goes by: its window, its thresholds and its breaks. What is not said is as in resilience4j, but
//! for one trial in half_open instead of ten.
//! Always holds: thresholds are reached at their value, and a call is slow only above its limit.
//! Absent: the bounds of each field (`check`), and which target a breaker is of.

use super::window::{CallCounts, CallOutcome};
use crate::bounds::TIMEOUT_MS_MAX;
use crate::retry::backoff;
use crate::retry::policy::{JitterMode, RetryPolicy, Strategy};
use crate::retry::rules::is_listed;

/// Which calls are counted while the breaker is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowSpan {
    /// The last so many.
    Calls(u32),
    /// Those that ended less than so many milliseconds ago.
    Ms(u64),
}

/// When a breaker opens, for how long, and what closes it.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitSettings {
    /// The calls that are counted.
    pub window: WindowSpan,
    /// Rates say nothing about fewer calls than this, or than a full window of calls.
    pub min_calls: u32,
    /// It opens when this share of the calls failed, or more.
    pub failure_rate_pct: f64,
    /// It opens after so many failures in a row, however few calls there were; absent: never for that.
    pub consecutive_failures: Option<u32>,
    /// A call that took longer is slow.
    pub slow_call_ms: u64,
    /// It opens when this share of the calls was slow, or more.
    pub slow_rate_pct: f64,
    /// The first break.
    pub open_ms: u64,
    /// By which each break is longer than the one before, until the breaker has closed.
    pub open_multiplier: f64,
    /// The longest break.
    pub open_max_ms: u64,
    /// Trials in half_open, which decide together.
    pub half_open_permits: u32,
    /// Errors that count as nothing: exact types, or with a `*` at the end.
    pub ignored_errors: Vec<String>,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            window: WindowSpan::Calls(100),
            min_calls: 100,
            failure_rate_pct: 50.0,
            consecutive_failures: None,
            slow_call_ms: 60_000,
            slow_rate_pct: 100.0,
            open_ms: 60_000,
            open_multiplier: 1.0,
            open_max_ms: TIMEOUT_MS_MAX,
            half_open_permits: 1,
            ignored_errors: Vec::new(),
        }
    }
}

impl CircuitSettings {
    /// What a call counts as that took so long, and failed with an error of this type if it failed.
    pub fn outcome(&self, error_type: Option<&str>, took_ms: u64) -> CallOutcome {
        let slow = took_ms > self.slow_call_ms;
        match error_type {
            None if slow => CallOutcome::SlowOk,
            None => CallOutcome::Ok,
            Some(error_type) if self.ignores(error_type) => CallOutcome::Ignored,
            Some(_) if slow => CallOutcome::SlowFail,
            Some(_) => CallOutcome::Fail,
        }
    }

    /// Whether errors of this type count as nothing.
    pub fn ignores(&self, error_type: &str) -> bool {
        is_listed(&self.ignored_errors, error_type)
    }

    /// Calls from which on rates say something. A window that holds fewer calls than that is full before.
    pub fn calls_needed(&self) -> u32 {
        match self.window {
            WindowSpan::Calls(calls) => self.min_calls.min(calls),
            WindowSpan::Ms(_) => self.min_calls,
        }
    }

    /// Whether one of the two rates has reached its threshold.
    pub fn is_too_bad(&self, counts: CallCounts) -> bool {
        counts.has_failed_pct(self.failure_rate_pct) || counts.was_slow_pct(self.slow_rate_pct)
    }

    /// Whether so many failures in a row open the breaker.
    pub fn is_too_long(&self, failures_in_a_row: u32) -> bool {
        self.consecutive_failures.is_some_and(|most| failures_in_a_row >= most)
    }

    /// The break after the breaker opened again so often since it was last closed (0: the first time):
    /// open_ms * open_multiplier^again, at most `open_max_ms`, in whole milliseconds.
    pub fn break_ms(&self, again: u32) -> u64 {
        // A break grows as the waits of an exponential policy do.
        let breaks = RetryPolicy {
            strategy: Strategy::ExponentialBackoff,
            base_delay_ms: self.open_ms,
            multiplier: self.open_multiplier,
            max_delay_ms: self.open_max_ms,
            jitter: JitterMode::None,
            ..RetryPolicy::default()
        };
        backoff::capped(&breaks, again.saturating_add(1))
    }
}
