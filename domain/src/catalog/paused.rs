//! What an operator has paused: a queue, an action type or a job type of the namespace. Nothing of it is leased until it is
//! resumed, or until its time is over; what runs goes on.
//! Absent: the effect, which every engine has on what it offers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::ids::{ActionType, Millis, QueueName};
use crate::refusal::FieldError;
use crate::subject::labels;

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseTarget {
    Queue(QueueName),
    ActionType(ActionType),
    /// As jobs name it.
    JobType(Arc<str>),
}

impl PauseTarget {
    /// A type of jobs.
    ///
    /// # Errors
    /// What is wrong with it; `at` is the pointer.
    pub fn job_type(text: &str, at: &str) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        labels::line(at, text, 1, bounds::JOB_TYPE_CHARS_MAX, &mut errors);
        if errors.is_empty() { Ok(Self::JobType(Arc::from(text))) } else { Err(errors) }
    }

    /// Which of the three, as a word of the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::ActionType(_) => "action_type",
            Self::JobType(_) => "job_type",
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(queue) => queue.as_str(),
            Self::ActionType(action_type) => action_type.as_str(),
            Self::JobType(job_type) => job_type,
        }
    }
}

impl fmt::Display for PauseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Queue(_) => "queue",
            Self::ActionType(_) => "action type",
            Self::JobType(_) => "job type",
        };
        write!(f, "the {kind} {}", self.name())
    }
}

/// When a pause is over by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseEnd {
    At(Millis),
    /// So many milliseconds after it is decided.
    After(u64),
}

/// A pause that holds, or held until its time was over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogPause {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who paused it.
    pub by: Arc<str>,
    /// When that was.
    pub since: Millis,
    /// When it is over by itself; none: when somebody resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

impl CatalogPause {
    /// Whether its time is not over.
    pub fn holds_at(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}
