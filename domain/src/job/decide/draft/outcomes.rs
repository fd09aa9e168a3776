//! What a node's settling means for its children: some become ready, some are skipped, and so on down the graph.
//! Iterative, on counters; a join is never re-read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Draft, Touched};
use crate::job::readiness::{Readiness, counts_as_completed, readiness};
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

impl Draft<'_> {
    pub(super) fn tell_children(&mut self, parent: u32, settled: &mut VecDeque<u32>) {
        let optional = self.state.plan.nodes[parent as usize].optional;
        let completed = counts_as_completed(self.node_status(parent), optional);
        let plan = Arc::clone(&self.state.plan);
        for child in plan.graph.children(parent) {
            let node = &self.state.nodes[*child as usize];
            let touched = self.touched.entry(*child).or_insert(Touched {
                status: node.status,
                unsettled: node.unsettled,
                completed: node.completed,
            });
            touched.unsettled -= 1;
            touched.completed += u32::from(completed);
            if touched.status == NodeStatus::Pending {
                self.reconsider(*child, settled);
            }
        }
    }

    /// Whether a pending node may start, must be skipped, or goes on waiting.
    fn reconsider(&mut self, ix: u32, settled: &mut VecDeque<u32>) {
        let spec = &self.state.plan.nodes[ix as usize];
        let Some(touched) = self.touched.get(&ix) else { return };
        let parents = u32::try_from(spec.parents.len()).unwrap_or(u32::MAX);
        if parents > 2 && planted::on(Planted::WideJoinStays) {
            return;
        }
        match readiness(spec.condition, parents, touched.unsettled, touched.completed) {
            Readiness::Fulfilled if !self.state.held.contains(&ix) => {
                _ = self.newly_held.insert(ix);
            }
            Readiness::Impossible if spec.skip_on_failure => {
                self.set(ix, NodeStatus::Skipped, settled);
            }
            Readiness::Fulfilled | Readiness::Undecided | Readiness::Impossible => {}
        }
    }
}
