//! A retry policy written inline in a job or node. What is left out is taken from the engine's default.
//! Absent: stored policies and breakers, which are recognised and refused until they come.

pub mod preview;
pub mod rules;

use domain::bounds;
use domain::refusal::FieldError;
use domain::retry::policy::{JitterMode, OnExhausted, RetryPolicy, Strategy};
use serde::Deserialize;
use utoipa::ToSchema;

pub use self::preview::{PreviewAnswer, PreviewBody};
use self::rules::{ClassifyBody, RuleBody, WindowBody};
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
    #[schema(nullable = false, minimum = 1, maximum = 1_000, default = 3)]
    max_attempts: Option<u32>,
    /// First wait, in milliseconds.
    #[schema(nullable = false, minimum = 0, maximum = 86_400_000, default = 1_000)]
    base_delay_ms: Option<u64>,
    /// Cap of every wait, in milliseconds; a base above it waits it.
    #[schema(nullable = false, minimum = 0, maximum = 1_000_000_000_000_i64, default = 60_000)]
    max_delay_ms: Option<u64>,
    /// Growth of exponential_backoff.
    #[schema(nullable = false, minimum = 1, maximum = 100, default = 2.0)]
    multiplier: Option<f64>,
    /// Growth of linear_backoff in milliseconds, of any sign; 0 is a fixed delay; absent: the base.
    #[schema(nullable = false, minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    step_delay_ms: Option<i64>,
    /// Waits of custom_backoff in milliseconds; the last one repeats.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    delays_ms: Vec<u64>,
    /// How waits are spread, after the cap.
    #[schema(nullable = false)]
    jitter: Option<JitterBody>,
    /// No retry is due later than so many milliseconds after the node was ready first.
    #[schema(nullable = false, minimum = 1_000, maximum = 2_592_000_000_i64)]
    total_ms: Option<u64>,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    retryable_error_types: Vec<String>,
    /// These are never retried: exact, or with a `*` at the end.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    non_retryable_error_types: Vec<String>,
    /// Of which class failures of these types are, whatever is reported; the first entry that names the type decides.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
    #[schema(max_items = 100)]
    classify: Vec<ClassifyBody>,
    /// Failures of a kind with counts and growth of their own; the first that matches decides.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_RULES_MAX }, _, _>")]
    #[schema(max_items = 20)]
    rules: Vec<RuleBody>,
    /// An expression over `error`, `attempt` and `job`: where it is false, nothing is retried.
    #[schema(nullable = false, examples("${{ error.status >= 500 && attempt < 4 }}"))]
    when: Option<String>,
    /// Times of day at which a retry may begin; empty: any.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_WINDOWS_MAX }, _, _>")]
    #[schema(max_items = 20)]
    windows: Vec<WindowBody>,
    /// What happens after the last execution failed.
    #[schema(nullable = false)]
    on_exhausted: Option<ExhaustedWord>,
    #[schema(ignore)]
    policy_id: Later,
    #[schema(ignore)]
    breaker: Later,
    #[schema(ignore)]
    avoid_last_worker: Later,
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
#[schema(as = OnExhausted)]
pub enum ExhaustedWord {
    /// The node fails.
    Fail,
    /// The node waits and its job is paused, until somebody resumes it.
    Pause,
    /// Not available yet.
    Escalate,
    /// Not available yet.
    Fallback,
}

impl StrategyWord {
    /// The domain's strategy; none: not available yet.
    fn known(self) -> Option<Strategy> {
        Some(match self {
            Self::Immediate => Strategy::Immediate,
            Self::LinearBackoff => Strategy::LinearBackoff,
            Self::ExponentialBackoff => Strategy::ExponentialBackoff,
            Self::FibonacciBackoff => Strategy::FibonacciBackoff,
            Self::CustomBackoff => Strategy::CustomBackoff,
            Self::None => Strategy::None,
            Self::CircuitBreaker => return None,
        })
    }

    /// The domain's strategy, or a refusal at `at`.
    fn strategy(word: Option<Self>, at: &str, errors: &mut Vec<FieldError>) -> Option<Strategy> {
        let strategy = word?.known();
        if strategy.is_none() {
            errors.push(later::not_available(&format!("{at}/strategy")));
        }
        strategy
    }
}

impl RetryBody {
    /// The domain's policy. `at` is where it stands in the body.
    pub fn into_policy(self, at: &str, errors: &mut Vec<FieldError>) -> RetryPolicy {
        let later = [
            ("policy_id", &self.policy_id),
            ("breaker", &self.breaker),
            ("avoid_last_worker", &self.avoid_last_worker),
        ];
        later::refuse(at, &later, errors);
        let on_exhausted = match self.on_exhausted {
            None | Some(ExhaustedWord::Fail) => OnExhausted::Fail,
            Some(ExhaustedWord::Pause) => OnExhausted::Pause,
            Some(ExhaustedWord::Escalate | ExhaustedWord::Fallback) => {
                errors.push(later::not_available(&format!("{at}/on_exhausted")));
                OnExhausted::Fail
            }
        };
        let default = RetryPolicy::default();
        let (jitter, range) =
            self.jitter.map_or((default.jitter, None), |jitter| (jitter.mode, jitter.range));
        let place = |list: &str, ix: usize| format!("{at}/{list}/{ix}");
        let mut rules = Vec::with_capacity(self.rules.len());
        for (ix, rule) in self.rules.into_iter().enumerate() {
            rules.push(rule.into_rule(&place("rules", ix), errors));
        }
        let mut windows = Vec::with_capacity(self.windows.len());
        for (ix, window) in self.windows.into_iter().enumerate() {
            windows.extend(window.into_window(&place("windows", ix), errors));
        }
        RetryPolicy {
            strategy: StrategyWord::strategy(self.strategy, at, errors).unwrap_or(default.strategy),
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            base_delay_ms: self.base_delay_ms.unwrap_or(default.base_delay_ms),
            max_delay_ms: self.max_delay_ms.unwrap_or(default.max_delay_ms),
            multiplier: self.multiplier.unwrap_or(default.multiplier),
            step_delay_ms: self.step_delay_ms,
            delays_ms: self.delays_ms,
            jitter,
            jitter_range: range.unwrap_or(default.jitter_range),
            total_ms: self.total_ms,
            retryable_error_types: self.retryable_error_types,
            non_retryable_error_types: self.non_retryable_error_types,
            classify: self.classify.into_iter().map(ClassifyBody::into_override).collect(),
            rules,
            when: self.when,
            windows,
            on_exhausted,
        }
    }
}
