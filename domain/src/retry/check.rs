//! Whether a policy may be used: every bound of its fields, each reported where it stands in the request. Fields that its
//! strategy does not use are bounded like the others, and may be there.
//! Invariant: a checked policy gives a wait in [0, cap] for every execution, and at least one execution.

use super::condition;
use super::policy::{RetryPolicy, Strategy};
use super::rules::RetryRule;
use crate::bounds::{
    ATTEMPTS_MAX, BASE_DELAY_MS_MAX, DELAY_MS_MAX, JOB_TYPE_CHARS_MAX, POLICY_LIST_MAX,
    POLICY_RULES_MAX, POLICY_WINDOWS_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use crate::refusal::FieldError;

/// Largest growth of `exponential_backoff`: beyond it the second wait is the cap anyway.
pub const MULTIPLIER_MAX: f64 = 100.0;

impl RetryPolicy {
    /// Everything that is wrong with this policy, which stands at `pointer` in the request.
    pub fn check(&self, pointer: &str) -> Vec<FieldError> {
        let mut found = Found::at(pointer);
        found.attempts("max_attempts", self.max_attempts);
        found.at_most("base_delay_ms", self.base_delay_ms, BASE_DELAY_MS_MAX);
        found.at_most("max_delay_ms", self.max_delay_ms, DELAY_MS_MAX);
        found.step("step_delay_ms", self.step_delay_ms);
        found.multiplier("multiplier", self.multiplier);
        found.share("jitter/range", self.jitter_range);
        if let Some(total) =
            self.total_ms.filter(|ms| !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(ms))
        {
            let message = format!("must be {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}, and is {total}");
            found.error("total_ms", "out_of_range", message);
        }
        if self.strategy == Strategy::CustomBackoff && self.delays_ms.is_empty() {
            found.error("delays_ms", "required", "custom_backoff needs at least one delay");
        }
        found.delays("delays_ms", &self.delays_ms);
        found.patterns("retryable_error_types", &self.retryable_error_types);
        found.patterns("non_retryable_error_types", &self.non_retryable_error_types);
        self.check_lists(&mut found);
        if let Some(Err(error)) = self.when.as_deref().map(condition::check) {
            found.error("when", "expression", format!("{}: {error}", error.class.as_str()));
        }
        found.errors
    }

    fn check_lists(&self, found: &mut Found<'_>) {
        if found.fits("classify", self.classify.len(), POLICY_LIST_MAX) {
            for (ix, of) in self.classify.iter().enumerate() {
                found.some(&format!("classify/{ix}/types"), of.types.len());
                found.patterns(&format!("classify/{ix}/types"), &of.types);
                found.word(&format!("classify/{ix}/class"), &of.class);
            }
        }
        if found.fits("rules", self.rules.len(), POLICY_RULES_MAX) {
            for (ix, rule) in self.rules.iter().enumerate() {
                rule.check(&format!("rules/{ix}"), self, found);
            }
        }
        if found.fits("windows", self.windows.len(), POLICY_WINDOWS_MAX) {
            for (ix, window) in self.windows.iter().enumerate() {
                if window.from == window.to {
                    let message = "must differ from `from`: a window that is closed when it opens never opens";
                    found.error(&format!("windows/{ix}/to"), "contradiction", message);
                }
            }
        }
    }

    /// Whether its `when` reads the job's input.
    pub fn reads_job_input(&self) -> bool {
        self.when.as_deref().is_some_and(|when| condition::check(when) == Ok(true))
    }
}

impl RetryRule {
    fn check(&self, at: &str, policy: &RetryPolicy, found: &mut Found<'_>) {
        let field = |name: &str| format!("{at}/{name}");
        if self.types.is_empty() && self.classes.is_empty() {
            found.error(
                at,
                "required",
                "needs `types` or `classes`: without either it is the policy",
            );
        }
        found.patterns(&field("types"), &self.types);
        found.patterns(&field("classes"), &self.classes);
        if let Some(attempts) = self.max_attempts {
            found.attempts(&field("max_attempts"), attempts);
        }
        found.at_most(&field("base_delay_ms"), self.base_delay_ms.unwrap_or(0), BASE_DELAY_MS_MAX);
        found.at_most(&field("max_delay_ms"), self.max_delay_ms.unwrap_or(0), DELAY_MS_MAX);
        found.step(&field("step_delay_ms"), self.step_delay_ms);
        found.multiplier(&field("multiplier"), self.multiplier.unwrap_or(1.0));
        found.share(&field("jitter/range"), self.jitter_range.unwrap_or(0.0));
        found.delays(&field("delays_ms"), &self.delays_ms);
        let custom = self.strategy == Some(Strategy::CustomBackoff);
        if custom && self.delays_ms.is_empty() && policy.delays_ms.is_empty() {
            found.error(&field("delays_ms"), "required", "custom_backoff needs at least one delay");
        }
    }
}

/// What was found wrong with what stands at a pointer in the request.
pub(super) struct Found<'a> {
    pointer: &'a str,
    pub(super) errors: Vec<FieldError>,
}

impl<'a> Found<'a> {
    pub(super) fn at(pointer: &'a str) -> Self {
        Self { pointer, errors: Vec::new() }
    }

