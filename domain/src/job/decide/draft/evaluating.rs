//! Evaluation before a node starts: in this decision when all that is read is in memory, else beside the committer, while
//! the node waits.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Draft;
use crate::ids::{JobId, Millis};
use crate::job::flow::{
    Asked, EVALUATIONS_IN_DECISION_MAX, Evaluated, EvaluatedAs, EvaluationOrder, Evaluator,
    FlowView, NodeFailure, Prepared,
};
use crate::job::members::{GroupState, Ledger};
use crate::job::outcome::JobError;
use crate::job::plan::Plan;
use crate::job::repair::NodeRepair;
use crate::job::state::{KeptOutput, lets_start};
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::Payload;

impl Draft<'_> {
    /// A node whose parents let it start, or ask: evaluates what it needs, and goes on.
    pub(in crate::job::decide) fn prepare(&mut self, ix: u32) {
        if !self.needs_evaluation(ix) {
            self.want_place(ix);
            return;
        }
        match self.evaluate(ix) {
            Some(evaluated) => self.take_evaluated(evaluated),
            None => self.wait(ix, Hold::Evaluating),
        }
    }

    fn needs_evaluation(&self, ix: u32) -> bool {
        let plan = self.book.plan();
        let spec = plan.node(ix);
        let asks = spec.branches().is_some()
            || spec.flow.as_ref().is_some_and(|flow| flow.when.is_some() || flow.computes_input);
        asks && self.prepared(ix).is_none()
    }

    /// The value now; none where it is made beside the committer.
    pub(in crate::job::decide) fn evaluate(&mut self, ix: u32) -> Option<Evaluated> {
        if self.evaluations >= EVALUATIONS_IN_DECISION_MAX {
            return None;
        }
        self.evaluations += 1;
        let order = EvaluationOrder::gather(self, [ix]);
        let asked: &Asked = order.nodes.first()?;
        Evaluator::new(&order, &mut |_| None).evaluate(asked).ok()
    }

    /// The node is changed with this very event: what is decided now is decided on what it is then. What was evaluated
    /// for it before is not so any more where its input is another one.
    pub(in crate::job::decide) fn repair(&mut self, repair: &NodeRepair) {
        let now = self.now;
        self.book.change_plan(|plan| repair.change(plan, now));
        if repair.is.input.is_some() {
            self.anew.insert(repair.node);
        }
    }

    /// Whether the node's input has expressions that are still to be evaluated, with this event's changes.
    pub(in crate::job::decide) fn computes_input(&self, ix: u32) -> bool {
        self.book.plan().node(ix).computes_input()
    }

    /// The input that was computed for a node which goes on where it stands.
    pub(in crate::job::decide) fn gives_input(&mut self, ix: u32, json: Box<RawValue>) {
        let input = Payload::new(json, &mut self.payloads);
        self.flow.prepared.push((ix, Prepared::Input(input)));
    }

    /// What was found for a node that waits for it, here or beside the committer.
    pub(in crate::job::decide) fn take_evaluated(&mut self, evaluated: Evaluated) {
        let ix = evaluated.node;
        match evaluated.is {
            EvaluatedAs::Bypassed => return self.bypass(ix),
            EvaluatedAs::Failed(error) => {
                return self.fail_node(ix, NodeStatus::Failed, error, None);
            }
            EvaluatedAs::Ready => {}
            EvaluatedAs::Input(json) => {
                let input = Payload::new(json, &mut self.payloads);
                self.flow.prepared.push((ix, Prepared::Input(input)));
            }
            EvaluatedAs::List { list, items } => {
                let list = Payload::new(list, &mut self.payloads);
                self.flow.prepared.push((ix, Prepared::List { list, items }));
            }
            EvaluatedAs::Branch(taken) => {
                self.flow.prepared.push((ix, Prepared::Branch(taken)));
            }
        }
        self.want_place(ix);
    }

    /// What was evaluated for a node that has not settled, here or before.
    pub(super) fn prepared(&self, ix: u32) -> Option<Prepared> {
        let here = self.flow.prepared.iter().rev().find(|(of, _)| *of == ix);
        let here = here.map(|(_, prepared)| prepared);
        let before = || self.state.prepared.get(&ix).filter(|_| !self.anew.contains(&ix));
        here.or_else(before).cloned()
    }

    /// Whether a node may start, as far as the ends of its job and of the groups around it go.
    pub(in crate::job::decide) fn may_start(&self, ix: u32) -> bool {
        let plan = self.book.plan();
        let cleanup = plan.node(ix).cleanup().is_some();
        lets_start(self.status, self.ending_to(), self.stage(), cleanup)
            && plan.containers(ix).all(|group| self.is_open(group))
    }

    /// Whether a group is at work, and its end not decided.
    pub(super) fn is_open(&self, group: u32) -> bool {
        self.book.group(group).is_some_and(|state| state.is_open(self.book.node(group)))
    }
}

