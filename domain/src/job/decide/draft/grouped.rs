//! Transitions as an event carries them: those of the same kind together, as ranges.

use super::Moved;
use crate::node::change::{NodeChange, Ranges};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// Transitions of the same kind as ranges. A node that moves twice in one event keeps its order: groups are closed
/// when one of their nodes moves again.
pub(super) fn grouped(changes: Vec<Moved>) -> Vec<NodeChange> {
    let mut groups: Vec<(Kind, Vec<u32>)> = Vec::new();
    let behind = changes.iter().map(|moved| moved.node as usize + 1).max().unwrap_or(0);
    let mut last_group = LastGroup::of(changes.len(), behind);
    for Moved { node: ix, from, to, hold, bypassed } in changes {
        let kind = (from, to, hold, bypassed);
        let after = last_group.get(ix).map_or(0, |group| group + 1);
        let found = (after..groups.len()).find(|group| groups[*group].0 == kind);
        let group = found.unwrap_or_else(|| {
            groups.push((kind, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(ix);
        last_group.set(ix, group);
    }
    let sorted = |mut at: Vec<u32>| {
        at.sort_unstable();
        Ranges::of(at)
    };
    let change =
        |((from, to, hold, bypassed), at)| NodeChange { from, to, hold, bypassed, at: sorted(at) };
    groups.into_iter().map(change).collect()
}

/// What transitions share that stand together.
type Kind = (NodeStatus, NodeStatus, Option<Hold>, bool);

/// Into which group a node went last. Most events move a few nodes: a list is looked through faster than a table is made.
enum LastGroup {
    Few(Vec<(u32, usize)>),
    /// The group of each node, by its position.
    Many(Vec<Option<usize>>),
}

impl LastGroup {
    /// For so many changes of nodes before position `behind`.
    fn of(changes: usize, behind: usize) -> Self {
        const FEW: usize = 16;
        if changes <= FEW {
            Self::Few(Vec::with_capacity(changes))
        } else {
            Self::Many(vec![None; behind])
        }
    }

    fn get(&self, ix: u32) -> Option<usize> {
        match self {
            Self::Few(list) => list.iter().rev().find(|(of, _)| *of == ix).map(|(_, group)| *group),
            Self::Many(groups) => groups.get(ix as usize).copied().flatten(),
        }
    }

    fn set(&mut self, ix: u32, group: usize) {
        match self {
            Self::Few(list) => list.push((ix, group)),
            Self::Many(groups) => groups[ix as usize] = Some(group),
        }
    }
}
