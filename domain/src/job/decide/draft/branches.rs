//! Conditions and checkpoints: what the engine does by itself, at once, as soon as what they need is evaluated.

use std::collections::BTreeSet;

use super::Draft;
use crate::job::flow::{Prepared, given_by_itself};
use crate::job::members::Ledger;
use crate::job::plan::{Plan, PlanCondition, PlanKind, Taken};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

impl Draft<'_> {
    /// Starts a node that the engine does itself.
    pub(super) fn start(&mut self, ix: u32) {
        let plan = self.plan();
        match plan.node(ix).kind.as_deref() {
            Some(PlanKind::Group(_)) => self.start_group(ix),
            Some(PlanKind::Condition(condition)) => self.take_branch(ix, condition),
            Some(PlanKind::Checkpoint) => {
                let prepared = self.prepared(ix);
                self.complete_by_itself(ix, prepared.as_ref());
            }
            // Workers do these.
            Some(PlanKind::Cleanup(_)) | None => {}
        }
    }

    fn complete_by_itself(&mut self, ix: u32, prepared: Option<&Prepared>) {
        if let Some(output) = given_by_itself(self.book.plan(), ix, prepared) {
            self.outputs.insert(ix, Some(output));
        }
        if self.node_status(ix) != NodeStatus::Waiting {
            self.wait(ix, Hold::Evaluating);
        }
        self.move_node(ix, NodeStatus::Completed);
    }

    fn take_branch(&mut self, ix: u32, condition: &PlanCondition) {
        let prepared = self.prepared(ix);
        let taken = match &prepared {
            Some(Prepared::Branch(taken)) => *taken,
            Some(Prepared::Input(_) | Prepared::List { .. }) | None => Taken::Nothing,
        };
        let plan = self.plan();
        let at = |node: &u32| plan.seen_from(ix, *node);
        let chosen: Vec<u32> = condition.then(taken).iter().map(at).collect();
        let mut others: Vec<u32> = condition.named().map(|node| at(&node)).collect();
        others.sort_unstable();
        others.dedup();
        let reached = reached(&plan, &chosen, &others);
        self.complete_by_itself(ix, prepared.as_ref());
        for other in others.into_iter().filter(|other| !reached.contains(other)) {
            let node = self.book.node(other);
            let waits = node.status == NodeStatus::Pending && !node.marks.queued;
            if planted::on(Planted::BypassedCountsAsBad) && waits {
                self.move_node(other, NodeStatus::Skipped);
            } else if waits {
                self.bypass(other);
            }
        }
    }
}

/// The nodes that a taken branch names, and all that come behind them: nobody looks further where no node that another
/// branch names has a second parent.
fn reached(plan: &Plan, chosen: &[u32], others: &[u32]) -> BTreeSet<u32> {
    let mut reached: BTreeSet<u32> = chosen.iter().copied().collect();
    if others.iter().all(|other| plan.parent_count(*other) == 1) {
        return reached;
    }
    let mut open: Vec<u32> = chosen.to_vec();
    while let Some(here) = open.pop() {
        open.extend(plan.children(here).filter(|child| reached.insert(*child)));
    }
    reached
}
