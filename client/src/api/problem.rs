//! What the engine answers when it does not do what was asked: `application/problem+json`, read leniently, and
//! what it becomes for the person who typed the command.
//!
//! Always: the stable `code` is shown, each wrong field on a line of its own, and the request id last, so that a
//! report can be matched with the engine's log. Absent: any reading of the words in `detail`.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::console::plain;
use crate::failure::CliFailure;

/// One wrong field of a request.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WrongField {
    /// Where, as a JSON pointer.
    #[serde(default)]
    pub pointer: String,
    /// What is wrong with it.
    #[serde(default)]
    pub message: String,
}

/// A problem document.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ProblemAnswer {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// The stable code, such as `lease_lost`.
    #[serde(default)]
    pub code: String,
    /// The kind of problem, in words.
    #[serde(default)]
    pub title: String,
    /// What happened this time.
    #[serde(default)]
    pub detail: Option<String>,
    /// The id of the request in the engine's log.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The fields that are wrong.
    #[serde(default)]
    pub errors: Vec<WrongField>,
    /// The state that the refused thing is in.
    #[serde(default)]
    pub current: Option<String>,
    /// The states it could have gone to.
    #[serde(default)]
    pub allowed: Vec<String>,
}

/// Lines shown for wrong fields; the rest is counted.
const SHOWN_FIELDS_MAX: usize = 20;

impl ProblemAnswer {
    /// A problem from an answer whose body is none, such as a proxy's error page.
    pub fn without_document(status: u16, title: &str) -> Self {
        Self { status, title: title.to_owned(), ..Self::default() }
    }

    /// Whether the same request may succeed a moment later without a change.
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 507)
    }

    /// The text for a person.
    pub fn message(&self) -> String {
        let said = plain(self.detail.as_deref().unwrap_or(&self.title));
        let mut text = match self.code.as_str() {
            "" => format!("the engine answered {}: {said}", self.status),
            code => format!("{said} ({})", plain(code)),
        };
        for field in self.errors.iter().take(SHOWN_FIELDS_MAX) {
            let pointer = if field.pointer.is_empty() { "/" } else { &field.pointer };
            let _ = write!(text, "\n  {}: {}", plain(pointer), plain(&field.message));
        }
        if let Some(more) = self.errors.len().checked_sub(SHOWN_FIELDS_MAX).filter(|more| *more > 0)
        {
            let _ = write!(text, "\n  and {more} more");
        }
        if let Some(current) = &self.current {
            let _ = write!(text, "\n  it is {}", plain(current));
            if !self.allowed.is_empty() {
                let _ = write!(text, "; allowed: {}", plain(&self.allowed.join(", ")));
            }
        }
        if let Some(id) = &self.request_id {
            let _ = write!(text, "\n  request {}", plain(id));
        }
        text
    }
}

impl From<ProblemAnswer> for CliFailure {
    fn from(problem: ProblemAnswer) -> Self {
        let message = problem.message();
        match problem.status {
            404 | 410 => Self::NotFound(message),
            409 | 412 | 428 => Self::Conflict(message),
            408 | 425 | 429 | 502..=504 | 507 => Self::Unavailable(message),
            _ => Self::Failed(message),
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_code_its_wrong_fields_and_the_request() {
        let problem: ProblemAnswer = serde_json::from_value(serde_json::json!({
            "type": "x", "title": "Invalid", "status": 422, "code": "invalid_job", "detail": "the job is not valid",
            "request_id": "r-1", "errors": [{"pointer": "/nodes/0/key", "code": "key", "message": "is empty"}]
        }))
        .expect("a problem document");
        let text = problem.message();
        assert_eq!(
            text,
            "the job is not valid (invalid_job)\n  /nodes/0/key: is empty\n  request r-1"
        );
        assert_eq!(CliFailure::from(problem).exit_code(), 1);
    }

    #[test]
    fn statuses_become_exit_codes() {
        for (status, code) in [(404, 3), (409, 4), (412, 4), (503, 5), (429, 5), (400, 1), (500, 1)]
        {
            let failure = CliFailure::from(ProblemAnswer::without_document(status, "x"));
            assert_eq!(failure.exit_code(), code, "{status}");
        }
    }
}
