//! A node of a plan: what never changes of it. Nodes name one another by their places in the plan; the nodes of a
//! template stand there once, however often they come to be (`layout`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::exact_json::ExactJson;
use crate::expression::NodePart;
use crate::ids::{ActionType, NodeKey, QueueName};
use crate::job::spec::CompleteWhen;
use crate::node::spec::{DependencyCondition, NodeType, RunOn, Timeouts};
use crate::payload::Payload;
use crate::retry::policy::RetryPolicy;

/// A node of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanNode {
    /// Unique in the job.
    pub key: NodeKey,
    /// Where it is offered.
    pub queue: QueueName,
    /// What kind of work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_type: Option<ActionType>,
    /// JSON text as it was received: the input of a task or a cleanup, the record of a checkpoint, the list that a group
    /// goes over. With expressions where `flow` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// Its parents, by their places among the nodes of the plan.
    #[serde(default, skip_serializing_if = "<[u32]>::is_empty")]
    pub parents: Box<[u32]>,
    /// When its parents let it start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub condition: DependencyCondition,
    /// Skipped when a parent ended badly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip_on_failure: bool,
    /// Its failure does not fail the job.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// An unknown outcome pauses the job instead of running again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_most_once: bool,
    /// The group it is a member of, by its place among the nodes of the plan.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub container: Option<u32>,
    /// What belongs to its type alone; none: a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<PlanKind>>,
    /// What its expressions read; none: it has no expression that is still to be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Box<NodeFlow>>,
    /// What most nodes do not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Box<MoreOfNode>>,
}

/// The rarer facts of a node, apart so that the others stay small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MoreOfNode {
    /// Free text that only people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1 (highest) to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Weight in progress and estimates, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration_ms: Option<u64>,
    /// Counted in milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// Its own retry policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// The same, by its place among the plan's named policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_named: Option<u32>,
    /// Unique, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, ExactJson>,
}

/// What belongs to one type of node alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    Condition(PlanCondition),
    Group(PlanGroup),
    Checkpoint,
    Cleanup(PlanCleanup),
}

/// The branches of a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanCondition {
    /// In order; the first that holds is taken.
    pub branches: Vec<PlanBranch>,
    /// Who runs when none holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default: Vec<u32>,
}

impl PlanCondition {
    /// Who runs when this branch is taken.
    pub fn then(&self, taken: Taken) -> &[u32] {
        match taken {
            Taken::Branch(place) => {
                self.branches.get(place as usize).map_or(&[], |branch| branch.then.as_slice())
            }
            Taken::Default => &self.default,
            Taken::Nothing => &[],
        }
    }

    /// Everyone that it names, some perhaps more than once.
    pub fn named(&self) -> impl Iterator<Item = u32> + '_ {
        let branches = self.branches.iter().flat_map(|branch| &branch.then);
        branches.chain(&self.default).copied()
    }
}

/// Which branch a condition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// Its place, counted from 0.
    Branch(u32),
    Default,
    /// None holds, and there is no default.
    Nothing,
}

/// A branch of a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanBranch {
    pub when: Predicate,
    /// Who runs when it is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<u32>,
}

/// Something that holds or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// It was known at the submission.
    Known(bool),
    /// The text as it was received: one expression.
    Text(Arc<str>),
}

/// A group of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanGroup {
    /// One after the other, in order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub in_order: bool,
    /// Members at work at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The success condition.
    #[serde(default, skip_serializing_if = "is_default")]
    pub complete_when: CompleteWhen,
    /// What runs for each item of its list, when it goes over one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRange>,
    /// How many items that has, where the submission said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
}

/// The nodes of a template: the node itself, then its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRange {
    /// The place of the first among the nodes of the plan.
    pub first: u32,
    /// How many there are, templates within it not counted.
    pub nodes: u32,
}

/// What a cleanup runs after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCleanup {
    /// Ascending, at least one.
    pub run_on: Vec<RunOn>,
    /// Its failure fails a job that completed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub affects_outcome: bool,
}

/// What a node's expressions read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFlow {
    /// Its input has expressions that are still to be evaluated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub computes_input: bool,
    /// Whether it runs, once all its parents have settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Predicate>,
    /// The nodes that are read, each part once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// The job's input is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reads_job_input: bool,
    /// The item of a list is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reads_item: bool,
}

/// One part of a node that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// As the expression names it.
    pub key: Arc<str>,
    /// Its place among the nodes of the plan.
    pub node: u32,
    pub part: NodePart,
    /// Whether the node runs depends on it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decides: bool,
}

impl PlanNode {
    /// Which of the eight it is.
    pub fn node_type(&self) -> NodeType {
        match self.kind.as_deref() {
            None => NodeType::Task,
            Some(PlanKind::Condition(_)) => NodeType::Condition,
            Some(PlanKind::Group(group)) if group.in_order => NodeType::SequentialGroup,
            Some(PlanKind::Group(_)) => NodeType::ParallelGroup,
            Some(PlanKind::Checkpoint) => NodeType::Checkpoint,
            Some(PlanKind::Cleanup(_)) => NodeType::Cleanup,
        }
    }

    /// Its members, if it is a group.
    pub fn group(&self) -> Option<&PlanGroup> {
        match self.kind.as_deref() {
            Some(PlanKind::Group(group)) => Some(group),
            Some(PlanKind::Condition(_) | PlanKind::Checkpoint | PlanKind::Cleanup(_)) | None => {
                None
            }
        }
    }

    /// Its branches, if it is a condition.
    pub fn branches(&self) -> Option<&PlanCondition> {
        match self.kind.as_deref() {
            Some(PlanKind::Condition(condition)) => Some(condition),
            Some(PlanKind::Group(_) | PlanKind::Checkpoint | PlanKind::Cleanup(_)) | None => None,
        }
    }

    /// What it cleans up after, if it is a cleanup.
    pub fn cleanup(&self) -> Option<&PlanCleanup> {
        match self.kind.as_deref() {
            Some(PlanKind::Cleanup(cleanup)) => Some(cleanup),
            Some(PlanKind::Condition(_) | PlanKind::Group(_) | PlanKind::Checkpoint) | None => None,
        }
    }

    pub fn is_checkpoint(&self) -> bool {
        matches!(self.kind.as_deref(), Some(PlanKind::Checkpoint))
    }

    /// Whether workers do it; what is not is the engine's.
    pub fn is_leased(&self) -> bool {
        match self.kind.as_deref() {
            None | Some(PlanKind::Cleanup(_)) => true,
            Some(PlanKind::Condition(_) | PlanKind::Group(_) | PlanKind::Checkpoint) => false,
        }
    }

    /// Whether its input has expressions that are still to be evaluated.
    pub fn computes_input(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.computes_input)
    }

    /// What its expressions read.
    pub fn reads(&self) -> &[Read] {
        self.flow.as_ref().map_or(&[], |flow| &flow.reads)
    }

    /// Whether it runs because of what became of any of its parents.
    pub(crate) fn handles_any(&self) -> bool {
        self.condition == DependencyCondition::Conditional
            && self.parents.iter().any(|parent| self.handles(*parent))
    }

    /// Whether it runs because of what became of this one of its parents: its `when` reads how that ended.
    pub(crate) fn handles(&self, parent: u32) -> bool {
        self.condition == DependencyCondition::Conditional
            && self.reads().iter().any(|read| {
                read.decides
                    && read.node == parent
                    && matches!(read.part, NodePart::Status | NodePart::Error)
            })
    }
}
