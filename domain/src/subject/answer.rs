//! What a command's sender is told, whatever the subject.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::JobId;
use crate::node::attempt::AttemptRef;
use crate::refusal::Refusal;
use crate::subject::envelope::CommandMark;

/// What a deleted job still answers: late repeats of its submission.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FirstAnswer {
    /// The job that was made.
    pub id: JobId,
    /// The submission's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandMark>,
    /// The job as it was made, as people were shown it.
    pub job: Arc<RawValue>,
}

/// What a command's sender is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is so; the state after this seq shows it.
    Done { seq: u64 },
    /// This command was answered before; the state after this seq is the first answer.
    Replayed { seq: u64 },
    /// These attempts are leased.
    Leased(Vec<AttemptRef>),
    /// The report counts.
    Recorded,
    /// The report counted before.
    RecordedBefore,
    /// No, although something was written (evidence).
    Refused(Refusal),
    /// The job is deleted, and this was the answer that made it.
    AsFirst(Arc<FirstAnswer>),
    /// There was nothing to do.
    Nothing,
}
