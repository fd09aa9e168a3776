//! What of a committed job its workers are told, what is to be evaluated beside the committer, and whether an answer is
//! still of use.

use std::sync::Arc;

use super::order::FlowView;
use super::{EVALUATIONS_IN_ORDER_MAX, Evaluated, EvaluationOrder, OUTPUT_OF_JOB, Prepared};
use crate::ids::{JobId, Millis, NodePath};
use crate::job::members::GroupState;
use crate::job::outcome::{EndingStage, JobError};
use crate::job::plan::Plan;
use crate::job::state::{JobState, KeptOutput};
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::Payload;

impl JobState {
    /// Where a node stands, as its worker is told.
    pub fn path_of(&self, node: u32) -> NodePath {
        let spec = self.plan.node(node);
        if spec.container.is_none() {
            return NodePath::from(&spec.key);
        }
        NodePath::made(&self.plan.path(node))
    }

    /// What a node's worker gets: what was evaluated for it, or what the submission says.
    pub fn input_of(&self, node: u32) -> Option<&Payload> {
        match self.prepared.get(&node) {
            Some(Prepared::Input(input)) => Some(input),
            Some(Prepared::List { .. } | Prepared::Branch(_)) | None => {
                self.plan.node(node).input.as_ref()
            }
        }
    }

    /// What is to be evaluated next beside the committer; none: nobody waits for it.
    pub fn evaluation_order(&self) -> Option<EvaluationOrder> {
        if self.awaits_output() {
            return Some(EvaluationOrder::gather(self, [OUTPUT_OF_JOB]));
        }
        let nodes = self.evaluating.iter().copied().take(EVALUATIONS_IN_ORDER_MAX);
        (!self.evaluating.is_empty()).then(|| EvaluationOrder::gather(self, nodes))
    }

    /// Whether what was evaluated is still waited for.
    pub fn awaits(&self, result: &Evaluated) -> bool {
        if result.node == OUTPUT_OF_JOB {
            return self.awaits_output();
        }
        let node = self.nodes.get(result.node as usize);
        node.is_some_and(|node| {
            node.hold == Some(Hold::Evaluating)
                && node.since == result.since
                && self.node_run(result.node) == result.run
        })
    }

    fn awaits_output(&self) -> bool {
        self.head.ending.is_some() && self.head.stage == EndingStage::Output
    }
}

impl FlowView for JobState {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn job_id(&self) -> JobId {
        self.id
    }

    fn job_end(&self) -> Option<JobStatus> {
        self.head.ending
    }

    fn first_error(&self) -> Option<&Arc<JobError>> {
        self.head.first_error.as_ref()
    }

    fn node_status(&self, ix: u32) -> NodeStatus {
        self.nodes[ix as usize].status
    }

    fn node_since(&self, ix: u32) -> Millis {
        self.nodes[ix as usize].since
    }

    fn node_attempts(&self, ix: u32) -> u32 {
        self.nodes[ix as usize].attempt
    }

    fn node_output(&self, ix: u32) -> Option<&Payload> {
        self.outputs.get(&ix).and_then(KeptOutput::kept)
    }

    fn node_error(&self, ix: u32) -> Option<&Arc<JobError>> {
        self.errors.get(&ix)
    }

    fn is_handled(&self, ix: u32) -> bool {
        self.nodes[ix as usize].marks.handled
    }

    fn group_at(&self, ix: u32) -> Option<GroupState> {
        self.groups.get(&ix).copied()
    }
}
