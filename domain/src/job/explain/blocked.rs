//! Pending nodes that can no longer start by themselves, and what keeps them: one walk in topological order.

use std::collections::BTreeSet;

use crate::job::readiness::{ParentOutcome, outcome_of};
use crate::job::state::JobState;
use crate::node::spec::DependencyCondition;
use crate::node::status::NodeStatus;

/// Causes that one blocked node names at most.
const CAUSES_MAX: usize = 20;

impl JobState {
    /// For each pending node that can no longer start by itself: the nodes whose end keeps it, at most 20 each. Empty
    /// lists where nothing has ended badly.
    pub fn blocked_by(&self) -> Vec<Vec<u32>> {
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
        for ix in self.plan.order() {
            if self.nodes[ix as usize].status != NodeStatus::Pending {
                continue;
            }
            let mut keeping = 0;
            let mut of_this = BTreeSet::new();
            for parent in self.plan.parents(ix) {
                if self.ended_badly(parent) {
                    keeping += 1;
                    of_this.insert(parent);
                } else if !causes[parent as usize].is_empty() {
                    keeping += 1;
                    of_this.extend(&causes[parent as usize]);
                }
            }
            let all = self.plan.parent_count(ix) - self.nodes[ix as usize].bypassed;
            let open = self
                .plan
                .parents(ix)
                .any(|parent| !causes[parent as usize].is_empty() && !self.ended_badly(parent));
            let blocked = match self.plan.node(ix).condition {
                DependencyCondition::All => keeping > 0,
                DependencyCondition::Any => keeping > 0 && keeping == all,
                // Its expression looks at ended parents however they ended; one that is blocked never ends.
                DependencyCondition::Conditional => open,
            };
            if blocked {
                causes[ix as usize] = of_this.into_iter().take(CAUSES_MAX).collect();
            }
        }
        causes
    }

    /// Whether a node has ended and does not count as completed, or as nothing, for its children.
    pub(super) fn ended_badly(&self, ix: u32) -> bool {
        let outcome = outcome_of(&self.nodes[ix as usize], self.plan.node(ix).optional);
        outcome == Some(ParentOutcome::Bad)
    }
}
