//! Conditions and checkpoints: what the engine does by itself, at once, as soon as what they need is evaluated.

use super::Draft;
use crate::job::flow::Prepared;
use crate::job::members::Ledger;
use crate::job::plan::Taken;
use crate::job::plan::{PlanCondition, PlanKind};
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
                let record = match self.prepared(ix) {
                    Some(Prepared::Input(record)) => Some(record),
                    Some(Prepared::List { .. } | Prepared::Branch(_)) | None => {
                        plan.node(ix).input.clone()
                    }
                };
                if let Some(record) = record {
                    self.outputs.insert(ix, record);
                }
                self.complete_by_itself(ix);
            }
            // Workers do these.
            Some(PlanKind::Cleanup(_)) | None => {}
        }
    }

    fn complete_by_itself(&mut self, ix: u32) {
        if self.node_status(ix) != NodeStatus::Waiting {
            self.wait(ix, Hold::Evaluating);
        }
        self.move_node(ix, NodeStatus::Completed);
    }

    fn take_branch(&mut self, ix: u32, condition: &PlanCondition) {
        let taken = match self.prepared(ix) {
            Some(Prepared::Branch(taken)) => taken,
            Some(Prepared::Input(_) | Prepared::List { .. }) | None => Taken::Nothing,
        };
        if let Some(output) = self.plan().branch_output(ix, taken) {
            self.outputs.insert(ix, output);
        }
        let plan = self.plan();
        let at = |node: &u32| plan.seen_from(ix, *node);
        let chosen: Vec<u32> = condition.then(taken).iter().map(at).collect();
        let mut others: Vec<u32> = condition.named().map(|node| at(&node)).collect();
        others.sort_unstable();
        others.dedup();
        self.complete_by_itself(ix);
        for other in others.into_iter().filter(|other| !chosen.contains(other)) {
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
