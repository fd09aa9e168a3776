//! A node as a caller asks for it, unchecked. `job::check` checks it together with its job.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exact_json::ExactJson;
use crate::job::spec::CompleteWhen;
use crate::retry::spec::RetrySpec;

/// Groups that may stand around a member: the depth of what people write, and of the recursions over it.
pub const GROUP_DEPTH_MAX: usize = 8;
/// Branches of one condition: each costs an evaluation when it is decided.
pub const BRANCHES_MAX: usize = 100;

/// The eight node types.
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
    /// All parents have settled, and an expression over them holds.
    Conditional,
}

/// After which ends of its job a cleanup runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOn {
    /// Whichever it is.
    Always,
    /// The job completes.
    Success,
    /// It fails or times out.
    Failure,
    /// It is cancelled or given up.
    Cancel,
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

/// A branch of a condition as asked for.
#[derive(Debug, Clone)]
pub struct BranchSpec {
    /// `${{ ... }}`, the text as it was received.
    pub when: String,
    /// Keys of the nodes that run when it is the first that holds.
    pub then: Vec<String>,
}

/// A group as asked for.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    pub members: MembersSpec,
    /// Members at work at once; absent: all.
    pub max_parallel: Option<u32>,
    /// The success condition of the group.
    pub complete_when: CompleteWhen,
}

/// The members of a group as asked for.
#[derive(Debug, Clone)]
pub enum MembersSpec {
    Nodes(Vec<NodeSpec>),
    ForEach {
        /// A list, or a text that is one expression: JSON as it was received.
        list: Box<RawValue>,
        /// What runs for each item; its key is not used.
        template: Box<NodeSpec>,
    },
}

/// What belongs to one type of node alone.
#[derive(Debug, Clone, Default)]
pub enum NodeKind {
    #[default]
    Task,
    Condition {
        /// In order; the first that holds is taken.
        branches: Vec<BranchSpec>,
        /// Keys of the nodes that run when none holds.
        default: Vec<String>,
    },
    ParallelGroup(GroupSpec),
    SequentialGroup(GroupSpec),
    Checkpoint {
        /// JSON with expressions, as it was received.
        record: Option<Box<RawValue>>,
    },
    Cleanup {
        /// Empty means always.
        run_on: Vec<RunOn>,
        /// Its failure fails a job that completed.
        affects_outcome: bool,
    },
    /// Not available yet.
    SubJob,
    /// Not available yet.
    Notification,
}

impl NodeKind {
    /// Which of the eight.
    pub fn node_type(&self) -> NodeType {
        match self {
            Self::Task => NodeType::Task,
            Self::Condition { .. } => NodeType::Condition,
            Self::ParallelGroup(_) => NodeType::ParallelGroup,
            Self::SequentialGroup(_) => NodeType::SequentialGroup,
            Self::Checkpoint { .. } => NodeType::Checkpoint,
            Self::Cleanup { .. } => NodeType::Cleanup,
            Self::SubJob => NodeType::SubJob,
            Self::Notification => NodeType::Notification,
        }
    }
}

/// A node as asked for.
#[derive(Debug, Clone, Default)]
pub struct NodeSpec {
    /// Unique in the job, or in its group. Of a template: not used.
    pub key: String,
    /// Free text that only people read.
    pub name: Option<String>,
    /// What is its type's alone.
    pub kind: NodeKind,
    /// Of tasks and cleanups.
    pub queue: Option<String>,
    /// What kind of work it is. Absent: the node's key is not used; workers that filter will not see it.
    pub action_type: Option<String>,
    /// JSON text as it was received, with expressions or without. Of tasks and cleanups.
    pub input: Option<Box<RawValue>>,
    /// Keys of the parents, which stand in the same job or group.
    pub depends_on: Vec<String>,
    /// When the parents let it start.
    pub dependency_condition: DependencyCondition,
    /// `${{ ... }}` over the parents; with [`DependencyCondition::Conditional`] and only then.
    pub when: Option<String>,
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
    /// Absent: the job's. Of a group: its members run again, as a new attempt of the group; absent: they do not.
    pub retry: Option<RetrySpec>,
    /// An unknown outcome pauses instead of running again.
    pub at_most_once: bool,
    /// Unique, at most 20.
    pub tags: Vec<String>,
    /// Small facts for people and filters.
    pub metadata: BTreeMap<String, ExactJson>,
}

impl NodeSpec {
    /// Adds the ids and names of the kept policies that it and what is in it name.
    pub(crate) fn add_policy_references<'a>(&'a self, found: &mut BTreeSet<&'a str>) {
        found.extend(self.retry.as_ref().and_then(RetrySpec::reference));
        let members = match &self.kind {
            NodeKind::ParallelGroup(group) | NodeKind::SequentialGroup(group) => &group.members,
            NodeKind::Task
            | NodeKind::Condition { .. }
            | NodeKind::Checkpoint { .. }
            | NodeKind::Cleanup { .. }
            | NodeKind::SubJob
            | NodeKind::Notification => return,
        };
        match members {
            MembersSpec::Nodes(nodes) => {
                for node in nodes {
                    node.add_policy_references(found);
                }
            }
            MembersSpec::ForEach { template, .. } => template.add_policy_references(found),
        }
    }
}
