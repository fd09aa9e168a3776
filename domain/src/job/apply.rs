//! Applying an event: it assigns and counts, and cannot refuse. Every change goes through an undo log, so that a state
//! can be taken back to the committed one when an append does not commit. A replay keeps none.
//! Invariant: apply then undo gives the same state (`every_step_of_a_random_job_agrees_with_the_model`).

mod first;

use std::sync::Arc;

use crate::bounds;
use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::readiness::counts_as_completed;
use crate::job::state::{JobState, NodeState};
use crate::job::status::JobStatus;
use crate::job::undo::JobUndo;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

impl JobState {
    /// Applies one event, remembering in `undo` what was there before.
    pub fn apply(&mut self, event: &JobEvent, undo: &mut JobUndo) {
        self.remember_head(undo);
        let at = event.by.at;
        self.head.seq += 1;
        self.head.updated_at = at;
        self.head.newest_at = at;
        if let Some(mark) = &event.by.command {
            self.remember_command(mark, at, undo);
        }
        event.fact.apply(self, &event.nodes, at, undo);
        for change in &event.nodes {
            for node in change.at.iter() {
                self.set_node_status(node, change.to, change.holds(), at, undo);
            }
        }
        for node in event.held.iter() {
            self.hold(node, true, undo);
            // A node that waited for something else waits for a place now.
            let node = self.node_mut(node, undo);
            node.hold = node.hold.map(|_| Hold::Limit);
        }
        if let Some(ending) = &event.ending {
            self.head.ending = Some(ending.to);
            self.head.ending_until = ending.until;
        }
        for (from, to) in &event.job {
            self.set_job_status(*from, *to, at);
        }
        if let Some(end) = &event.end {
            self.head.end(end, at);
        }
    }

    /// The only place where a node's state changes: counters of the job and of its children move with it.
    fn set_node_status(
        &mut self,
        ix: u32,
        to: NodeStatus,
        hold: Option<Hold>,
        at: Millis,
        undo: &mut JobUndo,
    ) {
        let optional = self.plan.nodes[ix as usize].optional;
        let node = self.node_mut(ix, undo);
        let from = node.status;
        node.status = to;
        node.since = at;
        if to == NodeStatus::Ready && node.first_ready == 0 {
            node.first_ready = at;
        }
        node.hold = hold;
        self.hold(ix, false, undo);
        if from == NodeStatus::Running && self.claims.contains_key(&ix) {
            self.set_claim(ix, None, undo);
        }
        self.head.counts[from.index()] -= 1;
        self.head.counts[to.index()] += 1;
        let failed =
            |status| matches!(status, NodeStatus::Failed | NodeStatus::Timeout) && !optional;
        self.head.failed_required += u32::from(failed(to));
        self.head.failed_required -= u32::from(failed(from));
        self.tell_children(ix, from, to, optional, undo);
    }

    fn tell_children(
        &mut self,
        ix: u32,
        from: NodeStatus,
        to: NodeStatus,
        optional: bool,
        undo: &mut JobUndo,
    ) {
        if !from.is_settled() && !to.is_settled() {
            return;
        }
        let completed = (counts_as_completed(from, optional), counts_as_completed(to, optional));
        let plan = Arc::clone(&self.plan);
        for child in plan.graph.children(ix) {
            let child = self.node_mut(*child, undo);
            child.unsettled += u32::from(from.is_settled());
            child.unsettled -= u32::from(to.is_settled());
            child.completed += u32::from(completed.1);
            child.completed -= u32::from(completed.0);
        }
    }

    fn set_job_status(&mut self, from: JobStatus, to: JobStatus, at: Millis) {
        debug_assert_eq!(from, self.head.status, "an event's transition starts where the job is");
        self.head.status = to;
        if to == JobStatus::Paused {
            self.head.paused_from = Some(from);
        } else if from == JobStatus::Paused {
            self.head.paused_from = None;
            self.head.pause_cause = None;
        }
        // Back from a pause, it goes on with the times it had.
        let is_new = from != JobStatus::Paused;
        if to.is_over() {
            self.head.ending = None;
            self.head.ending_until = 0;
        } else if to == JobStatus::Queued && is_new {
            self.head.queued_at = Some(at);
        } else if to == JobStatus::Scheduled && is_new {
            self.head.scheduled_since = Some(at);
        } else if to == JobStatus::Running && self.head.started_at.is_none() {
            self.head.started_at = Some(at);
        }
    }
}

/// Whether a lease of this node for an answer that could not be written may be given back once more.
pub(crate) fn may_release_undelivered(node: &NodeState) -> bool {
    node.undelivered < bounds::UNCOUNTED_RELEASES_MAX
}
