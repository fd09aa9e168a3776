//! A retry policy written inline in a job or node. What is left out is taken from the engine's default.
//! Absent: stored policies and breakers, which are recognised and refused until they come.

mod fields;
pub mod policies;
pub mod preview;
pub mod rules;

use domain::bounds;
use domain::refusal::FieldError;
use domain::retry::policy::{JitterMode, Strategy};
use domain::retry::spec::RetrySpec;
use serde::Deserialize;
use utoipa::ToSchema;

use self::fields::{PolicyFields, with_policy_fields};
pub use self::preview::{PreviewAnswer, PreviewBody};
use self::rules::{ClassifyBody, RuleBody, WindowBody};
use super::later::{self, Later};
use crate::http::extract::bounded;
use crate::view::resources::words::JitterWord;

with_policy_fields! {
    /// When and how a failed attempt is repeated.
    #[schema(as = RetryPolicy)]
    RetryBody {
        /// Instead of all else: the id or the name of a policy that the namespace keeps.
        #[schema(nullable = false, min_length = 1, max_length = 255, examples("flaky http"))]
        policy_id: Option<String>,
    }
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
    /// The domain's unchecked word for it. `at` is where it stands in the body.
    pub fn into_spec(mut self, at: &str, errors: &mut Vec<FieldError>) -> RetrySpec {
        let named = self.policy_id.take();
        let fields = PolicyFields::from(self);
        let Some(reference) = named else {
            return fields.into_policy(at, errors).into();
        };
        errors.extend(fields.given().into_iter().map(|field| {
            let message =
                "a policy that is named is as it is kept: nothing stands beside policy_id";
            FieldError::new(format!("{at}/{field}"), "contradiction", message)
        }));
        RetrySpec::Named(reference)
    }
}
