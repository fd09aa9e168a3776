//! What workers report, item by item, into the domain's outcomes. Always holds: what is wrong with one item of a
//! batch is that item's answer and never its neighbours'; what a worker reports is data, never an expression.
//! Absent: whether a report counts, which the job decides.

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::job::command::Outcome;
use domain::node::attempt::AttemptError;
use domain::refusal::FieldError;
use domain::retry::classify::UNCLASSIFIED;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::lease::NextWorkBody;
use super::{check_batch, payload, rules};
use crate::http::extract::bounded;
use crate::http::extract::json::RequestBody;
use crate::http::problem::Problem;

/// Warnings and artifacts of one report: they travel in the event.
const REPORT_LIST_MAX: usize = 100;
/// Characters of a warning.
const WARNING_CHARS_MAX: usize = 1_000;
/// Bytes of all artifacts of one report as JSON.
const ARTIFACTS_BYTES_MAX: usize = 16 * 1_024;
/// Characters of an error's type and class.
const ERROR_WORD_CHARS_MAX: usize = 100;

/// Completed attempts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompleteLeases)]
pub struct CompleteBody {
    /// At most 1,000, each answered by itself.
    #[serde(deserialize_with = "bounded::list::<{ bounds::BATCH_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<CompleteItem>,
    /// The next work in the same answer.
    pub lease: Option<NextWorkBody>,
}

/// A completed attempt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// Any JSON, at most 256 KiB and 64 levels deep.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<Box<RawValue>>,
    /// For people; each at most 1,000 characters.
    #[serde(default, deserialize_with = "bounded::list::<REPORT_LIST_MAX, _, _>")]
    #[schema(max_items = 100)]
    warnings: Vec<String>,
    /// What the worker left elsewhere.
    #[serde(default, deserialize_with = "bounded::values")]
    #[schema(max_items = 100)]
    #[schema(value_type = Vec<serde_json::Value>)]
    artifacts: Vec<ExactJson>,
}

/// Failed attempts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FailLeases)]
pub struct FailBody {
    /// At most 1,000, each answered by itself.
    #[serde(deserialize_with = "bounded::list::<{ bounds::BATCH_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<FailItem>,
    /// The next work in the same answer.
    pub lease: Option<NextWorkBody>,
}

/// A failed attempt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// What went wrong.
    error: AttemptErrorBody,
}

/// Why an attempt failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttemptErrorReport)]
pub struct AttemptErrorBody {
    /// The worker's word for it; retry policies match on it.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 100, examples("ConnectionRefused"))]
    error_type: String,
    /// For people; cut at 4,096 characters.
    #[serde(default)]
    message: String,
    /// Failure class; absent: unclassified, and the policy alone decides.
    #[schema(min_length = 1, max_length = 100, examples("network.connect"))]
    class: Option<String>,
    /// Whether another execution can help; absent: the class decides.
    retryable: Option<bool>,
    /// The wait to ask for, in milliseconds; what is above an hour counts as an hour.
    #[schema(minimum = 0)]
    retry_after_ms: Option<u64>,
    /// Any JSON, at most 256 KiB and 64 levels deep.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<Box<RawValue>>,
}

/// Leases that are still worked on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HeartbeatLeases)]
pub struct HeartbeatBody {
    /// At most 1,000, each answered by itself.
    #[serde(deserialize_with = "bounded::list::<{ bounds::BATCH_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<HeartbeatItem>,
}

/// A lease that is still worked on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// How far the attempt is, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub progress: Option<f64>,
}

/// Leases given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReleaseLeases)]
pub struct ReleaseBody {
    /// At most 1,000, each answered by itself.
    #[serde(deserialize_with = "bounded::list::<{ bounds::BATCH_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<ReleaseItem>,
}

/// A lease given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseItem {
    /// The lease as it was handed out.
    pub lease: String,
}

impl RequestBody for CompleteBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_batch("/items", self.items.len(), bounds::BATCH_MAX, errors);
        check_next(self.lease.as_ref(), errors);
    }
}

