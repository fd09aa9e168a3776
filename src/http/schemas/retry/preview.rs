//! What a policy would do, seen in advance: the waits of a node that fails again and again in the same way.

use std::sync::Arc;

use domain::bounds;
use domain::ids::Millis;
use domain::refusal::FieldError;
use domain::retry::facts::ErrorFacts;
use domain::retry::named::NamedPolicy;
use domain::retry::preview::{Preview, PreviewOrder, preview};
use domain::retry::spec::RetrySpec;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::RetryBody;
use crate::http::extract::bounded;
use crate::http::problem::Problem;
use crate::http::schemas::time;

/// Attempts that one preview shows.
const ATTEMPTS_SHOWN: u32 = 10;

/// A policy, and how its node fails.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewRetryPolicy)]
pub struct PreviewBody {
    /// The policy, without a name.
    #[schema(nullable = false)]
    policy: Option<RetryBody>,
    /// Instead of it: the id or the name of a policy that the namespace keeps.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    policy_id: Option<String>,
    /// How many attempts are shown.
    #[validate(range(min = 1, max = 1_000))]
    #[schema(nullable = false, minimum = 1, maximum = 1_000, default = 10)]
    attempts: Option<u32>,
    /// Draws of the jitter, from 0 to 1, one an attempt and then from the first again; absent: 0.5.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::BATCH_MAX }, _, _>")]
    #[schema(max_items = 1_000)]
    draws: Vec<f64>,
    /// How every attempt fails; absent: in a way of which nothing is known.
    #[validate(nested)]
    error: Option<FailureBody>,
    /// When the first attempt fails, for windows; absent: now. The attempts themselves take no time.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    at: Option<String>,
    /// Whether the node must not run again when it may have had its effect.
    #[serde(default)]
    at_most_once: bool,
}

/// A failure, as a worker would report it.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = PreviewedFailure)]
pub struct FailureBody {
    /// The worker's word for it.
    #[serde(rename = "type")]
    #[validate(length(max = 100))]
    #[schema(max_length = 100, examples("ConnectionRefused"))]
    error_type: String,
    /// What it says to people.
    #[validate(length(max = 4_096))]
    #[schema(max_length = 4_096)]
    message: String,
    /// Failure class; absent: derived from `code`, `status` and `type`.
    #[validate(length(min = 1, max = 100))]
    #[schema(nullable = false, min_length = 1, max_length = 100, examples("network.connect"))]
    class: Option<String>,
    /// The code that the failing service gave.
    #[validate(length(min = 1, max = 100))]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    code: Option<String>,
    /// The HTTP status that the failing service gave.
    #[validate(range(min = 100, max = 599))]
    #[schema(nullable = false, minimum = 100, maximum = 599)]
    status: Option<u16>,
    /// Whether another execution can help; absent: the class decides.
    retryable: Option<bool>,
    /// The wait to ask for, in milliseconds; what is above an hour counts as an hour.
    #[schema(nullable = false, minimum = 0)]
    retry_after_ms: Option<u64>,
}

/// The waits that a policy gives.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetryPolicyPreview)]
pub struct PreviewAnswer {
    /// One for each attempt.
    waits: Vec<RetryWaitAnswer>,
    /// The sum of all waits, in milliseconds.
    total_ms: u64,
    /// What follows the first failure: `retry`, `fail`, or `pause`.
    decision: &'static str,
    /// What settled it, for people.
    reason: String,
    /// The failure class that decided; empty when nothing is known of it.
    class: String,
}

/// What follows one attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetryWait)]
pub struct RetryWaitAnswer {
    /// The attempt that failed, counted from 1.
    attempt: u32,
    /// The wait before the next one, in milliseconds; null when none follows.
    delay_ms: Option<u64>,
    /// The shortest wait that a draw can give.
    min_ms: Option<u64>,
    /// The longest one.
    max_ms: Option<u64>,
    /// The rule of the policy that decided, counted from 0.
    rule: Option<usize>,
}

