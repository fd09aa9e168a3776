//! Pauses of queues, action types and job types, as they are asked for and listed. Absent: the rules of their times, which the
//! domain checks.

use domain::catalog::paused::PauseEnd;
use domain::refusal::FieldError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::patch::REASON_CHARS_MAX;
use super::time;
use crate::http::page::PageInfo;
use crate::view::resources::pause::PauseResource;

/// Why something is paused, and until when. The whole body may be left out.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PauseRequest)]
pub struct PauseBody {
    /// For people and the history.
    #[validate(length(max = REASON_CHARS_MAX))]
    #[schema(max_length = 1_000)]
    reason: Option<String>,
    /// When it is over by itself, within a year; absent: when somebody resumes it.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// Instead of `expires_at`: over after so many milliseconds.
    #[schema(minimum = 1, maximum = 2_592_000_000_i64)]
    for_ms: Option<u64>,
}

impl PauseBody {
    /// When it is over, and the reason.
    ///
    /// # Errors
    /// A time that is none, or two of them.
    pub fn into_end(self) -> Result<(Option<PauseEnd>, Option<String>), Vec<FieldError>> {
        let error = |at: &str, code, message: String| Err(vec![FieldError::new(at, code, message)]);
        let end = match (self.expires_at, self.for_ms) {
            (None, None) => None,
            (Some(text), None) => {
                let Some(at) = time::parse(&text) else {
                    let message = format!("must be {}", time::ALLOWED);
                    return error("/expires_at", "invalid_format", message);
                };
                Some(PauseEnd::At(at))
            }
            (None, Some(ms)) if (1..=domain::bounds::TIMEOUT_MS_MAX).contains(&ms) => {
                Some(PauseEnd::After(ms))
            }
            (None, Some(_)) => {
                let most = domain::bounds::TIMEOUT_MS_MAX;
                let message = format!("must be between 1 and {most} (30 days)");
                return error("/for_ms", "out_of_range", message);
            }
            (Some(_), Some(_)) => {
                let message = "expires_at says when it is over: only one of the two".to_owned();
                return error("/for_ms", "contradiction", message);
            }
        };
        Ok((end, self.reason))
    }
}

/// What is paused in a namespace, by kind and name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PauseList)]
pub struct PauseListAnswer {
    /// The rows of this page, in the order of the list.
    pub pauses: Vec<PauseResource>,
    #[serde(flatten)]
    pub page: PageInfo,
}
