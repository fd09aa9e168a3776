//! How a job ends, is about to end, or stands still: what its events say and its state keeps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Millis;
use crate::job::plan::Plan;
use crate::job::status::JobStatus;
use crate::node::attempt::AttemptError;
use crate::payload::Payload;

/// A decided ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The state to come.
    pub to: JobStatus,
    #[serde(default, skip_serializing_if = "EndingStage::is_stopping")]
    pub stage: EndingStage,
    /// When running attempts are revoked, or cleanups given up.
    pub until: Millis,
}

/// How far an ending is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingStage {
    /// Running attempts may still report.
    #[default]
    Stopping,
    /// The job's output is being evaluated.
    Output,
    /// Nothing else runs any more, and cleanups do.
    Cleaning,
}

impl EndingStage {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_stopping(&self) -> bool {
        *self == Self::Stopping
    }
}

/// How a job ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobEnd {
    /// The job's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<JobError>>,
}

/// The error a job shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Key of the node that failed first, if it was a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    pub class: String,
    /// The type as the worker reported it.
    #[serde(rename = "type")]
    pub error_type: String,
    /// The message as the worker reported it.
    pub message: String,
}

impl JobError {
    /// The error of a job whose node's last attempt failed like this.
    pub(crate) fn of_attempt(plan: &Plan, node: u32, error: &AttemptError) -> Arc<Self> {
        Arc::new(Self {
            node: Some(plan.path(node)),
            class: error.class.clone(),
            error_type: error.error_type.clone(),
            message: error.message.clone(),
        })
    }

    /// The error of a job whose node waited or ran longer than it may.
    pub(crate) fn time_out(plan: &Plan, node: u32, class: &str) -> Arc<Self> {
        Self::of_attempt(plan, node, &AttemptError::time_out(class))
    }
}

/// Why a job ends before it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingCause {
    Requested,
    /// `timeout_ms` is over.
    Deadline,
    FailFast,
}

/// Why a job is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    Requested,
    /// An `at_most_once` attempt has an unknown outcome.
    OutcomeUnknown,
    /// A node's executions are used up, and its policy leaves it to a person.
    RetriesExhausted,
}