/// What is to be previewed, and what is wrong with it.
#[derive(Debug)]
pub struct PreviewedPolicy {
    pub spec: Option<RetrySpec>,
    at: &'static str,
    errors: Vec<FieldError>,
}

impl PreviewBody {
    /// Takes out of it which policy it is about: exactly one of the two fields says so.
    pub fn take_policy(&mut self) -> PreviewedPolicy {
        let mut errors = Vec::new();
        let (at, spec) = match (self.policy.take(), self.policy_id.take()) {
            (Some(body), None) => ("/policy", Some(body.into_spec("/policy", &mut errors))),
            (None, Some(reference)) => ("", Some(RetrySpec::Named(reference))),
            (None, None) => {
                errors.push(FieldError::new("/policy", "required", "is required, or policy_id"));
                ("", None)
            }
            (Some(_), Some(_)) => {
                let message = "either this or policy says which policy it is";
                errors.push(FieldError::new("/policy_id", "contradiction", message));
                ("", None)
            }
        };
        PreviewedPolicy { spec, at, errors }
    }

    /// What the policy would do. `named` is what the namespace keeps under the reference, if there is one. `now`: when the
    /// first attempt fails unless the body says.
    pub fn previewed(
        self,
        of: PreviewedPolicy,
        named: Option<Arc<NamedPolicy>>,
        now: Millis,
    ) -> Result<PreviewAnswer, Problem> {
        let PreviewedPolicy { spec, at, mut errors } = of;
        let policy = match spec {
            None => Arc::default(),
            Some(RetrySpec::Own(policy)) => {
                errors.extend(policy.check(at));
                Arc::from(policy)
            }
            Some(RetrySpec::Named(reference)) => {
                if named.is_none() {
                    let message = format!("there is no retry policy {reference}");
                    errors.push(FieldError::new(
                        format!("{at}/policy_id"),
                        "unknown_policy",
                        message,
                    ));
                }
                named.map(|named| Arc::clone(&named.policy)).unwrap_or_default()
            }
        };
        for (ix, draw) in self.draws.iter().enumerate() {
            if !(0.0..=1.0).contains(draw) {
                let message = "must be from 0 to 1";
                errors.push(FieldError::new(format!("/draws/{ix}"), "out_of_range", message));
            }
        }
        let at = self.at.as_deref().map_or(Some(now), time::parse);
        if at.is_none() {
            let message = format!("must be {}", time::ALLOWED);
            errors.push(FieldError::new("/at", "invalid_format", message));
        }
        let (Some(at), true) = (at, errors.is_empty()) else {
            return Err(Problem::invalid(errors));
        };
        let failure = self.error.unwrap_or_default();
        let facts = ErrorFacts {
            error_type: &failure.error_type,
            class: failure.class.as_deref().unwrap_or_default(),
            message: &failure.message,
            code: failure.code.as_deref(),
            status: failure.status,
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after_ms,
            idempotent: !self.at_most_once,
        };
        let order = PreviewOrder {
            attempts: self.attempts.unwrap_or(ATTEMPTS_SHOWN),
            draws: &self.draws,
            facts,
            at,
        };
        Ok(preview(&policy, &order).into())
    }
}

impl From<Preview> for PreviewAnswer {
    fn from(preview: Preview) -> Self {
        let wait =
            |(attempt, wait): (u32, domain::retry::preview::PreviewedWait)| RetryWaitAnswer {
                attempt,
                delay_ms: wait.delay_ms,
                min_ms: wait.range.map(|(least, _)| least),
                max_ms: wait.range.map(|(_, most)| most),
                rule: wait.rule,
            };
        Self {
            waits: (1..).zip(preview.waits).map(wait).collect(),
            total_ms: preview.total_ms,
            decision: preview.decision,
            reason: preview.reason,
            class: preview.class,
        }
    }
}
