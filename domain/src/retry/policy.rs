//! A retry policy: how waits grow, how many executions there may be, which failures it repeats, and when of the day.
//! Absent on purpose: names and versions of stored policies, which are the catalog's; breakers and budgets, which many nodes
//! share.

use serde::{Deserialize, Serialize};

use super::rules::{ClassOverride, RetryRule, is_listed};
pub use super::strategy::{JitterMode, Strategy};
use super::windows::Window;

/// What becomes of a node whose executions are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The node fails.
    #[default]
    Fail,
    /// It waits, and its job is paused, until a person resumes it; then its executions are counted anew.
    Pause,
}

/// When and how a failed attempt is repeated. Counts are executions, the first included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How waits grow.
    pub strategy: Strategy,
    /// Executions, the first included; at least 1.
    pub max_attempts: u32,
    /// The first wait, in milliseconds.
    pub base_delay_ms: u64,
    /// Cap of every wait, in milliseconds. A base above it waits it.
    pub max_delay_ms: u64,
    /// Growth of `exponential_backoff`; at least 1.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub multiplier: f64,
    /// Growth of `linear_backoff` in milliseconds, of any sign; no wait is below 0. Absent: the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_delay_ms: Option<i64>,
    /// Waits of `custom_backoff`, in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays_ms: Vec<u64>,
    /// How waits are spread.
    #[serde(default)]
    pub jitter: JitterMode,
    /// Share of the wait for `proportional`, 0 to 1.
    #[serde(default = "tenth", skip_serializing_if = "is_tenth")]
    pub jitter_range: f64,
    /// No retry is due later than so many milliseconds after the node was ready first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retryable_error_types: Vec<String>,
    /// These are never retried: exact, or with a `*` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable_error_types: Vec<String>,
    /// Of which class failures of these types are, whatever is reported; the first that names the type decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classify: Vec<ClassOverride>,
    /// Failures of a kind with counts and growth of their own; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RetryRule>,
    /// An expression over the failure, the attempt and the job: where it is false, nothing is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Times of day at which a retry may begin; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// What follows when the executions, or the time, are used up.
    #[serde(default, skip_serializing_if = "fails")]
    pub on_exhausted: OnExhausted,
}

fn two() -> f64 {
    2.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::float_cmp,
    reason = "serde's signature; an exact default"
)]
fn is_two(value: &f64) -> bool {
    *value == two()
}

fn tenth() -> f64 {
    0.1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::float_cmp,
    reason = "serde's signature; an exact default"
)]
fn is_tenth(value: &f64) -> bool {
    *value == tenth()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn fails(on_exhausted: &OnExhausted) -> bool {
    *on_exhausted == OnExhausted::Fail
}

impl RetryPolicy {
    /// Executions that it allows at most, the first included: those of its own count, and the retries of each rule.
    pub fn executions_max(&self) -> u32 {
        let own = if self.strategy == Strategy::None { 1 } else { self.max_attempts };
        let by_rules = self.rules.iter().map(|rule| self.retries_max(rule));
        by_rules.fold(own, u32::saturating_add)
    }

    fn retries_max(&self, rule: &RetryRule) -> u32 {
        if rule.strategy.unwrap_or(self.strategy) == Strategy::None {
            return 0;
        }
        rule.max_attempts.unwrap_or(self.max_attempts).saturating_sub(1)
    }

    /// The class of a failure: what the policy says of its type, else what was reported or derived.
    pub fn class_of<'a>(&'a self, error_type: &str, class: &'a str) -> &'a str {
        let named = self.classify.iter().find(|of| is_listed(&of.types, error_type));
        named.map_or(class, |of| of.class.as_str())
    }

    /// The place of the rule that decides about a failure, and the policy as it says; none: the policy itself.
    pub fn ruled(&self, error_type: &str, class: &str) -> Option<(usize, Self)> {
        let place = self.rules.iter().position(|rule| rule.matches(error_type, class))?;
        Some((place, self.under(&self.rules[place])))
    }

    /// The policy as it is for failures that a rule decides.
    fn under(&self, rule: &RetryRule) -> Self {
        let delays = if rule.delays_ms.is_empty() { &self.delays_ms } else { &rule.delays_ms };
        Self {
            strategy: rule.strategy.unwrap_or(self.strategy),
            max_attempts: rule.max_attempts.unwrap_or(self.max_attempts),
            base_delay_ms: rule.base_delay_ms.unwrap_or(self.base_delay_ms),
            max_delay_ms: rule.max_delay_ms.unwrap_or(self.max_delay_ms),
            multiplier: rule.multiplier.unwrap_or(self.multiplier),
            step_delay_ms: rule.step_delay_ms.or(self.step_delay_ms),
            delays_ms: delays.clone(),
            jitter: rule.jitter.unwrap_or(self.jitter),
            jitter_range: rule.jitter_range.unwrap_or(self.jitter_range),
            ..self.clone()
        }
    }
}

impl Default for RetryPolicy {
    /// 3 executions, base 1 s, factor 2, cap 60 s, full jitter (design section 5).
    fn default() -> Self {
        Self {
            strategy: Strategy::ExponentialBackoff,
            max_attempts: 3,
            base_delay_ms: 1_000,
            max_delay_ms: 60_000,
            multiplier: two(),
            step_delay_ms: None,
            delays_ms: Vec::new(),
            jitter: JitterMode::Full,
            jitter_range: tenth(),
            total_ms: None,
            retryable_error_types: Vec::new(),
            non_retryable_error_types: Vec::new(),
            classify: Vec::new(),
            rules: Vec::new(),
            when: None,
            windows: Vec::new(),
            on_exhausted: OnExhausted::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(types: &[&str], classes: &[&str]) -> RetryRule {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        RetryRule { types: owned(types), classes: owned(classes), ..RetryRule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_type_and_class_decides() {
        let policy = RetryPolicy {
            rules: vec![
                rule(&["Net.*"], &["throttled"]),
                rule(&["Net.*"], &[]),
                rule(&[], &["network.*"]),
            ],
            ..RetryPolicy::default()
        };
        let place = |error_type, class| policy.ruled(error_type, class).map(|(place, _)| place);
        assert_eq!(place("Net.Slow", "throttled"), Some(0));
        assert_eq!(place("Net.Slow", "network.reset"), Some(1));
        assert_eq!(place("Other", "network.reset"), Some(2));
        assert_eq!(place("Other", "data"), None);
    }

    #[test]
    fn a_rule_takes_from_the_policy_what_it_leaves_out() {
        let own = RetryRule { base_delay_ms: Some(7), max_attempts: Some(9), ..rule(&["A"], &[]) };
        let policy = RetryPolicy { rules: vec![own, rule(&["B"], &[])], ..RetryPolicy::default() };
        let (_, ruled) = policy.ruled("A", "").unwrap_or_else(|| panic!("the rule fits"));
        assert_eq!((ruled.base_delay_ms, ruled.max_attempts, ruled.max_delay_ms), (7, 9, 60_000));
        assert_eq!(policy.executions_max(), 3 + 8 + 2);
    }

    #[test]
    fn a_policy_may_say_of_which_class_a_type_is() {
        let classify =
            vec![ClassOverride { types: vec!["My.*".to_owned()], class: "data".to_owned() }];
        let policy = RetryPolicy { classify, ..RetryPolicy::default() };
        assert_eq!(policy.class_of("My.Error", "bug"), "data");
        assert_eq!(policy.class_of("Your.Error", "bug"), "bug");
    }
}
