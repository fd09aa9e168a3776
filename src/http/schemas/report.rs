//! What workers report, item by item, into the domain's outcomes. Always holds: what is wrong with one item of a
//! batch is that item's answer and never its neighbours'; what a worker reports is data, never an expression.
//! Absent: whether a report counts, which the job decides.

use std::sync::Arc;

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::job::command::Outcome;
use domain::node::attempt::AttemptError;
use domain::refusal::FieldError;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::lease::NextWorkBody;
use super::payload;
use crate::engine::core::message::Beat;
use crate::http::extract::batch::BatchItems;
use crate::http::extract::bounded;
use crate::http::extract::rules::{self, broken};
use crate::http::problem::Problem;

/// Warnings and artifacts of one report: they travel in the event.
const REPORT_LIST_MAX: usize = 100;
/// Characters of a warning.
const WARNING_CHARS_MAX: usize = 1_000;
/// Bytes of all artifacts of one report as JSON.
const ARTIFACTS_BYTES_MAX: usize = 16 * 1_024;
/// Characters of an error's type and class.
const ERROR_WORD_CHARS_MAX: usize = 100;

/// Reports of attempts that completed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompleteLeases)]
pub struct CompleteBody {
    /// At most 1,000, each answered by itself.
    #[validate(custom(function = BatchItems::fits))]
    #[schema(value_type = Vec<CompleteItem>, min_items = 1, max_items = 1_000)]
    pub items: BatchItems<CompleteItem, { bounds::BATCH_MAX }>,
    /// The next work in the same answer.
    #[validate(nested)]
    pub lease: Option<NextWorkBody>,
}

/// A completed attempt.
#[derive(Debug, Deserialize, Validate, ToSchema)]
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
    #[validate(custom(function = warnings_fit))]
    #[schema(max_items = 100)]
    warnings: Vec<String>,
    /// What the worker left elsewhere.
    #[serde(default, deserialize_with = "bounded::values")]
    #[validate(custom(function = artifacts_fit))]
    #[schema(max_items = 100)]
    #[schema(value_type = Vec<serde_json::Value>)]
    artifacts: Vec<ExactJson>,
}

/// Reports of attempts that failed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FailLeases)]
pub struct FailBody {
    /// At most 1,000, each answered by itself.
    #[validate(custom(function = BatchItems::fits))]
    #[schema(value_type = Vec<FailItem>, min_items = 1, max_items = 1_000)]
    pub items: BatchItems<FailItem, { bounds::BATCH_MAX }>,
    /// The next work in the same answer.
    #[validate(nested)]
    pub lease: Option<NextWorkBody>,
}

/// A failed attempt.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// What went wrong.
    error: AttemptErrorBody,
}

/// Why an attempt failed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttemptErrorReport)]
pub struct AttemptErrorBody {
    /// The worker's word for it; retry policies match on it.
    #[serde(rename = "type")]
    #[validate(custom(function = is_error_word))]
    #[schema(min_length = 1, max_length = 100, examples("ConnectionRefused"))]
    error_type: String,
    /// For people; cut at 4,096 characters.
    #[serde(default)]
    message: String,
    /// Failure class; absent: derived from `code`, `status` and `type`, else unclassified, and the policy alone decides.
    #[validate(custom(function = is_error_word))]
    #[schema(min_length = 1, max_length = 100, examples("network.connect"))]
    class: Option<String>,
    /// The code that the failing service gave.
    #[validate(custom(function = is_error_word))]
    #[schema(min_length = 1, max_length = 100, examples("RESOURCE_EXHAUSTED"))]
    code: Option<String>,
    /// The HTTP status that the failing service gave.
    #[validate(range(min = 100, max = 599))]
    #[schema(minimum = 100, maximum = 599)]
    status: Option<u16>,
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
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HeartbeatLeases)]
pub struct HeartbeatBody {
    /// At most 1,000, each answered by itself.
    #[validate(custom(function = BatchItems::fits), nested)]
    #[schema(value_type = Vec<HeartbeatItem>, min_items = 1, max_items = 1_000)]
    pub items: BatchItems<HeartbeatItem, { bounds::BATCH_MAX }>,
}

/// A lease that is still worked on.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// How far the attempt is, 0 to 1.
    #[validate(range(min = 0.0, max = 1.0))]
    #[schema(minimum = 0, maximum = 1)]
    progress: Option<f64>,
    /// What the next attempt should know of this one: any JSON, at most 64 KiB and 64 levels deep. The newest counts; a
    /// heartbeat without keeps the one before.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<Box<RawValue>>,
}

impl HeartbeatItem {
    /// The lease as it was sent, and what is said of it, or what is wrong with this item, which stands at `position`.
    pub fn read(self, position: usize) -> (String, Result<Beat, Problem>) {
        let Self { lease, progress, details } = self;
        let (pointer, mut errors) = (format!("/items/{position}/details"), Vec::new());
        let bytes_max = bounds::HEARTBEAT_DETAILS_BYTES_MAX;
        payload::check_reported(details.as_deref(), &pointer, bytes_max, &mut errors);
        if !errors.is_empty() {
            return (lease, Err(Problem::invalid(errors)));
        }
        let details = details.map(payload::on_one_line).map(Arc::from);
        (lease, Ok(Beat { progress, details }))
    }
}

