//! What an operator has paused, as people see it.

use domain::catalog::paused::{CatalogPause, PauseTarget};
use domain::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

/// A queue, an action type or a job type that is paused, or is not.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseResource {
    /// `queue`, `action_type` or `job_type`.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// Nothing of it is leased.
    pub paused: bool,
    /// Why, as whoever paused it says.
    pub reason: Option<String>,
    /// Who paused it.
    pub by: Option<String>,
    /// When it was paused.
    #[schema(format = "date-time")]
    pub since: Option<String>,
    /// When it is over by itself; null: when somebody resumes it.
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
}

impl PauseResource {
    /// As it stands; none: it is not paused.
    pub fn of(target: &PauseTarget, pause: Option<&CatalogPause>) -> Self {
        Self {
            kind: target.kind(),
            name: target.name().to_owned(),
            paused: pause.is_some(),
            reason: pause.and_then(|pause| pause.reason.clone()),
            by: pause.map(|pause| pause.by.to_string()),
            since: pause.map(|pause| rfc3339(pause.since)),
            expires_at: pause.and_then(|pause| pause.until).map(rfc3339),
        }
    }

    /// What keeps a node waiting, in words.
    pub fn words(&self) -> String {
        let what = match self.kind {
            "queue" => "the queue",
            "action_type" => "the action type",
            _ => "the job type",
        };
        let by = self.by.as_deref().unwrap_or("somebody");
        let why = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let until = match &self.expires_at {
            Some(at) => format!("until {at}"),
            None => "until somebody resumes it".to_owned(),
        };
        let since = self.since.as_deref().unwrap_or_default();
        format!("{what} {} is paused by {by}{why} since {since}, {until}", self.name)
    }
}
