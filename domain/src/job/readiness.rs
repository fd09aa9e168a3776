//! Whether a node may start, as far as its parents go: from three counters, so that a join is never a re-read of them.

use crate::job::state::NodeState;
use crate::node::spec::DependencyCondition;
use crate::node::status::NodeStatus;

/// What a settled node is for those that depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentOutcome {
    /// It completed, or it was optional and failed.
    Good,
    /// It failed, timed out, was cancelled, or was skipped because of a failure.
    Bad,
    /// A condition took another branch, or it was skipped because of failures that are handled: it counts as nothing.
    Bypassed,
}

/// What a node is for those that depend on it; none: it has not settled.
pub fn outcome_of(node: &NodeState, optional: bool) -> Option<ParentOutcome> {
    match node.status {
        NodeStatus::Completed => Some(ParentOutcome::Good),
        NodeStatus::Failed | NodeStatus::Timeout if optional => Some(ParentOutcome::Good),
        NodeStatus::Skipped if node.marks.bypassed || node.marks.handled => {
            Some(ParentOutcome::Bypassed)
        }
        NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensated => Some(ParentOutcome::Bad),
        NodeStatus::Pending
        | NodeStatus::Ready
        | NodeStatus::Running
        | NodeStatus::Waiting
        | NodeStatus::Retrying
        | NodeStatus::Compensating => None,
    }
}

/// What a node's parents say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not decided yet.
    Undecided,
    /// It may start.
    Fulfilled,
    /// All have settled, and an expression over them decides.
    Asks,
    /// All were bypassed, and so is it.
    Bypassed,
    /// It can never start.
    Impossible,
}

/// How many parents a node has, and how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parents {
    pub all: u32,
    /// Those that have not settled.
    pub unsettled: u32,
    /// Those that count as completed.
    pub completed: u32,
    pub bypassed: u32,
}

impl Parents {
    /// Those that ended badly.
    fn bad(self) -> u32 {
        self.all - self.unsettled - self.completed - self.bypassed
    }
}

/// Readiness from the counters: a join is never a re-read of its parents.
pub fn readiness(condition: DependencyCondition, parents: Parents) -> Readiness {
    let Parents { all, unsettled, completed, bypassed } = parents;
    let all_bypassed = all > 0 && bypassed == all;
    match condition {
        DependencyCondition::Conditional if unsettled == 0 => Readiness::Asks,
        DependencyCondition::All | DependencyCondition::Any if all_bypassed => Readiness::Bypassed,
        DependencyCondition::All if completed + bypassed == all => Readiness::Fulfilled,
        DependencyCondition::All if parents.bad() > 0 => Readiness::Impossible,
        DependencyCondition::Any if all == 0 || completed > 0 => Readiness::Fulfilled,
        DependencyCondition::Any if unsettled == 0 => Readiness::Impossible,
        DependencyCondition::All | DependencyCondition::Any | DependencyCondition::Conditional => {
            Readiness::Undecided
        }
    }
}
