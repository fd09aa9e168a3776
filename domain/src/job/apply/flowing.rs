//! Applying what an event says of data, members and ends beside transitions.

use std::sync::Arc;

use crate::ids::Millis;
use crate::job::flow::{Flow, Prepared};
use crate::job::members::{self, GroupState};
use crate::job::outcome::JobError;
use crate::job::plan::PlanKind;
use crate::job::plan::Taken;
use crate::job::state::{JobState, NodeState};
use crate::job::undo::JobUndo;
use crate::node::status::NodeStatus;
use crate::payload::Payload;

use super::Books;

impl JobState {
    /// What has to be there before the nodes move: members, and what was evaluated.
    pub(super) fn add_members(&mut self, flow: &Flow, at: Millis, undo: &mut JobUndo) {
        for expansion in &flow.added {
            let place = u32::try_from(self.plan.added.len()).unwrap_or(u32::MAX);
            let expansion = expansion.clone();
            let (group, count) = (expansion.group, expansion.count);
            let new = expansion.first..expansion.end();
            self.grow(expansion, undo);
            self.head.counts[NodeStatus::Pending.index()] += new.end - new.start;
            let blank = new.map(|ix| NodeState::blank(self.plan.parent_count(ix), at));
            self.nodes.extend(blank);
            self.set_group(group, Some(GroupState::new(Some(place), count)), undo);
        }
        for (node, prepared) in &flow.prepared {
            self.set_prepared(*node, Some(prepared.clone()), undo);
        }
    }

    /// What follows the nodes' moves.
    pub(super) fn follow_flow(&mut self, flow: &Flow, undo: &mut JobUndo) {
        for node in flow.gated.iter() {
            self.queue(node, false, undo);
            self.gate(node, true, undo);
        }
        for node in flow.excused.iter() {
            members::excuse_node(&mut Books { job: self, undo }, node);
        }
        for failure in &flow.failed {
            if let Some(retry) = failure.retry {
                let node = self.node_mut(failure.node, undo);
                node.due = retry.due;
                node.last_wait_ms = u32::try_from(retry.wait_ms).unwrap_or(u32::MAX);
                self.head.retries += 1;
            } else {
                let own = JobError::of_attempt(&self.plan, failure.node, &failure.error);
                // A group shows what failed in it.
                let shown = self.errors.get(&failure.node).map_or(own, Arc::clone);
                self.note_failure(failure.node, &shown, undo);
            }
        }
        for (group, ending) in &flow.ending {
            if let Some(group) = self.group_mut(*group, undo) {
                group.ending = Some(*ending);
            }
        }
    }

    /// A failure that is final: the first of a group, and the first of the job, are the errors they show.
    pub(crate) fn note_failure(&mut self, ix: u32, error: &Arc<JobError>, undo: &mut JobUndo) {
        let plan = Arc::clone(&self.plan);
        let spec = plan.node(ix);
        if plan.keeps_error(ix) {
            self.set_error(ix, Some(Arc::clone(error)), undo);
        }
        if spec.optional {
            return;
        }
        match plan.container(ix) {
            Some(group) if self.errors.contains_key(&group) => {}
            Some(group) => self.set_error(group, Some(Arc::clone(error)), undo),
            None if spec.cleanup().is_some() || self.head.first_error.is_some() => {}
            None => self.head.first_error = Some(Arc::clone(error)),
        }
    }

    /// A node has settled: what was evaluated for it is not needed any more.
    pub(super) fn end_node(&mut self, ix: u32, to: NodeStatus, at: Millis, undo: &mut JobUndo) {
        let prepared = self.prepared.contains_key(&ix);
        if to == NodeStatus::Completed {
            let plan = Arc::clone(&self.plan);
            let output = self.given_by_itself(ix);
            if plan.node(ix).is_checkpoint() {
                self.set_checkpoint(ix, Some(at), undo);
            }
            if let Some(output) = output {
                self.keep_output(ix, &output, undo);
            }
        }
        if prepared && self.plan.node(ix).is_leased() {
            self.set_prepared(ix, None, undo);
        }
    }

    /// The output of a node that the engine does by itself; none of any other.
    pub(crate) fn given_by_itself(&self, ix: u32) -> Option<Payload> {
        let prepared = self.prepared.get(&ix);
        match (self.plan.node(ix).kind.as_deref(), prepared) {
            (Some(PlanKind::Checkpoint), Some(Prepared::Input(record))) => Some(record.clone()),
            (Some(PlanKind::Checkpoint), _) => self.plan.node(ix).input.clone(),
            (Some(PlanKind::Condition(_)), Some(Prepared::Branch(taken))) => {
                self.plan.branch_output(ix, *taken)
            }
            (Some(PlanKind::Condition(_)), _) => self.plan.branch_output(ix, Taken::Nothing),
            (Some(PlanKind::Group(_) | PlanKind::Cleanup(_)) | None, _) => None,
        }
    }

    /// A node or a group runs again: what was found in its last run is not so any more.
    pub(super) fn forget_run(&mut self, ix: u32, to: NodeStatus, undo: &mut JobUndo) {
        self.set_error(ix, None, undo);
        if to == NodeStatus::Pending {
            self.set_prepared(ix, None, undo);
            self.set_checkpoint(ix, None, undo);
            self.drop_output(ix, undo);
        }
    }
}
