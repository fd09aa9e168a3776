//! A node as a caller asks for it, unchecked. `job::spec` checks it together with its job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exact_json::ExactJson;
use crate::retry::policy::RetryPolicy;

/// The eight node types. Only `task` is available yet; the others are one file each, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeType {
    /// One unit of work for a worker.
    #[default]
    Task,
    /// Starts a child job.
    SubJob,
    /// Selects a branch.
    Condition,
    /// Members run concurrently.
    ParallelGroup,
    /// Members run one after the other.
    SequentialGroup,
    /// A rollback target.
    Checkpoint,
    /// Delivers an event to a webhook.
    Notification,
    /// Runs at the end whatever happened.
    Cleanup,
}

impl NodeType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::SubJob => "sub_job",
            Self::Condition => "condition",
            Self::ParallelGroup => "parallel_group",
            Self::SequentialGroup => "sequential_group",
            Self::Checkpoint => "checkpoint",
            Self::Notification => "notification",
            Self::Cleanup => "cleanup",
        }
    }
}

/// When a node's parents let it start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// All parents completed.
    #[default]
    All,
    /// The first completed parent is enough.
    Any,
}

/// Time-outs of a node, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timeouts {
    /// From ready to leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// From leased to reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<u64>,
    /// From first ready to settled, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

/// A node as asked for.
#[derive(Debug, Clone, Default)]
pub struct NodeSpec {
    /// Unique in the job.
    pub key: String,
    /// Free text that only people read.
    pub name: Option<String>,
    /// Which of the eight.
    pub node_type: NodeType,
    pub queue: Option<String>,
    /// What kind of work it is. Absent: the node's key is not used; workers that filter will not see it.
    pub action_type: Option<String>,
    /// JSON text as it was received.
    pub input: Option<Box<RawValue>>,
    /// Keys of the parents.
    pub depends_on: Vec<String>,
    /// When the parents let it start.
    pub dependency_condition: DependencyCondition,
    /// Skipped when a parent ended badly.
    pub skip_on_failure: bool,
    /// Its failure does not fail the job.
    pub optional: bool,
    /// 1 (highest) to 10; absent: the job's.
    pub priority: Option<u8>,
    /// Weight in progress and estimates, milliseconds.
    pub estimated_duration_ms: Option<u64>,
    /// Counted in milliseconds.
    pub timeouts: Timeouts,
    /// Absent: the job's.
    pub retry: Option<RetryPolicy>,
    /// An unknown outcome pauses instead of running again.
    pub at_most_once: bool,
    /// Unique, at most 20.
    pub tags: Vec<String>,
    /// Small facts for people and filters.
    pub metadata: BTreeMap<String, ExactJson>,
}
