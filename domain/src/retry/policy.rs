//! A retry policy as a job or node names it inline, and the engine's default.
//! Absent for now: rules, windows, breakers and stored policies, which come with the retry manager.

use serde::{Deserialize, Serialize};

/// How waits between executions grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    Immediate,
    /// base + step * (k - 1); step 0 is a fixed delay; an absent step is the base.
    LinearBackoff,
    /// base * multiplier^(k - 1).
    ExponentialBackoff,
    /// base * 1, 1, 2, 3, 5, ...
    FibonacciBackoff,
    /// The listed delays; the last one repeats.
    CustomBackoff,
    None,
}

/// How a wait is spread, after the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JitterMode {
    /// Exactly the computed wait.
    None,
    /// Anything from 0 to the computed wait.
    #[default]
    Full,
    /// Half the computed wait plus anything up to the other half.
    Equal,
    /// Anything from the base to three times the wait before, capped.
    Decorrelated,
    /// The computed wait plus or minus `range` of it, never above the cap.
    Proportional,
}

/// When and how a failed attempt is repeated. Counts are executions, the first included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How waits grow.
    pub strategy: Strategy,
    /// Executions, the first included; at least 1.
    pub max_attempts: u32,
    /// Counted in milliseconds.
    pub base_delay_ms: u64,
    /// Cap of every wait, in milliseconds.
    pub max_delay_ms: u64,
    /// Growth of `exponential_backoff`; at least 1.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub multiplier: f64,
    /// Growth of `linear_backoff` in milliseconds; absent: the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_delay_ms: Option<u64>,
    /// Waits of `custom_backoff`, in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays_ms: Vec<u64>,
    /// How waits are spread.
    #[serde(default)]
    pub jitter: JitterMode,
    /// Share of the wait for `proportional`, 0 to 1.
    #[serde(default = "tenth", skip_serializing_if = "is_tenth")]
    pub jitter_range: f64,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retryable_error_types: Vec<String>,
    /// These are never retried: exact, or with a `*` at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable_error_types: Vec<String>,
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

impl RetryPolicy {
    /// Executions that it allows, the first included.
    pub fn executions_max(&self) -> u32 {
        if self.strategy == Strategy::None { 1 } else { self.max_attempts }
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
            retryable_error_types: Vec::new(),
            non_retryable_error_types: Vec::new(),
        }
    }
}