impl FlowView for Draft<'_> {
    fn plan(&self) -> &Arc<Plan> {
        self.book.plan()
    }

    fn job_id(&self) -> JobId {
        self.state.id
    }

    fn job_end(&self) -> Option<JobStatus> {
        self.ending_to()
    }

    fn first_error(&self) -> Option<&Arc<JobError>> {
        // That of the job's output comes last, and counts.
        let of_output = self.new_error.as_ref().filter(|error| error.node.is_none());
        of_output.or(self.state.head.first_error.as_ref()).or(self.new_error.as_ref())
    }

    fn node_status(&self, ix: u32) -> NodeStatus {
        self.book.node(ix).status
    }

    fn node_since(&self, ix: u32) -> Millis {
        self.book.node(ix).since
    }

    fn node_attempts(&self, ix: u32) -> u32 {
        self.book.node(ix).attempt
    }

    fn node_output(&self, ix: u32) -> Option<&Payload> {
        match self.outputs.get(&ix) {
            Some(here) => here.as_ref(),
            None => self.state.outputs.get(&ix).and_then(KeptOutput::kept),
        }
    }

    fn node_error(&self, ix: u32) -> Option<&Arc<JobError>> {
        match self.errors.get(&ix) {
            Some(here) => here.as_ref(),
            None => self.state.errors.get(&ix),
        }
    }

    fn is_handled(&self, ix: u32) -> bool {
        self.book.node(ix).marks.handled
    }

    fn group_at(&self, ix: u32) -> Option<GroupState> {
        self.book.group(ix)
    }
}

impl Draft<'_> {
    /// The job's output where it is computed; none where that is done beside the committer.
    pub(super) fn evaluate_output(&mut self) -> Option<Evaluated> {
        self.evaluate(OUTPUT)
    }

    /// What was found for the job's output: it goes on to its end, or fails.
    pub(in crate::job::decide) fn take_output(&mut self, evaluated: Evaluated) -> bool {
        match evaluated.is {
            EvaluatedAs::Input(json) => {
                let output = Payload::new(json, &mut self.payloads);
                self.flow.prepared.push((OUTPUT, Prepared::Input(output)));
                self.clean(JobStatus::Completed)
            }
            EvaluatedAs::Failed(error) => {
                let failure =
                    NodeFailure { node: OUTPUT, error, shown: None, retry: None, used_up: false };
                self.note_flow_failure(failure);
                self.clean(JobStatus::Failed)
            }
            EvaluatedAs::Bypassed
            | EvaluatedAs::Ready
            | EvaluatedAs::List { .. }
            | EvaluatedAs::Branch(_) => self.clean(JobStatus::Completed),
        }
    }
}

/// Stands for the job's own output, where a node's position stands otherwise.
pub(super) const OUTPUT: u32 = crate::job::flow::OUTPUT_OF_JOB;