    pub(super) fn error(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(format!("{}/{field}", self.pointer), code, message));
    }

    fn attempts(&mut self, field: &str, attempts: u32) {
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            let message =
                format!("must be 1 (no retry) to {ATTEMPTS_MAX}: the first execution counts");
            self.error(field, "out_of_range", message);
        }
    }

    pub(super) fn at_most(&mut self, field: &str, ms: u64, most: u64) {
        if ms > most {
            self.error(field, "out_of_range", format!("must be 0 to {most}"));
        }
    }

    fn step(&mut self, field: &str, ms: Option<i64>) {
        if ms.is_some_and(|ms| ms.unsigned_abs() > DELAY_MS_MAX) {
            let message = format!("must be between -{DELAY_MS_MAX} and {DELAY_MS_MAX}");
            self.error(field, "out_of_range", message);
        }
    }

    fn multiplier(&mut self, field: &str, multiplier: f64) {
        if !(1.0..=MULTIPLIER_MAX).contains(&multiplier) {
            self.error(field, "out_of_range", format!("must be between 1 and {MULTIPLIER_MAX}"));
        }
    }

    fn share(&mut self, field: &str, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.error(field, "out_of_range", "must be between 0 and 1");
        }
    }

    fn delays(&mut self, field: &str, delays: &[u64]) {
        if self.fits(field, delays.len(), POLICY_LIST_MAX) {
            for (ix, delay) in delays.iter().enumerate() {
                self.at_most(&format!("{field}/{ix}"), *delay, DELAY_MS_MAX);
            }
        }
    }

    fn fits(&mut self, field: &str, count: usize, most: usize) -> bool {
        if count > most {
            self.error(field, "too_many", format!("must be at most {most} entries"));
        }
        count <= most
    }

    fn some(&mut self, field: &str, count: usize) {
        if count == 0 {
            self.error(field, "required", "must have at least one entry");
        }
    }

    pub(super) fn patterns(&mut self, field: &str, patterns: &[String]) {
        if !self.fits(field, patterns.len(), POLICY_LIST_MAX) {
            return;
        }
        for (ix, pattern) in patterns.iter().enumerate() {
            let at = format!("{field}/{ix}");
            if self.word(&at, pattern) && pattern.strip_suffix('*').unwrap_or(pattern).contains('*')
            {
                self.error(&at, "invalid_format", "`*` is allowed only as the last character");
            }
        }
    }

    fn word(&mut self, field: &str, word: &str) -> bool {
        let chars = word.chars().count();
        let fits = (1..=JOB_TYPE_CHARS_MAX).contains(&chars) && !word.chars().any(char::is_control);
        if !fits {
            let message = format!("must be 1 to {JOB_TYPE_CHARS_MAX} printable characters");
            self.error(field, "invalid_length", message);
        }
        fits
    }
}

impl RetryPolicy {
    /// What is wrong with a list of words, each exact or with a `*` at its end. `at` is its pointer.
    pub(crate) fn check_patterns(at: &str, patterns: &[String]) -> Vec<FieldError> {
        let (pointer, field) = at.rsplit_once('/').unwrap_or(("", at));
        let mut found = Found::at(pointer);
        found.patterns(field, patterns);
        found.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::ours;
    use crate::retry::policy::JitterMode;
    use crate::retry::rules::ClassOverride;
    use crate::retry::windows::Window;

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
            &RetryPolicy { base_delay_ms: BASE_DELAY_MS_MAX + 1, ..default() },
            "base_delay_ms",
            "out_of_range",
        );
        refuses(
            &RetryPolicy { max_delay_ms: DELAY_MS_MAX + 1, ..default() },
            "max_delay_ms",
            "out_of_range",
        );
        for step in [i64::MIN, i64::MAX] {
            let policy = RetryPolicy { step_delay_ms: Some(step), ..default() };
            refuses(&policy, "step_delay_ms", "out_of_range");
        }
        for total in [0, 999, TIMEOUT_MS_MAX + 1] {
            refuses(
                &RetryPolicy { total_ms: Some(total), ..default() },
                "total_ms",
                "out_of_range",
            );
        }
    }

    #[test]
    fn what_the_strategy_does_not_use_and_a_base_above_the_cap_are_allowed() {
        let policy = RetryPolicy {
            base_delay_ms: BASE_DELAY_MS_MAX,
            max_delay_ms: 0,
            step_delay_ms: Some(-5),
            delays_ms: vec![1],
            jitter: JitterMode::Decorrelated,
            ..RetryPolicy::default()
        };
        assert_eq!(wrong(&policy), []);
    }

    #[test]
    fn rules_windows_and_expressions_are_checked_where_they_stand() {
        let default = RetryPolicy::default;
        let with = |rule| RetryPolicy { rules: vec![rule], ..default() };
        let of = || RetryRule { types: vec!["A".to_owned()], ..RetryRule::default() };
        assert_eq!(wrong(&with(of())), []);
        refuses(&with(RetryRule::default()), "rules/0", "required");
        let rule = RetryRule { max_attempts: Some(0), ..of() };
        refuses(&with(rule), "rules/0/max_attempts", "out_of_range");
        let rule = RetryRule { strategy: Some(Strategy::CustomBackoff), ..of() };
        refuses(&with(rule), "rules/0/delays_ms", "required");
        let rule = RetryRule { classes: vec!["a*b".to_owned()], ..of() };
        refuses(&with(rule), "rules/0/classes/0", "invalid_format");
        let many = RetryPolicy { rules: vec![of(); POLICY_RULES_MAX + 1], ..default() };
        refuses(&many, "rules", "too_many");
        let when = |text: &str| RetryPolicy { when: Some(text.to_owned()), ..default() };
        assert_eq!(wrong(&when("attempt < 3")), []);
        refuses(&when("nodes.a.output"), "when", "expression");
        let (noon, zone) = (chrono::NaiveTime::MIN, chrono_tz::Tz::UTC);
        let window = Window { from: noon, to: noon, zone, days: Vec::new() };
        refuses(
            &RetryPolicy { windows: vec![window], ..default() },
            "windows/0/to",
            "contradiction",
        );
        let classify = vec![ClassOverride { types: Vec::new(), class: "data".to_owned() }];
        refuses(&RetryPolicy { classify, ..default() }, "classify/0/types", "required");
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
