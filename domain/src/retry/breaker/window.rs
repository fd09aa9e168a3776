//! The calls that a closed breaker counts: each with its own time, oldest first.
//! Invariant: the counts are those of the calls that are held (`a_window_counts_what_a_recount_counts`), and never more
//! than `CALLS_MAX` are held. When a window of time has seen more, it is that of its last `CALLS_MAX` calls.
//! Absent: what the counts mean (`settings`).

#![warn(clippy::arithmetic_side_effects)]

use std::collections::VecDeque;

use super::settings::WindowSpan;
use crate::ids::Millis;

/// Calls that one window holds: 160 KB a target at most, and more calls than that would not change a rate by a hundredth
/// of a percent each.
pub const CALLS_MAX: u32 = 10_000;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It succeeded in time.
    Ok,
    /// It failed in time.
    Fail,
    /// It succeeded, and took too long.
    SlowOk,
    /// It failed, and took too long.
    SlowFail,
    /// It says nothing about the target.
    Ignored,
}

impl CallOutcome {
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::SlowFail)
    }

    fn is_slow(self) -> bool {
        matches!(self, Self::SlowOk | Self::SlowFail)
    }
}

/// How many calls there were, and how many of them were bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCounts {
    pub calls: u32,
    /// Those that failed, slow or not.
    pub failures: u32,
    /// Those that were slow, failed or not.
    pub slow: u32,
}

impl CallCounts {
    /// One call more; an ignored one is none.
    pub fn add(&mut self, outcome: CallOutcome) {
        if outcome == CallOutcome::Ignored {
            return;
        }
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(outcome.is_failure()));
        self.slow = self.slow.saturating_add(u32::from(outcome.is_slow()));
    }

    fn take_away(&mut self, outcome: CallOutcome) {
        self.calls = self.calls.saturating_sub(1);
        self.failures = self.failures.saturating_sub(u32::from(outcome.is_failure()));
        self.slow = self.slow.saturating_sub(u32::from(outcome.is_slow()));
    }

    /// The share of failures in percent; none without calls.
    pub fn failure_rate_pct(self) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(self.failures) * 100.0 / f64::from(self.calls))
    }

    /// Whether at least this share of the calls failed.
    pub fn has_failed_pct(self, pct: f64) -> bool {
        is_share(self.failures, self.calls, pct)
    }

    /// Whether at least this share of the calls was slow.
    pub fn was_slow_pct(self, pct: f64) -> bool {
        is_share(self.slow, self.calls, pct)
    }
}

/// Compared as products, which are exact for whole percents: a rounded quotient could miss its threshold.
fn is_share(part: u32, calls: u32, pct: f64) -> bool {
    calls > 0 && f64::from(part) * 100.0 >= pct * f64::from(calls)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    at: Millis,
    outcome: CallOutcome,
}

/// The calls of a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallWindow {
    calls: VecDeque<Call>,
    counts: CallCounts,
}

impl CallWindow {
    /// Takes a call in that ended now, and lets go of those that have left the window.
    pub fn record(&mut self, span: WindowSpan, now: Millis, outcome: CallOutcome) {
        if outcome != CallOutcome::Ignored {
            self.calls.push_back(Call { at: now, outcome });
            self.counts.add(outcome);
        }
        self.slide(span, now);
    }

    /// Lets go of the calls that have left the window by now. A call of a window of time leaves it at its end.
    pub fn slide(&mut self, span: WindowSpan, now: Millis) {
        let (most, oldest) = match span {
            WindowSpan::Calls(calls) => (calls.min(CALLS_MAX), Millis::MIN),
            WindowSpan::Ms(ms) => (CALLS_MAX, now.saturating_sub_unsigned(ms).saturating_add(1)),
        };
        while self.calls.front().is_some_and(|call| self.counts.calls > most || call.at < oldest) {
            if let Some(call) = self.calls.pop_front() {
                self.counts.take_away(call.outcome);
            }
        }
    }

    /// The counts of the calls in the window, as it was last slid.
    pub fn counts(&self) -> CallCounts {
        self.counts
    }
}
