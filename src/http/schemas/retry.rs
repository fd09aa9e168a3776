//! A retry policy written inline in a job or node. What is left out is taken from the engine's default.
//! Absent: stored policies, rules, windows and breakers, which are recognised and refused until they come.

use domain::bounds;
use domain::refusal::FieldError;
use domain::retry::policy::{JitterMode, RetryPolicy, Strategy};
use serde::Deserialize;
use utoipa::ToSchema;

use super::later::{self, Later};
use crate::http::extract::bounded;
use crate::view::resources::words::JitterWord;

/// When and how a failed attempt is repeated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryPolicy)]
pub struct RetryBody {
    /// How waits grow.
    #[serde(default)]
    #[schema(value_type = Option<StrategyWord>, nullable = false, default = "exponential_backoff")]
    strategy: Option<StrategyWord>,
    /// Executions, the first included: 1 means no retry.
    #[schema(nullable = false, minimum = 1, maximum = 100_000, default = 3)]
    max_attempts: Option<u32>,
    /// First wait, in milliseconds.
    #[schema(nullable = false, minimum = 0, default = 1_000)]
    base_delay_ms: Option<u64>,
    /// Cap of every wait, in milliseconds.
    #[schema(nullable = false, minimum = 0, default = 60_000)]
    max_delay_ms: Option<u64>,
    /// Growth of exponential_backoff.
    #[schema(nullable = false, minimum = 1, default = 2.0)]
    multiplier: Option<f64>,
    /// Growth of linear_backoff in milliseconds; 0 is a fixed delay; absent: the base.
    #[schema(nullable = false, minimum = 0)]
    step_delay_ms: Option<u64>,
    /// Waits of custom_backoff in milliseconds; the last one repeats.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    delays_ms: Vec<u64>,
    /// How waits are spread, after the cap.
    #[schema(nullable = false)]
    jitter: Option<JitterBody>,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    retryable_error_types: Vec<String>,
    /// These are never retried: exact, or with a `*` at the end.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    non_retryable_error_types: Vec<String>,
    /// What happens after the last execution failed.
    #[schema(nullable = false)]
    on_exhausted: Option<OnExhausted>,
    #[schema(ignore)]
    policy_id: Later,
    #[schema(ignore)]
    rules: Later,
    #[schema(ignore)]
    when: Later,
    #[schema(ignore)]
    windows: Later,
    #[schema(ignore)]
    breaker: Later,
}

/// How waits between executions grow.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RetryStrategy)]
pub enum StrategyWord {
    /// Tries again without a wait.
    Immediate,
    /// base + step * (k - 1).
    LinearBackoff,
    /// base * multiplier^(k - 1).
    ExponentialBackoff,
    /// base * 1, 1, 2, 3, 5, ...
    FibonacciBackoff,
    /// The listed delays.
    CustomBackoff,
    /// Waits for a shared breaker; not available yet.
    CircuitBreaker,
    /// Nothing is tried again.
    None,
}

/// How waits are spread.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Jitter)]
pub struct JitterBody {
    /// How much of a wait is drawn; full when absent.
    #[serde(default)]
    #[schema(value_type = JitterWord)]
    mode: JitterMode,
    /// Share of the wait for `proportional`.
    #[schema(nullable = false, minimum = 0, maximum = 1, default = 0.1)]
    range: Option<f64>,
}

/// What happens after the last execution failed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The node fails.
    Fail,
    /// Not available yet.
    Pause,
    /// Not available yet.
    Escalate,
    /// Not available yet.
    Fallback,
}

impl RetryBody {
    /// The domain's policy. `at` is where it stands in the body.
    pub fn into_policy(self, at: &str, errors: &mut Vec<FieldError>) -> RetryPolicy {
        later::refuse(
            at,
            &[
                ("policy_id", &self.policy_id),
                ("rules", &self.rules),
                ("when", &self.when),
                ("windows", &self.windows),
                ("breaker", &self.breaker),
            ],
            errors,
        );
        match self.on_exhausted {
            None | Some(OnExhausted::Fail) => {}
            Some(OnExhausted::Pause | OnExhausted::Escalate | OnExhausted::Fallback) => {
                errors.push(later::not_available(&format!("{at}/on_exhausted")));
            }
        }
        let default = RetryPolicy::default();
        let strategy = match self.strategy {
            Some(StrategyWord::Immediate) => Strategy::Immediate,
            Some(StrategyWord::LinearBackoff) => Strategy::LinearBackoff,
            Some(StrategyWord::ExponentialBackoff) => Strategy::ExponentialBackoff,
            Some(StrategyWord::FibonacciBackoff) => Strategy::FibonacciBackoff,
            Some(StrategyWord::CustomBackoff) => Strategy::CustomBackoff,
            Some(StrategyWord::None) => Strategy::None,
            Some(StrategyWord::CircuitBreaker) => {
                errors.push(later::not_available(&format!("{at}/strategy")));
                default.strategy
            }
            None => default.strategy,
        };
        let (jitter, range) =
            self.jitter.map_or((default.jitter, None), |jitter| (jitter.mode, jitter.range));
        RetryPolicy {
            strategy,
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            base_delay_ms: self.base_delay_ms.unwrap_or(default.base_delay_ms),
            max_delay_ms: self.max_delay_ms.unwrap_or(default.max_delay_ms),
            multiplier: self.multiplier.unwrap_or(default.multiplier),
            step_delay_ms: self.step_delay_ms,
            delays_ms: self.delays_ms,
            jitter,
            jitter_range: range.unwrap_or(default.jitter_range),
            retryable_error_types: self.retryable_error_types,
            non_retryable_error_types: self.non_retryable_error_types,
        }
    }
}
