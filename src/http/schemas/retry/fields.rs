//! The fields that a policy has wherever it is written: in a job, in a node, in the catalog. What is left out is taken from
//! the engine's default.

use domain::refusal::FieldError;
use domain::retry::policy::{OnExhausted, RetryPolicy};

use super::rules::{ClassifyBody, RuleBody, WindowBody};
use super::{ExhaustedWord, JitterBody, StrategyWord};
use crate::http::schemas::later::{self, Later};

/// A body with the fields of a policy behind those of its own. A macro, because fields that are flattened in would let
/// unknown ones pass.
macro_rules! with_policy_fields {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(Debug, serde::Deserialize, validator::Validate, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$about])*
        pub struct $name {
            $($own)*
            /// How waits grow.
            #[serde(default)]
            #[schema(value_type = Option<StrategyWord>, nullable = false, default = "exponential_backoff")]
            strategy: Option<$crate::http::schemas::retry::StrategyWord>,
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
            breaker: Later,
            #[schema(ignore)]
            avoid_last_worker: Later,
        }

        impl From<$name> for PolicyFields {
            /// What is the body's own has been taken out of it before.
            fn from(body: $name) -> Self {
                Self {
                    strategy: body.strategy,
                    max_attempts: body.max_attempts,
                    base_delay_ms: body.base_delay_ms,
                    max_delay_ms: body.max_delay_ms,
                    multiplier: body.multiplier,
                    step_delay_ms: body.step_delay_ms,
                    delays_ms: body.delays_ms,
                    jitter: body.jitter,
                    total_ms: body.total_ms,
                    retryable_error_types: body.retryable_error_types,
                    non_retryable_error_types: body.non_retryable_error_types,
                    classify: body.classify,
                    rules: body.rules,
                    when: body.when,
                    windows: body.windows,
                    on_exhausted: body.on_exhausted,
                    breaker: body.breaker,
                    avoid_last_worker: body.avoid_last_worker,
                }
            }
        }
    };
}

pub(super) use with_policy_fields;

/// What a body says of a policy.
#[derive(Debug)]
pub(super) struct PolicyFields {
    pub(super) strategy: Option<StrategyWord>,
    pub(super) max_attempts: Option<u32>,
    pub(super) base_delay_ms: Option<u64>,
    pub(super) max_delay_ms: Option<u64>,
    pub(super) multiplier: Option<f64>,
    pub(super) step_delay_ms: Option<i64>,
    pub(super) delays_ms: Vec<u64>,
    pub(super) jitter: Option<JitterBody>,
    pub(super) total_ms: Option<u64>,
    pub(super) retryable_error_types: Vec<String>,
    pub(super) non_retryable_error_types: Vec<String>,
    pub(super) classify: Vec<ClassifyBody>,
    pub(super) rules: Vec<RuleBody>,
    pub(super) when: Option<String>,
    pub(super) windows: Vec<WindowBody>,
    pub(super) on_exhausted: Option<ExhaustedWord>,
    pub(super) breaker: Later,
    pub(super) avoid_last_worker: Later,
}

impl PolicyFields {
    /// Which of the fields say something.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("strategy", self.strategy.is_some()),
            ("max_attempts", self.max_attempts.is_some()),
            ("base_delay_ms", self.base_delay_ms.is_some()),
            ("max_delay_ms", self.max_delay_ms.is_some()),
            ("multiplier", self.multiplier.is_some()),
            ("step_delay_ms", self.step_delay_ms.is_some()),
            ("delays_ms", !self.delays_ms.is_empty()),
            ("jitter", self.jitter.is_some()),
            ("total_ms", self.total_ms.is_some()),
            ("retryable_error_types", !self.retryable_error_types.is_empty()),
            ("non_retryable_error_types", !self.non_retryable_error_types.is_empty()),
            ("classify", !self.classify.is_empty()),
            ("rules", !self.rules.is_empty()),
            ("when", self.when.is_some()),
            ("windows", !self.windows.is_empty()),
            ("on_exhausted", self.on_exhausted.is_some()),
            ("breaker", self.breaker.is_some()),
            ("avoid_last_worker", self.avoid_last_worker.is_some()),
        ];
        fields.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }

    /// The domain's policy. `at` is where the fields stand in the body.
    pub(super) fn into_policy(self, at: &str, errors: &mut Vec<FieldError>) -> RetryPolicy {
        let later = [("breaker", &self.breaker), ("avoid_last_worker", &self.avoid_last_worker)];
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
