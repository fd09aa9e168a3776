//! A retry policy and a success condition as a caller writes them, shown of a job.
//! Always holds: what is shown can be sent again. Hazard: the fields stand in the order of their names, as they always
//! did; another order would be another text of the same job.

use domain::job::spec::CompleteWhen;
use domain::retry::policy::{JitterMode, RetryPolicy, Strategy};
use serde::Serialize;
use utoipa::ToSchema;

use super::words::{JitterWord, StrategyWord};

/// When and how a failed attempt is repeated.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RetryPolicyAnswer)]
pub struct RetryResource {
    /// First wait, in milliseconds.
    base_delay_ms: u64,
    /// Waits of custom_backoff in milliseconds; the last one repeats.
    delays_ms: Vec<u64>,
    /// How waits are spread, after the cap.
    jitter: JitterResource,
    /// Executions, the first included: 1 means no retry.
    max_attempts: u32,
    /// Cap of every wait, in milliseconds.
    max_delay_ms: u64,
    /// Growth of exponential_backoff.
    multiplier: f64,
    /// These are never retried: exact, or with a `*` at the end.
    non_retryable_error_types: Vec<String>,
    /// What happens after the last execution failed: `fail`.
    on_exhausted: &'static str,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    retryable_error_types: Vec<String>,
    /// Growth of linear_backoff in milliseconds; 0 is a fixed delay; null: the base.
    step_delay_ms: Option<u64>,
    /// How waits grow.
    #[schema(value_type = StrategyWord)]
    strategy: Strategy,
}

/// How waits are spread.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = JitterAnswer)]
pub struct JitterResource {
    /// The kind of spread.
    #[schema(value_type = JitterWord)]
    mode: JitterMode,
    /// Share of the wait for `proportional`.
    #[schema(minimum = 0, maximum = 1)]
    range: f64,
}

impl From<&RetryPolicy> for RetryResource {
    fn from(policy: &RetryPolicy) -> Self {
        Self {
            base_delay_ms: policy.base_delay_ms,
            delays_ms: policy.delays_ms.clone(),
            jitter: JitterResource { mode: policy.jitter, range: policy.jitter_range },
            max_attempts: policy.max_attempts,
            max_delay_ms: policy.max_delay_ms,
            multiplier: policy.multiplier,
            non_retryable_error_types: policy.non_retryable_error_types.clone(),
            on_exhausted: "fail",
            retryable_error_types: policy.retryable_error_types.clone(),
            step_delay_ms: policy.step_delay_ms,
            strategy: policy.strategy,
        }
    }
}

/// The success condition: exactly one of the four.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = CompleteWhenAnswer)]
pub struct CompleteWhenResource {
    /// `true`: no node failed or timed out unless it is optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    all: Option<bool>,
    /// `true`: at least one node completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    any: Option<bool>,
    /// At least so many nodes completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false)]
    at_least: Option<u32>,
    /// At most so many failed or timed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tolerate: Option<TolerateResource>,
}

/// Failures that are tolerated: exactly one of the two.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = TolerateAnswer)]
pub struct TolerateResource {
    /// So many nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u32>,
    /// This share of all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, nullable = false)]
    percent: Option<u8>,
}

impl From<CompleteWhen> for CompleteWhenResource {
    fn from(condition: CompleteWhen) -> Self {
        let none = Self::default();
        let tolerate = |count, percent| Some(TolerateResource { count, percent });
        match condition {
            CompleteWhen::All => Self { all: Some(true), ..none },
            CompleteWhen::Any => Self { any: Some(true), ..none },
            CompleteWhen::AtLeast(least) => Self { at_least: Some(least), ..none },
            CompleteWhen::TolerateCount(count) => {
                Self { tolerate: tolerate(Some(count), None), ..none }
            }
            CompleteWhen::TolerateAtMostPercent(percent) => {
                Self { tolerate: tolerate(None, Some(percent)), ..none }
            }
        }
    }
}
