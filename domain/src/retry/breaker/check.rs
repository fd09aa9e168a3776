//! Whether settings of a circuit breaker may be used: every bound of their fields, each reported where it stands in the
//! request. Invariant: a checked breaker opens for a finite time, and at least one trial can close it again.

use super::settings::{CircuitSettings, WindowSpan};
use super::window::CALLS_MAX;
use crate::bounds::TIMEOUT_MS_MAX;
use crate::refusal::FieldError;
use crate::retry::check::Found;

/// Longest window in milliseconds (a day): what a target did before that says nothing about it now.
pub const WINDOW_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// Largest growth of breaks: beyond it the second break is the longest one anyway.
pub const OPEN_MULTIPLIER_MAX: f64 = 100.0;
/// Trials of one half_open: more than that is load.
pub const PERMITS_MAX: u32 = 1_000;

impl CircuitSettings {
    /// Everything that is wrong with these settings, which stand at `pointer` in the request.
    pub fn check(&self, pointer: &str) -> Vec<FieldError> {
        let mut found = Found::at(pointer);
        match self.window {
            WindowSpan::Calls(calls) => found.count("window/calls", calls, CALLS_MAX),
            WindowSpan::Ms(ms) if !(1..=WINDOW_MS_MAX).contains(&ms) => {
                let message = format!("must be 1 to {WINDOW_MS_MAX} (a day)");
                found.error("window/ms", "out_of_range", message);
            }
            WindowSpan::Ms(_) => {}
        }
        found.count("min_calls", self.min_calls, CALLS_MAX);
        found.rate("failure_rate_pct", self.failure_rate_pct);
        if let Some(failures) = self.consecutive_failures {
            found.count("consecutive_failures", failures, CALLS_MAX);
        }
        found.at_most("slow_call_ms", self.slow_call_ms, TIMEOUT_MS_MAX);
        found.rate("slow_rate_pct", self.slow_rate_pct);
        found.at_most("open_ms", self.open_ms, TIMEOUT_MS_MAX);
        if !(1.0..=OPEN_MULTIPLIER_MAX).contains(&self.open_multiplier) {
            let message = format!("must be between 1 and {OPEN_MULTIPLIER_MAX}");
            found.error("open_multiplier", "out_of_range", message);
        }
        found.at_most("open_max_ms", self.open_max_ms, TIMEOUT_MS_MAX);
        found.count("half_open_permits", self.half_open_permits, PERMITS_MAX);
        found.patterns("ignored_errors", &self.ignored_errors);
        found.errors
    }
}

impl Found<'_> {
    fn count(&mut self, field: &str, count: u32, most: u32) {
        if !(1..=most).contains(&count) {
            self.error(field, "out_of_range", format!("must be 1 to {most}"));
        }
    }

    fn rate(&mut self, field: &str, pct: f64) {
        // At 0 it would open whatever happens: a rate is reached at its value.
        if !(pct > 0.0 && pct <= 100.0) {
            self.error(field, "out_of_range", "must be above 0 and at most 100");
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
