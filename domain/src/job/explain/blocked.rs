//! Pending nodes that can no longer start by themselves, and what keeps them: one walk in topological order.

use std::collections::BTreeSet;

use crate::job::readiness::counts_as_completed;
use crate::job::state::JobState;
use crate::node::spec::DependencyCondition;
use crate::node::status::NodeStatus;

/// Causes that one blocked node names at most.
const CAUSES_MAX: usize = 20;

impl JobState {
    /// For each pending node that can no longer start by itself: the nodes whose end keeps it, at most 20 each. Empty
    /// lists where nothing has ended badly.
    pub fn blocked_by(&self) -> Vec<Vec<u32>> {
        let graph = &self.plan.graph;
        let mut causes: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        let bad = [
            NodeStatus::Failed,
            NodeStatus::Timeout,
            NodeStatus::Skipped,
            NodeStatus::Cancelled,
            NodeStatus::Compensated,
        ];
        if bad.iter().all(|status| self.count(*status) == 0) {
            return causes;
        }
        for &ix in graph.order() {
            if self.nodes[ix as usize].status != NodeStatus::Pending {
                continue;
            }
            let parents = graph.parents(ix);
            let mut keeping = 0;
            let mut of_this = BTreeSet::new();
            for &parent in parents {
                if self.ended_badly(parent) {
                    keeping += 1;
                    of_this.insert(parent);
                } else if !causes[parent as usize].is_empty() {
                    keeping += 1;
                    of_this.extend(&causes[parent as usize]);
                }
            }
            let blocked = match self.plan.nodes[ix as usize].condition {
                DependencyCondition::All | DependencyCondition::Conditional => keeping > 0,
                DependencyCondition::Any => keeping > 0 && keeping == parents.len(),
            };
            if blocked {
                causes[ix as usize] = of_this.into_iter().take(CAUSES_MAX).collect();
            }
        }
        causes
    }

    /// Whether a node has ended and does not count as completed for its children.
    pub(super) fn ended_badly(&self, ix: u32) -> bool {
        let status = self.nodes[ix as usize].status;
        let optional = self.plan.nodes[ix as usize].optional;
        status.is_settled() && !counts_as_completed(status, optional)
    }
}
