//! Applying an event: it assigns and counts, and cannot refuse. Every change goes through an undo log, so that a state
//! can be taken back to the committed one when an append does not commit. A replay keeps none.
//! Invariant: apply then undo gives the same state (`every_step_of_a_random_tree_agrees_with_the_model`).

mod first;
mod flowing;

use std::sync::Arc;

use crate::bounds;
use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::members::{self, GroupState, Ledger, MemberCounts, Move};
use crate::job::outcome::EndingStage;
use crate::job::plan::Plan;
use crate::job::state::{JobState, NodeState};
use crate::job::status::JobStatus;
use crate::job::undo::JobUndo;
use crate::node::change::NodeChange;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

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
        for heard in &event.heard {
            if let Some(details) = &heard.details {
                self.hand_on_details(heard.node, details, undo);
            }
        }
        event.fact.apply(self, &event.nodes, at, undo);
        // An event lists transitions by kind, so those of a group may stand behind those of its members. What runs again
        // begins anew first, and groups are there before their members move.
        let anew = |change: &&NodeChange| change.to == NodeStatus::Pending;
        for change in event.nodes.iter().filter(anew) {
            self.apply_change(change, at, undo);
        }
        if let Some(flow) = &event.flow {
            self.add_members(flow, at, undo);
        }
        self.begin_groups(event, undo);
        for change in event.nodes.iter().filter(|change| !anew(change)) {
            self.apply_change(change, at, undo);
        }
        for node in event.held.iter() {
            let placed = self.plan.container(node).is_some();
            self.queue(node, placed, undo);
            self.hold(node, true, undo);
        }
        if let Some(flow) = &event.flow {
            self.follow_flow(flow, at, undo);
        }
        if let Some(ending) = &event.ending {
            self.head.ending = Some(ending.to);
            self.head.stage = ending.stage;
            self.head.ending_until = ending.until;
        }
        for (from, to) in &event.job {
            self.set_job_status(*from, *to, at);
        }
        if let Some(end) = &event.end {
            self.head.end(end, at);
            self.set_prepared(crate::job::flow::OUTPUT_OF_JOB, None, undo);
        }
    }

    fn apply_change(&mut self, change: &NodeChange, at: Millis, undo: &mut JobUndo) {
        let what = Move { to: change.to, hold: change.holds(), bypassed: change.bypassed };
        for node in change.at.iter() {
            if planted::on(Planted::ExpansionInPart) && self.is_last_member(node) {
                continue;
            }
            self.move_node(node, what, at, undo);
        }
    }

    /// The only place where a committed node's state changes.
    fn move_node(&mut self, ix: u32, what: Move, at: Millis, undo: &mut JobUndo) {
        let from = self.nodes[ix as usize].status;
        members::move_node(&mut Books { job: self, undo }, ix, what, at);
        self.hold(ix, false, undo);
        self.gate(ix, false, undo);
        self.set_evaluating(ix, what.hold == Some(Hold::Evaluating), undo);
        if from == NodeStatus::Running && self.claims.contains_key(&ix) {
            self.set_claim(ix, None, undo);
        }
        if what.to.is_settled() {
            self.hand_on_nothing(ix, undo);
            self.end_node(ix, what.to, at, undo);
        } else if what.to == NodeStatus::Pending {
            self.forget_run(ix, undo);
        }
    }

    /// Whether it is the last of the members that came to be last.
    fn is_last_member(&self, ix: u32) -> bool {
        let newest = self.plan.added.last();
        newest.is_some_and(|newest| newest.count > 2 && newest.end() == ix + 1)
    }

    /// A node waits for a place.
    fn queue(&mut self, ix: u32, placed: bool, undo: &mut JobUndo) {
        members::queue_node(&mut Books { job: self, undo }, ix, placed);
        self.gate(ix, false, undo);
        self.set_evaluating(ix, false, undo);
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
            self.head.stage = EndingStage::default();
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

/// The committed state as the counts see it: every change is remembered.
pub(crate) struct Books<'a> {
    pub(crate) job: &'a mut JobState,
    pub(crate) undo: &'a mut JobUndo,
}

impl Ledger for Books<'_> {
    fn plan(&self) -> &Arc<Plan> {
        &self.job.plan
    }

    fn node(&self, ix: u32) -> &NodeState {
        &self.job.nodes[ix as usize]
    }

    fn node_mut(&mut self, ix: u32) -> &mut NodeState {
        self.job.node_mut(ix, self.undo)
    }

    fn group_mut(&mut self, group: u32) -> Option<&mut GroupState> {
        self.job.group_mut(group, self.undo)
    }

    fn drop_group(&mut self, group: u32) {
        self.job.set_group(group, None, self.undo);
    }

    fn outermost_mut(&mut self) -> &mut MemberCounts {
        &mut self.job.head.members
    }

    fn by_state_mut(&mut self) -> &mut [u32; 12] {
        &mut self.job.head.counts
    }
}

/// Whether a lease of this node for an answer that could not be written may be given back once more.
pub(crate) fn may_release_undelivered(node: &NodeState) -> bool {
    node.undelivered < bounds::UNCOUNTED_RELEASES_MAX
}