impl RequestBody for FailBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_batch("/items", self.items.len(), bounds::BATCH_MAX, errors);
        check_next(self.lease.as_ref(), errors);
    }
}

impl RequestBody for HeartbeatBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_batch("/items", self.items.len(), bounds::BATCH_MAX, errors);
        for (position, item) in self.items.iter().enumerate() {
            if item.progress.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                let pointer = format!("/items/{position}/progress");
                errors.push(FieldError::new(pointer, "out_of_range", "must be from 0 to 1"));
            }
        }
    }
}

impl RequestBody for ReleaseBody {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_batch("/items", self.items.len(), bounds::BATCH_MAX, errors);
    }
}

fn check_next(next: Option<&NextWorkBody>, errors: &mut Vec<FieldError>) {
    if let Some(next) = next {
        rules::apply("/lease", next, errors);
    }
}

impl CompleteItem {
    /// The outcome, or what is wrong with item `position`.
    pub fn into_outcome(self, position: usize, bytes_max: usize) -> Result<Outcome, Problem> {
        let at = format!("/items/{position}");
        let mut errors = Vec::new();
        payload::check_reported(
            self.output.as_deref(),
            &format!("{at}/output"),
            bytes_max,
            &mut errors,
        );
        bounded_list(&format!("{at}/artifacts"), self.artifacts.len(), &mut errors);
        if self.warnings.iter().any(|warning| warning.chars().count() > WARNING_CHARS_MAX) {
            let message = format!("must each be at most {WARNING_CHARS_MAX} characters");
            errors.push(FieldError::new(format!("{at}/warnings"), "too_long", message));
        }
        let bytes = serde_json::to_string(&self.artifacts).map_or(0, |text| text.len());
        if bytes > ARTIFACTS_BYTES_MAX {
            let message = format!("must be at most {ARTIFACTS_BYTES_MAX} bytes of JSON");
            errors.push(FieldError::new(format!("{at}/artifacts"), "too_large", message));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let Self { output, warnings, artifacts, .. } = self;
        let output = payload::on_one_line(output);
        Ok(Outcome::Complete { output, warnings, artifacts })
    }
}

impl FailItem {
    /// The outcome, or what is wrong with item `position`.
    pub fn into_outcome(self, position: usize, bytes_max: usize) -> Result<Outcome, Problem> {
        let at = format!("/items/{position}/error");
        let mut errors = Vec::new();
        let error = self.error;
        let class = error.class.unwrap_or_else(|| UNCLASSIFIED.to_owned());
        for (field, word) in [("type", &error.error_type), ("class", &class)] {
            let fits = (1..=ERROR_WORD_CHARS_MAX).contains(&word.chars().count())
                && !word.chars().any(char::is_control);
            if !fits {
                let message = format!("must be 1-{ERROR_WORD_CHARS_MAX} printable characters");
                errors.push(FieldError::new(format!("{at}/{field}"), "invalid_format", message));
            }
        }
        payload::check_reported(
            error.details.as_deref(),
            &format!("{at}/details"),
            bytes_max,
            &mut errors,
        );
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let retry_after_ms = error.retry_after_ms.map(|ms| ms.min(bounds::RETRY_AFTER_MS_MAX));
        let message = error.message.chars().take(bounds::ERROR_MESSAGE_CHARS_MAX).collect();
        Ok(Outcome::Fail {
            error: AttemptError {
                error_type: error.error_type,
                message,
                class,
                retryable: error.retryable,
                retry_after_ms,
                details: None,
            },
            details: payload::on_one_line(error.details),
        })
    }
}

fn bounded_list(pointer: &str, items: usize, errors: &mut Vec<FieldError>) {
    if items > REPORT_LIST_MAX {
        let message = format!("must have at most {REPORT_LIST_MAX} items");
        errors.push(FieldError::new(pointer, "out_of_range", message));
    }
}