/// Leases given back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReleaseLeases)]
pub struct ReleaseBody {
    /// At most 1,000, each answered by itself.
    #[validate(custom(function = BatchItems::fits))]
    #[schema(value_type = Vec<ReleaseItem>, min_items = 1, max_items = 1_000)]
    pub items: BatchItems<ReleaseItem, { bounds::BATCH_MAX }>,
}

/// A lease given back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseItem {
    /// The lease as it was handed out.
    pub lease: String,
    /// For so many milliseconds nobody is offered its node, at most a day; it waits without a worker and without a place.
    #[serde(default)]
    #[validate(range(max = 86_400_000))]
    #[schema(minimum = 0, maximum = 86_400_000, default = 0)]
    after_ms: u64,
}

/// An item of a report: a lease, and what became of its attempt.
pub trait ReportItem {
    /// The lease as it was sent, and the outcome, or what is wrong with this item, which stands at `position`.
    fn read(self, position: usize, payload_bytes_max: usize) -> (String, Result<Outcome, Problem>);
}

impl ReportItem for CompleteItem {
    fn read(self, position: usize, payload_bytes_max: usize) -> (String, Result<Outcome, Problem>) {
        let at = format!("/items/{position}");
        let mut errors = Vec::new();
        rules::apply(&at, &self, &mut errors);
        let Self { lease, output, warnings, artifacts } = self;
        let pointer = format!("{at}/output");
        payload::check_reported(output.as_deref(), &pointer, payload_bytes_max, &mut errors);
        (
            lease,
            or_wrong(errors, || {
                let output = output.map(payload::on_one_line);
                Outcome::Complete { output, warnings, artifacts }
            }),
        )
    }
}

impl ReportItem for FailItem {
    fn read(self, position: usize, payload_bytes_max: usize) -> (String, Result<Outcome, Problem>) {
        let at = format!("/items/{position}/error");
        let Self { lease, error } = self;
        let mut errors = Vec::new();
        rules::apply(&at, &error, &mut errors);
        let pointer = format!("{at}/details");
        payload::check_reported(error.details.as_deref(), &pointer, payload_bytes_max, &mut errors);
        (lease, or_wrong(errors, || error.into_outcome()))
    }
}

impl ReportItem for ReleaseItem {
    fn read(self, position: usize, _: usize) -> (String, Result<Outcome, Problem>) {
        let mut errors = Vec::new();
        rules::apply(&format!("/items/{position}"), &self, &mut errors);
        let Self { lease, after_ms } = self;
        let outcome = || match after_ms {
            0 => Outcome::Release { undelivered: false },
            after_ms => Outcome::ReleaseFor { after_ms },
        };
        (lease, or_wrong(errors, outcome))
    }
}

impl AttemptErrorBody {
    fn into_outcome(self) -> Outcome {
        let message = self.message.chars().take(bounds::ERROR_MESSAGE_CHARS_MAX).collect();
        Outcome::Fail {
            error: AttemptError {
                error_type: self.error_type,
                message,
                class: self.class.unwrap_or_default(),
                code: self.code,
                status: self.status,
                retryable: self.retryable,
                retry_after_ms: self.retry_after_ms.map(|ms| ms.min(bounds::RETRY_AFTER_MS_MAX)),
                details: None,
            },
            details: self.details.map(payload::on_one_line),
        }
    }
}

fn or_wrong(
    errors: Vec<FieldError>,
    outcome: impl FnOnce() -> Outcome,
) -> Result<Outcome, Problem> {
    if errors.is_empty() { Ok(outcome()) } else { Err(Problem::invalid(errors)) }
}

#[expect(clippy::ptr_arg, reason = "as `validator` hands it over")]
fn warnings_fit(warnings: &Vec<String>) -> Result<(), ValidationError> {
    if warnings.iter().all(|warning| warning.chars().count() <= WARNING_CHARS_MAX) {
        return Ok(());
    }
    Err(broken("too_long", format!("must each be at most {WARNING_CHARS_MAX} characters")))
}

fn artifacts_fit(artifacts: &Vec<ExactJson>) -> Result<(), ValidationError> {
    if artifacts.len() > REPORT_LIST_MAX {
        let message = format!("must have at most {REPORT_LIST_MAX} items");
        return Err(broken("out_of_range", message));
    }
    if artifacts.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_string(artifacts).map_or(0, |text| text.len());
    if bytes > ARTIFACTS_BYTES_MAX {
        let message = format!("must be at most {ARTIFACTS_BYTES_MAX} bytes of JSON");
        return Err(broken("too_large", message));
    }
    Ok(())
}

fn is_error_word(word: &str) -> Result<(), ValidationError> {
    let fits = (1..=ERROR_WORD_CHARS_MAX).contains(&word.chars().count())
        && !word.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(broken("invalid_format", format!("must be 1-{ERROR_WORD_CHARS_MAX} printable characters")))
}
