//! Whether a policy may be used: every bound of its fields, each reported where it stands in the request.
//! Invariant: a checked policy gives a wait in [0, cap] for every execution, and at least one execution.

use super::policy::{JitterMode, RetryPolicy, Strategy};
use crate::bounds::{ATTEMPTS_MAX, JOB_TYPE_CHARS_MAX, POLICY_LIST_MAX, TIMEOUT_MS_MAX};
use crate::refusal::FieldError;

/// Largest growth of `exponential_backoff`: beyond it the second wait is the cap anyway.
pub const MULTIPLIER_MAX: f64 = 1_000.0;

impl RetryPolicy {
    /// Everything that is wrong with this policy, which stands at `pointer` in the request.
    pub fn check(&self, pointer: &str) -> Vec<FieldError> {
        let mut found = Found { pointer, errors: Vec::new() };
        if !(1..=ATTEMPTS_MAX).contains(&self.max_attempts) {
            let message =
                format!("must be 1 (no retry) to {ATTEMPTS_MAX}: the first execution counts");
            found.error("max_attempts", "out_of_range", message);
        }
        found.delay("base_delay_ms", self.base_delay_ms);
        found.delay("max_delay_ms", self.max_delay_ms);
        if let Some(step) = self.step_delay_ms {
            found.delay("step_delay_ms", step);
        }
        let uses_base = matches!(
            self.strategy,
            Strategy::LinearBackoff | Strategy::ExponentialBackoff | Strategy::FibonacciBackoff
        );
        if uses_base && self.base_delay_ms > self.max_delay_ms {
            found.error("base_delay_ms", "out_of_range", "must not be above max_delay_ms");
        }
        if !(1.0..=MULTIPLIER_MAX).contains(&self.multiplier) {
            let message = format!("must be between 1 and {MULTIPLIER_MAX}");
            found.error("multiplier", "out_of_range", message);
        }
        if !(0.0..=1.0).contains(&self.jitter_range) {
            found.error("jitter/range", "out_of_range", "must be between 0 and 1");
        }
        self.check_delays(&mut found);
        found.types("retryable_error_types", &self.retryable_error_types);
        found.types("non_retryable_error_types", &self.non_retryable_error_types);
        found.errors
    }

    fn check_delays(&self, found: &mut Found<'_>) {
        if self.strategy == Strategy::CustomBackoff && self.delays_ms.is_empty() {
            found.error("delays_ms", "required", "custom_backoff needs at least one delay");
        }
        if self.strategy == Strategy::CustomBackoff && self.jitter == JitterMode::Decorrelated {
            let message = "decorrelated jitter grows by itself; custom_backoff has its own list";
            found.error("jitter/mode", "contradiction", message);
        }
        if found.fits("delays_ms", self.delays_ms.len()) {
            for (ix, delay) in self.delays_ms.iter().enumerate() {
                found.delay(&format!("delays_ms/{ix}"), *delay);
            }
        }
    }
}

struct Found<'a> {
    pointer: &'a str,
    errors: Vec<FieldError>,
}

impl Found<'_> {
    fn error(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(format!("{}/{field}", self.pointer), code, message));
    }

    fn delay(&mut self, field: &str, ms: u64) {
        if ms > TIMEOUT_MS_MAX {
            self.error(
                field,
                "out_of_range",
                format!("must be at most {TIMEOUT_MS_MAX} (30 days)"),
            );
        }
    }

    fn fits(&mut self, field: &str, count: usize) -> bool {
        if count > POLICY_LIST_MAX {
            self.error(field, "too_many", format!("must be at most {POLICY_LIST_MAX} entries"));
        }
        count <= POLICY_LIST_MAX
    }

    fn types(&mut self, field: &str, patterns: &[String]) {
        if !self.fits(field, patterns.len()) {
            return;
        }
        for (ix, pattern) in patterns.iter().enumerate() {
            let chars = pattern.chars().count();
            let at = format!("{field}/{ix}");
            if chars == 0 || chars > JOB_TYPE_CHARS_MAX || pattern.chars().any(char::is_control) {
                let message = format!("must be 1 to {JOB_TYPE_CHARS_MAX} printable characters");
                self.error(&at, "invalid_length", message);
            } else if pattern.strip_suffix('*').unwrap_or(pattern).contains('*') {
                self.error(&at, "invalid_format", "`*` is allowed only as the last character");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::ours;

    fn wrong(policy: &RetryPolicy) -> Vec<(String, &'static str)> {
        policy.check("/retry").into_iter().map(|e| (e.pointer, ours(e.code))).collect()
    }

    #[track_caller]
    fn refuses(policy: &RetryPolicy, pointer: &str, code: &'static str) {
        assert_eq!(wrong(policy), [(format!("/retry/{pointer}"), code)]);
    }

    #[test]
    fn the_default_policy_is_allowed() {
        assert_eq!(wrong(&RetryPolicy::default()), []);
    }

    #[test]
    fn each_bound_is_reported_where_it_stands() {
        let default = RetryPolicy::default;
        refuses(&RetryPolicy { max_attempts: 0, ..default() }, "max_attempts", "out_of_range");
        refuses(
            &RetryPolicy { max_attempts: ATTEMPTS_MAX + 1, ..default() },
            "max_attempts",
            "out_of_range",
        );
        for multiplier in [0.99, f64::NAN, f64::INFINITY] {
            refuses(&RetryPolicy { multiplier, ..default() }, "multiplier", "out_of_range");
        }
        for jitter_range in [-0.1, 1.1, f64::NAN] {
            refuses(&RetryPolicy { jitter_range, ..default() }, "jitter/range", "out_of_range");
        }
        refuses(
            &RetryPolicy { base_delay_ms: 61_000, ..default() },
            "base_delay_ms",
            "out_of_range",
        );
        refuses(
            &RetryPolicy { max_delay_ms: TIMEOUT_MS_MAX + 1, ..default() },
            "max_delay_ms",
            "out_of_range",
        );
    }

    #[test]
    fn lists_are_bounded_and_their_entries_checked() {
        let default = RetryPolicy::default;
        let custom = || RetryPolicy { strategy: Strategy::CustomBackoff, ..default() };
        refuses(&custom(), "delays_ms", "required");
        refuses(&RetryPolicy { delays_ms: vec![1; 101], ..custom() }, "delays_ms", "too_many");
        refuses(
            &RetryPolicy { delays_ms: vec![1, u64::MAX], ..custom() },
            "delays_ms/1",
            "out_of_range",
        );
        let types = |word: &str| RetryPolicy {
            non_retryable_error_types: vec!["A*".to_owned(), word.to_owned()],
            ..default()
        };
        assert_eq!(wrong(&types(&"x".repeat(100))), []);
        refuses(&types(""), "non_retryable_error_types/1", "invalid_length");
        refuses(&types(&"x".repeat(101)), "non_retryable_error_types/1", "invalid_length");
        refuses(&types("a*b"), "non_retryable_error_types/1", "invalid_format");
        refuses(&types("a**"), "non_retryable_error_types/1", "invalid_format");
    }
}
