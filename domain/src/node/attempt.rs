//! One attempt of a job's node: its name, what a report says of it, what went wrong in it, when the next one is due.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Millis};
use crate::payload::Payload;

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The node's position.
    pub node: u32,
    /// Counted from 1.
    pub attempt: u32,
    /// The fencing token.
    pub epoch: Epoch,
}

/// What the newest heartbeats of a running attempt said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The node's position.
    pub node: u32,
    /// The attempt's token.
    pub epoch: Epoch,
    /// How far it is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// JSON text as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
}

impl Heard {
    /// What a later heartbeat says takes the place of what it speaks of.
    pub fn go_on_with(&mut self, later: &Self) {
        self.progress = later.progress.or(self.progress);
        if later.details.is_some() {
            self.details.clone_from(&later.details);
        }
    }
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptError {
    /// The reporter's word for it; 1-100 characters.
    #[serde(rename = "type")]
    pub error_type: String,
    /// For people; cut at 4,096 characters.
    pub message: String,
    /// Failure class of `retry-and-failures.md` section 5. Of a report, before it counts: empty when it names none.
    pub class: String,
    /// The code that the failing service gave; 1-100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The HTTP status that it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reporter's word on whether another execution can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// The wait the reporter asks for, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
}

impl AttemptError {
    /// Bytes of JSON that it takes, about: texts as they are, and its details.
    pub fn bytes(&self) -> u64 {
        let code = self.code.as_ref().map_or(0, String::len);
        let texts = self.error_type.len() + self.message.len() + self.class.len() + code;
        texts as u64 + self.details.as_ref().map_or(0, Payload::len)
    }

    /// The error of a node that waited or ran longer than it may.
    pub(crate) fn time_out(class: &str) -> Self {
        Self {
            error_type: "Timeout".to_owned(),
            message: "the node waited or ran longer than it may".to_owned(),
            class: class.to_owned(),
            ..Self::default()
        }
    }
}

/// When the next execution is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDue {
    /// Nothing happens before this time.
    pub due: Millis,
    /// The wait with its jitter, drawn once.
    pub wait_ms: u64,
    /// The place of the policy's rule that gave it, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The attempt completed.
    Complete,
    /// The attempt failed.
    Fail,
    /// The attempt is given back.
    Release,
}
