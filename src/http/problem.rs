//! The only mapping of errors to HTTP status and code, and the one shape of every error answer: RFC 9457
//! `application/problem+json`. Always holds: causes, stack traces and rejected values never leave; the request id
//! does. Absent: pages and statuses (`problem/code.rs`), and logging (`layers` logs once, where it is answered).

mod code;

use std::borrow::Cow;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::expression::ExpressionError;
use domain::ids::CorrelationId;
use domain::job::status::JobStatus;
use domain::refusal::{FieldError, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::code::Code;
use crate::engine::error::EngineError;
use crate::services::lifecycle::{EngineCallError, OperationError};
use crate::view::contract::ViewError;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Listed field errors: more help nobody, and a body of 8 MiB could earn 100,000.
pub(super) const ERRORS_MAX: usize = 100;

/// Bytes of a pointer and of a message that are shown.
const POINTER_BYTES_MAX: usize = 1_024;
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Why a request was not done. Rendered as problem+json; the layers add request id and path.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    change: Option<Box<RefusedChange>>,
    /// What the first of the errors says more.
    expression: Option<Box<ExpressionError>>,
}

/// What stood in the way of a change.
#[derive(Debug, Clone)]
struct RefusedChange {
    job_id: String,
    node: Option<String>,
    current: &'static str,
    attempted: Cow<'static, str>,
    allowed: Option<Vec<&'static str>>,
}

/// An error, as RFC 9457 describes it, with a stable `code` to match on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Address of the page that explains the code, relative to this server.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", examples("/docs/errors/job_not_found"))]
    kind: String,
    /// The same for every occurrence of the code.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong this time.
    detail: &'a str,
    /// The stable word to match on.
    #[schema(value_type = String, examples("job_not_found"))]
    code: &'static str,
    /// The path that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance: Option<&'a str>,
    /// Also in the header X-Request-Id; name it when reporting a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<&'a str>,
    /// For bad input: what is wrong where, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldErrorBody<'a>>,
    /// For a refused change: the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    job_id: Option<&'a str>,
    /// For a refused change: the node's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    node: Option<&'a str>,
    /// For a refused change: the state it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    current: Option<&'static str>,
    /// For a refused change: what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempted: Option<&'a str>,
    /// For a refused change: the states in which it would have been allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowed: Option<&'a [&'static str]>,
}

/// One thing that is wrong with the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct FieldErrorBody<'a> {
    /// RFC 6901 pointer into the body, or the plain name of a query parameter or header.
    #[schema(examples("/nodes/0/key", "page_size"))]
    pointer: &'a str,
    /// A stable word.
    #[schema(examples("out_of_range"))]
    code: &'a str,
    /// What is allowed.
    message: &'a str,
    /// Of an expression: the kind of error, which is also its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, examples("syntax"))]
    class: Option<&'static str>,
    /// Of an expression: where in its text, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    column: Option<usize>,
    /// Of an expression: the names that could stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowed: Option<&'a [String]>,
}

impl Problem {
    /// A problem of this kind; `detail` says what is wrong this time and never repeats a secret.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), change: None, expression: None }
    }

    /// The request is well formed and wrong.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        let code = code_of(&errors);
        for error in errors.iter_mut().take(ERRORS_MAX) {
            // Both may repeat a key of the body, which may be as long as that.
            cut(&mut error.pointer, POINTER_BYTES_MAX);
            cut(&mut error.message, MESSAGE_BYTES_MAX);
        }
        let detail = match errors.as_slice() {
            [] => "the request is not valid".to_owned(),
            [one] if one.pointer.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.pointer, one.message),
            [first, ..] => {
                format!("{} errors; the first: {}: {}", errors.len(), first.pointer, first.message)
            }
        };
        errors.truncate(ERRORS_MAX);
        errors.shrink_to_fit();
        Self { code, detail, errors, change: None, expression: None }
    }

    /// One thing is wrong with the request.
    pub fn field(pointer: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, code, message)])
    }

    /// The expression that stands at `pointer` has no value.
    pub fn expression(pointer: &str, error: ExpressionError) -> Self {
        let field = Self::field(pointer, error.class.as_str(), error.message.clone());
        let detail = format!("{} (column {})", field.detail, error.column);
        Self { detail, expression: Some(Box::new(error)), ..field.with_code(Code::Expression) }
    }

    /// The same under another code.
    pub(super) fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// The same about an item that stands at `pointer` of the body.
    pub fn below(mut self, pointer: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// The code that names the kind of problem.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The body, for an answer of its own or inside a batch.
    pub fn body<'a>(
        &'a self,
        request_id: Option<&'a CorrelationId>,
        instance: Option<&'a str>,
    ) -> ProblemBody<'a> {
        let change = self.change.as_deref();
        let errors = self.errors.iter().enumerate().map(|(place, error)| {
            let expression = self.expression.as_deref().filter(|_| place == 0);
            FieldErrorBody {
                pointer: &error.pointer,
                code: error.code.as_ref(),
                message: &error.message,
                class: expression.map(|own| own.class.as_str()),
                column: expression.map(|own| own.column),
                allowed: expression
                    .map(|own| own.allowed.as_slice())
                    .filter(|names| !names.is_empty()),
            }
        });
        ProblemBody {
            kind: format!("/docs/errors/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            instance,
            request_id: request_id.map(CorrelationId::as_str),
            errors: errors.collect(),
            job_id: change.map(|change| change.job_id.as_str()),
            node: change.and_then(|change| change.node.as_deref()),
            current: change.map(|change| change.current),
            attempted: change.map(|change| change.attempted.as_ref()),
            allowed: change.and_then(|change| change.allowed.as_deref()),
        }
    }

    /// The whole answer.
    pub fn render(&self, request_id: Option<&CorrelationId>, instance: Option<&str>) -> Response {
        let body = serde_json::to_vec(&self.body(request_id, instance)).unwrap_or_default();
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
        let mut response = (self.code.status(), content_type, body).into_response();
        if let Some(seconds) = self.code.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The beginning of a text that is too long, and that there was more.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push_str("...");
        text.shrink_to_fit();
    }
}

