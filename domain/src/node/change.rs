//! Transitions of nodes as events carry them. Nodes are named by position, in ranges: 5,000 children that become ready
//! together are a few bytes in their event.
//! Always holds: ranges are inclusive, ascending, apart, and never touch.

use serde::{Deserialize, Serialize};

use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// Nodes that went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// The state they left.
    pub from: NodeStatus,
    /// The state they entered.
    pub to: NodeStatus,
    /// Why they wait, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// They are skipped because a condition took another branch.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bypassed: bool,
    /// The nodes, by position.
    pub at: Ranges,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl NodeChange {
    /// Why the nodes wait now; none where they do not. Events from before causes were named had two: an unknown outcome,
    /// when it was an attempt that left the node waiting, and a limit.
    pub fn holds(&self) -> Option<Hold> {
        let unnamed =
            if self.from == NodeStatus::Running { Hold::OutcomeUnknown } else { Hold::Limit };
        (self.to == NodeStatus::Waiting).then(|| self.hold.unwrap_or(unnamed))
    }
}

/// Positions as inclusive ranges, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Of ascending positions.
    pub fn of(positions: impl IntoIterator<Item = u32>) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for position in positions {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == position => *last = position,
                _ => ranges.push((position, position)),
            }
        }
        Self(ranges)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a position is among them.
    pub fn has(&self, position: u32) -> bool {
        let behind = self.0.partition_point(|(_, last)| *last < position);
        self.0.get(behind).is_some_and(|(first, _)| *first <= position)
    }

    /// The positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// How many positions.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(first, last)| (last - first + 1) as usize).sum()
    }
}
