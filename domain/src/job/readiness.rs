//! Whether a node may start, as far as its parents go: from two counters, so that a join is never a re-read of them.

use crate::node::spec::DependencyCondition;
use crate::node::status::NodeStatus;

/// Whether a settled parent counts as completed for its children.
pub fn counts_as_completed(status: NodeStatus, optional: bool) -> bool {
    match status {
        NodeStatus::Completed => true,
        NodeStatus::Failed | NodeStatus::Timeout => optional,
        NodeStatus::Pending
        | NodeStatus::Ready
        | NodeStatus::Running
        | NodeStatus::Waiting
        | NodeStatus::Retrying
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensating
        | NodeStatus::Compensated => false,
    }
}

/// What a node's parents say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not decided yet.
    Undecided,
    /// It may start.
    Fulfilled,
    /// It can never start.
    Impossible,
}

/// Readiness from the two counters: a join is never a re-read of its parents.
pub fn readiness(
    condition: DependencyCondition,
    parents: u32,
    unsettled: u32,
    completed: u32,
) -> Readiness {
    let settled_badly = parents - unsettled - completed;
    match condition {
        DependencyCondition::All if completed == parents => Readiness::Fulfilled,
        DependencyCondition::All if settled_badly > 0 => Readiness::Impossible,
        DependencyCondition::Any if parents == 0 || completed > 0 => Readiness::Fulfilled,
        DependencyCondition::Any if unsettled == 0 => Readiness::Impossible,
        DependencyCondition::All | DependencyCondition::Any | DependencyCondition::Conditional => {
            Readiness::Undecided
        }
    }
}
