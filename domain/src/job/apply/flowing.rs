//! Applying what an event says of data, members and ends beside transitions.

use std::sync::Arc;

use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::flow::{Flow, Noted, given_by_itself, noted_at};
use crate::job::members::{self, GroupState};
use crate::job::outcome::JobError;
use crate::job::state::{JobState, NodeState};
use crate::job::undo::JobUndo;
use crate::node::change::NodeChange;
use crate::node::hold::Hold;
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

    /// Groups whose members begin: those that run again have members already, and forget how they ended.
    pub(super) fn begin_groups(&mut self, event: &JobEvent, undo: &mut JobUndo) {
        let begins = |change: &&NodeChange| change.holds() == Some(Hold::Members);
        let moved = event.nodes.iter().filter(begins).flat_map(|change| change.at.iter());
        let begun = event.flow.iter().flat_map(|flow| flow.begun.iter());
        for ix in moved.chain(begun) {
            self.set_error(ix, None, undo);
            if !self.groups.contains_key(&ix) {
                let members = self.plan.declared_members(ix).len();
                let members = u32::try_from(members).unwrap_or(u32::MAX);
                self.set_group(ix, Some(GroupState::new(None, members)), undo);
            }
        }
    }

    /// What follows the nodes' moves.
    pub(super) fn follow_flow(&mut self, flow: &Flow, at: Millis, undo: &mut JobUndo) {
        for group in flow.begun.iter() {
            members::begin_group(&mut Books { job: self, undo }, group, at);
            self.hold(group, false, undo);
            self.gate(group, false, undo);
            self.set_evaluating(group, false, undo);
        }
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
                if let Some(rule) = retry.rule {
                    self.hand_on_rule(failure.node, rule, undo);
                }
            } else {
                let shown = failure.shown(&self.plan);
                self.note_failure(failure.node, &shown, undo);
            }
        }
        for (group, ending) in &flow.ending {
            if let Some(group) = self.group_mut(*group, undo) {
                group.ending = Some(*ending);
            }
        }
    }

    /// A failure that is final, or that of the job's own output. Of what nothing keeps, the first one of a group, and of
    /// the job, is kept.
    pub(crate) fn note_failure(&mut self, ix: u32, error: &Arc<JobError>, undo: &mut JobUndo) {
        match noted_at(&self.plan, ix) {
            Noted::Job { first } if first && self.head.first_error.is_some() => {}
            Noted::Job { .. } => self.head.first_error = Some(Arc::clone(error)),
            Noted::Node(at) if at != ix && self.errors.contains_key(&at) => {}
            Noted::Node(at) => self.set_error(at, Some(Arc::clone(error)), undo),
            Noted::Nowhere => {}
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
        given_by_itself(&self.plan, ix, self.prepared.get(&ix))
    }

    /// A node runs again: what was found in its last run is not so any more.
    pub(super) fn forget_run(&mut self, ix: u32, undo: &mut JobUndo) {
        self.count_rules_anew(ix, undo);
        self.set_error(ix, None, undo);
        self.set_prepared(ix, None, undo);
        self.set_checkpoint(ix, None, undo);
        self.drop_output(ix, undo);
    }
}
