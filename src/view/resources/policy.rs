//! A retry policy and a success condition as a caller writes them, shown of a job.
//! Always holds: what is shown can be sent again. Hazard: the fields stand in the order of their names, as they always
//! did; another order would be another text of the same job.

use domain::job::plan::PolicyInPlan;
use domain::job::spec::CompleteWhen;
use domain::retry::policy::{JitterMode, OnExhausted, RetryPolicy, Strategy};
use domain::retry::rules::RetryRule;
use domain::retry::windows::Window;
use serde::Serialize;
use utoipa::ToSchema;

use super::words::{ExhaustedWord, JitterWord, StrategyWord};

/// When and how a failed attempt is repeated.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RetryPolicyAnswer)]
pub struct RetryResource {
    /// First wait, in milliseconds.
    base_delay_ms: u64,
    /// Of which class failures of these types are, whatever is reported.
    classify: Vec<ClassifyResource>,
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
    /// What happens after the last execution failed.
    #[schema(value_type = ExhaustedWord)]
    on_exhausted: OnExhausted,
    /// When not empty, only these error types are retried: exact, or with a `*` at the end.
    retryable_error_types: Vec<String>,
    /// Failures of a kind with counts and growth of their own; the first that matches decides.
    rules: Vec<RuleResource>,
    /// Growth of linear_backoff in milliseconds; 0 is a fixed delay; null: the base.
    step_delay_ms: Option<i64>,
    /// How waits grow.
    #[schema(value_type = StrategyWord)]
    strategy: Strategy,
    /// No retry is due later than so many milliseconds after the node was ready first; null: whenever.
    total_ms: Option<u64>,
    /// An expression: where it is false, nothing is retried.
    when: Option<String>,
    /// Times of day at which a retry may begin; empty: any.
    windows: Vec<WindowResource>,
}

/// The policy of a job or a node. One that it named: the copy that it was submitted with, whatever became of the policy; to
/// be sent again as its `policy_id` alone.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = UsedRetryPolicy)]
pub struct UsedRetryResource {
    /// Of a policy that the namespace keeps, or kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid", nullable = false)]
    policy_id: Option<String>,
    /// What it was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy_name: Option<String>,
    /// Which of its versions this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    version: Option<u64>,
    #[serde(flatten)]
    policy: RetryResource,
}

/// Failures of these types are of this class.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RetryClassifyAnswer)]
pub struct ClassifyResource {
    class: String,
    types: Vec<String>,
}

/// What a policy says of failures of a kind; null: what the policy says.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RetryRuleAnswer)]
pub struct RuleResource {
    /// First wait, in milliseconds.
    base_delay_ms: Option<u64>,
    /// Failure classes: exact, or with a `*` at the end; empty: any.
    classes: Vec<String>,
    /// Waits of custom_backoff in milliseconds.
    delays_ms: Vec<u64>,
    /// How waits are spread, after the cap.
    jitter: Option<JitterResource>,
    /// One more than the retries that failures of this kind get.
    max_attempts: Option<u32>,
    /// Cap of every wait, in milliseconds.
    max_delay_ms: Option<u64>,
    /// Growth of exponential_backoff.
    multiplier: Option<f64>,
    /// Growth of linear_backoff in milliseconds.
    step_delay_ms: Option<i64>,
    /// How waits grow.
    #[schema(value_type = Option<StrategyWord>)]
    strategy: Option<Strategy>,
    /// Error types: exact, or with a `*` at the end; empty: any.
    types: Vec<String>,
}

/// A part of the day, in a time zone.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RetryWindowAnswer)]
pub struct WindowResource {
    /// On which days it opens (`mon` to `sun`); empty: on all.
    days: Vec<String>,
    /// It opens with this time of day.
    from: String,
    /// It is closed from this time of day on; before `from`: on the next day.
    to: String,
    /// A name of the IANA database of time zones.
    zone: String,
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
            classify: policy
                .classify
                .iter()
                .map(|of| ClassifyResource { class: of.class.clone(), types: of.types.clone() })
                .collect(),
            delays_ms: policy.delays_ms.clone(),
            jitter: JitterResource { mode: policy.jitter, range: policy.jitter_range },
            max_attempts: policy.max_attempts,
            max_delay_ms: policy.max_delay_ms,
            multiplier: policy.multiplier,
            non_retryable_error_types: policy.non_retryable_error_types.clone(),
            on_exhausted: policy.on_exhausted,
            retryable_error_types: policy.retryable_error_types.clone(),
            rules: policy.rules.iter().map(|rule| RuleResource::of(rule, policy)).collect(),
            step_delay_ms: policy.step_delay_ms,
            strategy: policy.strategy,
            total_ms: policy.total_ms,
            when: policy.when.clone(),
            windows: policy.windows.iter().map(WindowResource::of).collect(),
        }
    }
}

impl From<PolicyInPlan<'_>> for UsedRetryResource {
    fn from(used: PolicyInPlan<'_>) -> Self {
        Self {
            policy_id: used.named.map(|named| named.id.to_string()),
            policy_name: used.named.map(|named| named.name.to_string()),
            version: used.named.map(|named| named.version),
            policy: RetryResource::from(used.policy.as_ref()),
        }
    }
}

impl RuleResource {
    fn of(rule: &RetryRule, policy: &RetryPolicy) -> Self {
        let range = rule.jitter_range.unwrap_or(policy.jitter_range);
        Self {
            base_delay_ms: rule.base_delay_ms,
            classes: rule.classes.clone(),
            delays_ms: rule.delays_ms.clone(),
            jitter: rule.jitter.map(|mode| JitterResource { mode, range }),
            max_attempts: rule.max_attempts,
            max_delay_ms: rule.max_delay_ms,
            multiplier: rule.multiplier,
            step_delay_ms: rule.step_delay_ms,
            strategy: rule.strategy,
            types: rule.types.clone(),
        }
    }
}

impl WindowResource {
    fn of(window: &Window) -> Self {
        Self {
            days: window.days.iter().map(|day| day.to_string().to_ascii_lowercase()).collect(),
            from: window.from.format("%H:%M").to_string(),
            to: window.to.format("%H:%M").to_string(),
            zone: window.zone.name().to_owned(),
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
