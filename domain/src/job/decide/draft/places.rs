//! Places under `max_parallel`: who could start waits for one, and gets it by priority, then in the caller's order.

use super::Draft;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

impl Draft<'_> {
    /// A node that could start as soon as there is a place.
    pub(in crate::job::decide) fn hold(&mut self, ix: u32) {
        if !self.state.held.contains(&ix) || self.unheld.contains(&ix) {
            self.newly_held.insert(ix);
        }
    }

    /// Roots of an admitted job.
    pub(in crate::job::decide) fn hold_roots(&mut self) {
        for ix in (0u32..).take(self.state.nodes.len()) {
            let spec = &self.state.plan.nodes[ix as usize];
            if spec.parents.is_empty() && self.node_status(ix) == NodeStatus::Pending {
                self.hold(ix);
            }
        }
    }

    /// Gives free places to nodes that could start: by priority, then in the caller's order.
    pub(super) fn fill_places(&mut self) {
        if self.ending_to().is_some() {
            self.newly_held.clear();
            return;
        }
        let taken = self.count(NodeStatus::Ready) + self.running();
        let places =
            self.state.plan.max_parallel.map_or(u32::MAX, |most| most.saturating_sub(taken))
                as usize;
        let mut candidates: Vec<(u8, u32)> = Vec::new();
        if places > 0 {
            // Without priorities of their own the first by position are the best: 20,000 held nodes are not looked at
            // again for each place.
            let most = if self.state.plan.own_priorities { usize::MAX } else { places };
            let before = self.state.held.iter().filter(|ix| !self.unheld.contains(ix)).take(most);
            let all = before.chain(self.newly_held.iter().take(most));
            candidates.extend(all.map(|ix| (self.state.priority_of(*ix), *ix)));
        }
        if candidates.len() > places {
            candidates.select_nth_unstable(places);
            candidates.truncate(places);
        }
        candidates.sort_unstable_by_key(|(_, ix)| *ix);
        for (_, ix) in candidates {
            self.move_node_alone(ix, NodeStatus::Ready);
        }
        // A retry that is due without a free place goes on waiting, now for a place.
        let stuck: Vec<u32> = self
            .newly_held
            .iter()
            .copied()
            .filter(|ix| self.node_status(*ix) == NodeStatus::Retrying)
            .collect();
        for ix in stuck {
            self.wait(ix, Hold::Limit);
            self.newly_held.insert(ix);
        }
    }
}
