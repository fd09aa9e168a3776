//! What a node's settling means: for those that depend on it, for failures that it handles, for its group.
//! Iterative, on counters; a join is never re-read.

use super::Draft;
use crate::job::members::{self, Ledger};
use crate::job::plan::Plan;
use crate::job::readiness::{ParentOutcome, Parents, Readiness, outcome_of, readiness};
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

impl Draft<'_> {
    pub(super) fn settled(&mut self, ix: u32) {
        let plan = self.plan();
        if plan.node(ix).handles_any() && self.node_status(ix) == NodeStatus::Completed {
            for parent in members::handled_by(&plan, ix) {
                self.excuse_children(&plan, parent);
            }
        }
        for child in plan.children(ix) {
            self.reconsider(child);
        }
        match plan.container(ix) {
            Some(group) => _ = self.pending.groups.insert(group),
            None => self.pending.job = true,
        }
    }

    /// Whether a pending node may start, must be skipped, or goes on waiting.
    pub(super) fn reconsider(&mut self, ix: u32) {
        let node = self.book.node(ix);
        if node.status != NodeStatus::Pending || node.marks.queued || !self.may_start(ix) {
            return;
        }
        let plan = self.plan();
        let spec = plan.node(ix);
        let all = plan.parent_count(ix);
        if all > 2 && planted::on(Planted::WideJoinStays) {
            return;
        }
        let parents = Parents {
            all,
            unsettled: node.unsettled,
            completed: node.completed,
            bypassed: node.bypassed,
        };
        match readiness(spec.condition, parents) {
            Readiness::Fulfilled | Readiness::Asks => self.prepare(ix),
            // That those before it clean up after other ends does not keep a cleanup from its own.
            Readiness::Bypassed if spec.cleanup().is_some() => self.prepare(ix),
            Readiness::Bypassed => self.bypass(ix),
            Readiness::Impossible if self.rests_on_handled(&plan, ix) => self.bypass(ix),
            Readiness::Impossible if spec.skip_on_failure => {
                self.move_node(ix, NodeStatus::Skipped);
            }
            Readiness::Undecided | Readiness::Impossible => {}
        }
    }

    /// Nodes without parents, of the job or of a group that starts.
    pub(super) fn reconsider_roots(&mut self, members: impl Iterator<Item = u32>) {
        let plan = self.plan();
        for ix in members {
            if plan.parent_count(ix) == 0 {
                self.reconsider(ix);
            }
        }
    }

    /// Roots of an admitted job.
    pub(in crate::job::decide) fn start_roots(&mut self) {
        let plan = self.plan();
        let outermost = |ix: &u32| plan.node(*ix).container.is_none();
        self.reconsider_roots((0..plan.initial).filter(outermost));
    }

    /// A failure is handled: what could not start because of it never will, as if a branch had not been taken.
    fn excuse_children(&mut self, plan: &Plan, parent: u32) {
        let mut excused = vec![parent];
        while let Some(parent) = excused.pop() {
            if !self.book.node(parent).marks.handled {
                continue;
            }
            for child in plan.children(parent) {
                let node = self.book.node(child);
                let skipped = node.status == NodeStatus::Skipped
                    && !node.marks.bypassed
                    && !node.marks.handled;
                if skipped && self.rests_on_handled(plan, child) {
                    members::excuse_node(&mut self.book, child);
                    self.excused.insert(child);
                    excused.push(child);
                } else {
                    self.reconsider(child);
                }
            }
        }
    }

    /// Whether all parents that ended badly are handled failures, or rest on some.
    fn rests_on_handled(&self, plan: &Plan, ix: u32) -> bool {
        let mut bad = plan.parents(ix).filter(|parent| {
            let optional = plan.node(*parent).optional;
            outcome_of(self.book.node(*parent), optional) == Some(ParentOutcome::Bad)
        });
        bad.all(|parent| self.book.node(parent).marks.handled)
    }
}