/// What is not available yet is said in the code itself, when nothing else is wrong.
fn code_of(errors: &[FieldError]) -> Code {
    let special = |error: &FieldError| match Code::parse(&error.code) {
        Some(code @ (Code::NotAvailable | Code::NodeTypeNotAvailable)) => Some(code),
        Some(_) | None => None,
    };
    match errors.first().and_then(special) {
        Some(code) if errors.iter().all(|error| special(error) == Some(code)) => code,
        Some(_) | None => Code::ValidationFailed,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None, None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let mut problem = Self::new(code_of_refusal(&refusal), detail);
        match refusal {
            Refusal::Invalid(errors) => return Self::invalid(errors),
            Refusal::JobState { job, current, ending, attempted, allowed } => {
                if let Some(ending) = ending {
                    problem.detail = format!("{}: it is ending as {ending}", problem.detail);
                }
                problem.change = Some(Box::new(RefusedChange {
                    job_id: job.to_string(),
                    node: None,
                    current: current.as_str(),
                    attempted,
                    allowed: Some(allowed.into_iter().map(JobStatus::as_str).collect()),
                }));
            }
            Refusal::NodeState { job, node, current, attempted } => {
                problem.change = Some(Box::new(RefusedChange {
                    job_id: job.to_string(),
                    node: Some(node),
                    current: current.as_str(),
                    attempted,
                    allowed: None,
                }));
            }
            Refusal::AlreadyStarted { field } => {
                problem.errors = vec![FieldError::new(
                    format!("/{field}"),
                    "already_started",
                    "can only be changed before the job has started",
                )];
            }
            Refusal::JobNotFound
            | Refusal::JobDeleted
            | Refusal::NodeNotFound
            | Refusal::EnvironmentNotFound
            | Refusal::EnvironmentExists
            | Refusal::EnvironmentInUse { .. }
            | Refusal::EnvironmentFixed
            | Refusal::RetryPolicyNotFound
            | Refusal::RetryPolicyExists
            | Refusal::LeaseLost
            | Refusal::ReportedDifferently
            | Refusal::IdempotencyKeyReused
            | Refusal::QuotaExceeded { .. }
            | Refusal::VersionMismatch { .. } => {}
        }
        problem
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::OutcomeUnknown => Self::new(Code::OutcomeUnknown, detail),
            EngineError::Unavailable => Self::new(Code::StoreUnavailable, detail),
            EngineError::Full => Self::new(Code::StorageFull, detail),
            EngineError::Overloaded => Self::new(Code::Overloaded, detail),
            EngineError::ViewBehind => Self::new(Code::ViewBehind, detail),
            EngineError::Stopping => Self::new(Code::Stopping, detail),
            EngineError::Unexpected(_) => {
                tracing::error!(detail, "an answer of the core does not fit its request");
                Self::new(Code::InternalError, "the engine made a mistake; its log says more")
            }
            EngineError::Damaged(reason) => {
                tracing::error!(reason, "stored data cannot be read");
                Self::new(Code::StoredDataDamaged, "what is stored of this cannot be read")
            }
        }
    }
}

impl From<EngineCallError> for Problem {
    fn from(error: EngineCallError) -> Self {
        match error {
            EngineCallError::Engine(error) => error.into(),
            EngineCallError::Operation(error) => {
                let code = match error {
                    OperationError::Busy { .. } => Code::Overloaded,
                    OperationError::Stopped { .. } => Code::OperationStopped,
                    // What was begun may still come to its end.
                    OperationError::TimedOut { .. } | OperationError::Panicked { .. } => {
                        Code::OutcomeUnknown
                    }
                };
                Self::new(code, error.to_string())
            }
        }
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        tracing::warn!(%error, "the view gave no answer");
        Self::new(Code::StoreUnavailable, "the view gave no answer")
    }
}

/// The table: every refusal with its code, and by `Code::status` its status.
fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::JobNotFound => Code::JobNotFound,
        Refusal::JobDeleted => Code::JobDeleted,
        Refusal::NodeNotFound => Code::NodeNotFound,
        Refusal::EnvironmentNotFound => Code::EnvironmentNotFound,
        Refusal::EnvironmentExists => Code::EnvironmentExists,
        Refusal::EnvironmentInUse { .. } => Code::EnvironmentInUse,
        Refusal::EnvironmentFixed => Code::EnvironmentFixed,
        Refusal::RetryPolicyNotFound => Code::RetryPolicyNotFound,
        Refusal::RetryPolicyExists => Code::RetryPolicyExists,
        Refusal::LeaseLost => Code::LeaseLost,
        Refusal::ReportedDifferently => Code::ReportedDifferently,
        Refusal::IdempotencyKeyReused => Code::IdempotencyKeyReused,
        Refusal::VersionMismatch { .. } => Code::VersionMismatch,
        Refusal::JobState { .. } => Code::InvalidJobState,
        Refusal::NodeState { .. } => Code::InvalidNodeState,
        Refusal::QuotaExceeded { .. } => Code::QuotaExceeded,
        Refusal::Invalid(_) => Code::ValidationFailed,
        Refusal::AlreadyStarted { .. } => Code::AlreadyStarted,
    }
}

#[cfg(test)]
mod tests;
