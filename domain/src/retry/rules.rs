//! Rules of a policy: failures of a kind that are counted for themselves, and wait in a way of their own, as the retriers of
//! a state in Step Functions do. And the classes that a policy gives to types of failures.

use serde::{Deserialize, Serialize};

use super::strategy::{JitterMode, Strategy};

/// What a policy says of failures of a kind. What it leaves out is the policy's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Error types: exact, or with a `*` at the end; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Failure classes: exact, or with a `*` at the end; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// One more than the retries that failures of this kind get; 1: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Counted in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_delay_ms: Option<u64>,
    /// Cap of every wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// Counted in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_delay_ms: Option<i64>,
    /// Counted in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays_ms: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<JitterMode>,
    /// Share of the wait for `proportional`, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_range: Option<f64>,
}

/// Failures of these types are of this class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassOverride {
    /// Exact, or with a `*` at the end.
    pub types: Vec<String>,
    pub class: String,
}

impl RetryRule {
    /// Whether a failure of this type and class is of its kind.
    pub fn matches(&self, error_type: &str, class: &str) -> bool {
        let fits =
            |patterns: &[String], word: &str| patterns.is_empty() || is_listed(patterns, word);
        fits(&self.types, error_type) && fits(&self.classes, class)
    }
}

/// Whether an error type, or a class, is meant by one of these patterns: exact, or a prefix followed by one `*` at the very end.
/// Case counts.
pub fn is_listed(patterns: &[String], word: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => word.starts_with(prefix),
        None => pattern == word,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_match_exactly_or_by_a_prefix_and_case_counts() {
        let listed = |pattern: &str, word| is_listed(&[pattern.to_owned()], word);
        assert!(listed("Net.Reset", "Net.Reset"));
        assert!(!listed("Net.Reset", "net.reset"));
        assert!(!listed("Net", "Net.Reset"));
        assert!(listed("Net.*", "Net.Reset"));
        assert!(listed("Net.*", "Net."));
        assert!(listed("*", "anything"));
        assert!(!listed("N*t", "Net"));
        assert!(!is_listed(&[], "anything"));
    }

    proptest! {
        #[test]
        fn a_wildcard_matches_what_starts_with_its_prefix_and_nothing_else(prefix in "[a-z.]{0,4}", word in "[a-z.]{0,6}") {
            let pattern = [format!("{prefix}*")];
            prop_assert_eq!(is_listed(&pattern, &word), word.starts_with(&prefix));
        }
    }
}
