//! Changes of one node that has not run: what can be asked, what it comes to, and the event that says so. Most failures at
//! night are a wrong queue, a wrong address or a time-out that is too short.
//! Always holds: what an event says of it is complete, as it was and as it is, so that replay assigns.
//! Absent: which nodes may be changed, and what an input may read (`decide::repair`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{ActionType, Millis, QueueName};
use crate::job::plan::{MoreOfNode, NodeField, NodeFlow, Plan, PlanNode};
use crate::job::state::JobState;
use crate::job::undo::JobUndo;
use crate::node::spec::Timeouts;
use crate::node::status::NodeStatus;
use crate::payload::{self, Payload};
use crate::retry::named::NamedPolicy;
use crate::retry::policy::RetryPolicy;
use crate::retry::spec::RetrySpec;
use crate::subject::double_option;

/// Changes of a node as asked for, unchecked. Absent fields stay; an inner none takes away what the node says itself.
#[derive(Debug, Clone, Default)]
pub struct NodePatchSpec {
    pub queue: Option<Option<String>>,
    pub action_type: Option<Option<String>>,
    /// 1 (highest) to 10; none: the job's.
    pub priority: Option<Option<u8>>,
    /// Each counted in milliseconds.
    pub timeouts: TimeoutsPatch,
    /// None: the job's, and of a group that its members run once.
    pub retry: Option<Option<RetrySpec>>,
    /// JSON text as it was received, with expressions or without.
    pub input: Option<Option<Box<RawValue>>>,
    pub at_most_once: Option<bool>,
}

/// Changes of a node's time-outs, in milliseconds. Absent ones stay; an inner none removes one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutsPatch {
    /// From ready to leased.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<Option<u64>>,
    /// From leased to reported.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<Option<u64>>,
    /// From first ready to settled, retries included.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<Option<u64>>,
}

impl TimeoutsPatch {
    /// The time-outs with these changes.
    pub(crate) fn applied_to(self, before: Timeouts) -> Timeouts {
        Timeouts {
            queue_ms: self.queue_ms.unwrap_or(before.queue_ms),
            attempt_ms: self.attempt_ms.unwrap_or(before.attempt_ms),
            total_ms: self.total_ms.unwrap_or(before.total_ms),
        }
    }
}

/// A policy that is written out, or one that the namespace keeps, as it was looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairedRetry {
    Own(Arc<RetryPolicy>),
    Named(Arc<NamedPolicy>),
}

impl RepairedRetry {
    /// What it says.
    pub(crate) fn policy(&self) -> &RetryPolicy {
        match self {
            Self::Own(policy) => policy,
            Self::Named(named) => &named.policy,
        }
    }
}

/// Changes of a node, checked as far as that needs no job (`check_node_patch`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(clippy::option_option, reason = "absent, taken away, and another value differ")]
pub struct NodePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<QueueName>,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub(crate) action_type: Option<Option<ActionType>>,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<Option<u8>>,
    #[serde(default)]
    pub(crate) timeouts: TimeoutsPatch,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Option<RepairedRetry>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "payload::given")]
    pub(crate) input: Option<Box<RawValue>>,
    /// The node has no input any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_input: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_most_once: Option<bool>,
}

impl NodePatch {
    /// Where the node will be offered, if that changes.
    pub fn queue(&self) -> Option<&QueueName> {
        self.queue.as_ref()
    }
}

/// The fields of a node that a change concerns, with one set of values. Those that it does not concern are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub action_type: Option<Option<ActionType>>,
    /// 1 (highest) to 10; an inner none: the job's.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Option<u8>>,
    /// All three of them, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub retry: Option<Option<RepairedRetry>>,
    /// JSON text as it was received, or evaluated at once.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub input: Option<Option<Payload>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_once: Option<bool>,
}

/// A node that has not run was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRepair {
    /// The position of the node.
    pub node: u32,
    pub was: NodeFields,
    pub is: NodeFields,
    /// What the expressions of the node read from now on, where its input was changed.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub flow: Option<Option<Box<NodeFlow>>>,
}

impl NodeFields {
    /// Which fields it has.
    pub fn names(&self) -> Vec<NodeField> {
        let fields = [
            (NodeField::Queue, self.queue.is_some()),
            (NodeField::ActionType, self.action_type.is_some()),
            (NodeField::Priority, self.priority.is_some()),
            (NodeField::Timeouts, self.timeouts.is_some()),
            (NodeField::Retry, self.retry.is_some()),
            (NodeField::Input, self.input.is_some()),
            (NodeField::AtMostOnce, self.at_most_once.is_some()),
        ];
        fields.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
    }
}

impl NodeRepair {
    /// The plan with the change in it.
    pub(crate) fn change(&self, plan: &mut Plan, at: Millis) {
        let Self { node: ix, is, .. } = self;
        let mut node: PlanNode = plan.node(*ix).clone();
        if let Some(queue) = &is.queue {
            node.queue = queue.clone();
        }
        if let Some(action_type) = &is.action_type {
            node.action_type.clone_from(action_type);
        }
        if let Some(at_most_once) = is.at_most_once {
            node.at_most_once = at_most_once;
        }
        if let Some(input) = &is.input {
            node.input.clone_from(input);
        }
        if let Some(flow) = &self.flow {
            node.flow.clone_from(flow);
        }
        let mut more = node.more.take().map(|more| *more).unwrap_or_default();
        if let Some(priority) = is.priority {
            more.priority = priority;
        }
        if let Some(timeouts) = is.timeouts {
            more.timeouts = timeouts;
        }
        if let Some(retry) = &is.retry {
            (more.retry, more.retry_named) = match retry {
                None => (None, None),
                Some(RepairedRetry::Own(policy)) => (Some(Arc::clone(policy)), None),
                Some(RepairedRetry::Named(named)) => (None, Some(plan.keep_policy(named))),
            };
        }
        node.more = (more != MoreOfNode::default()).then(|| Box::new(more));
        plan.change(*ix, node, &is.names(), at);
    }

    /// The state with the change in it: what was evaluated for the node, and what rules gave it, is not so any more where
    /// it rested on what was changed.
    pub(crate) fn apply(&self, job: &mut JobState, at: Millis, undo: &mut JobUndo) {
        job.change_plan(undo, |plan| self.change(plan, at));
        if self.is.input.is_some() {
            job.set_prepared(self.node, None, undo);
        }
        if self.is.retry.is_some() {
            job.count_rules_anew(self.node, undo);
        }
    }

    /// Why it cannot have happened to this job, if so.
    pub(crate) fn refuses(&self, job: &JobState) -> Option<String> {
        let Some(node) = job.nodes.get(self.node as usize) else {
            return Some(format!("it changes node {}, which the job does not have", self.node));
        };
        let wrong = !may_be_repaired(node.status) || self.is.names() != self.was.names();
        wrong.then(|| format!("it changes node {}, which is {}", self.node, node.status))
    }

    /// Adds the payloads that it names.
    pub(crate) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        named.extend(self.is.input.iter().flatten());
    }
}

/// Whether a node that stands so has not run, or is between its executions.
pub(crate) fn may_be_repaired(status: NodeStatus) -> bool {
    matches!(
        status,
        NodeStatus::Pending | NodeStatus::Ready | NodeStatus::Waiting | NodeStatus::Retrying
    )
}
