//! The 12 node states and the one table of transitions between them (design section 3).
//! Invariant: no event carries a node transition that is not a row here (property tests over random commands).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Its dependencies are not met, or it is held by a limit.
    Pending,
    /// Offered on its queue.
    Ready,
    /// An attempt is leased.
    Running,
    /// Held by the engine.
    Waiting,
    /// Until a known time.
    Retrying,
    /// Its outcome is recorded.
    Completed,
    /// Its last attempt failed.
    Failed,
    /// One of its time-outs passed.
    Timeout,
    /// Never ran, because of a parent.
    Skipped,
    /// Never ran, or was stopped, because its job ended.
    Cancelled,
    /// Its compensation runs.
    Compensating,
    /// Its effects are undone.
    Compensated,
}

use NodeStatus::{
    Cancelled, Compensated, Compensating, Completed, Failed, Pending, Ready, Retrying, Running,
    Skipped, Timeout, Waiting,
};

impl NodeStatus {
    /// Every state, in the order of the design.
    pub const ALL: [Self; 12] = [
        Pending,
        Ready,
        Running,
        Waiting,
        Retrying,
        Completed,
        Failed,
        Timeout,
        Skipped,
        Cancelled,
        Compensating,
        Compensated,
    ];

    /// The states a node may go to from here: the table. What only recovery and job retry may do is in it too.
    pub fn next(self) -> &'static [Self] {
        match self {
            Pending => &[Ready, Waiting, Failed, Skipped, Cancelled, Completed],
            Ready => &[Running, Waiting, Failed, Skipped, Timeout, Cancelled, Completed],
            Running => &[Completed, Failed, Timeout, Retrying, Waiting, Ready, Cancelled],
            Waiting => &[Ready, Running, Retrying, Completed, Failed, Timeout, Skipped, Cancelled],
            Retrying => &[Ready, Waiting, Skipped, Timeout, Cancelled, Completed],
            Completed => &[Compensating, Pending, Ready],
            Compensating => &[Compensated, Completed],
            Failed | Timeout | Skipped | Cancelled | Compensated => {
                &[Pending, Ready, Skipped, Completed]
            }
        }
    }

    /// Whether the table has this row.
    pub fn may_become(self, to: Self) -> bool {
        self != to && self.next().contains(&to)
    }

    /// Whether it has ended as far as its children are concerned.
    pub fn is_settled(self) -> bool {
        matches!(self, Completed | Failed | Timeout | Skipped | Cancelled | Compensated)
    }

    /// Whether something of it goes on: it is offered, runs, or waits for what comes.
    pub fn is_at_work(self) -> bool {
        matches!(self, Ready | Running | Waiting | Retrying | Compensating)
    }

    /// Position in [`NodeStatus::ALL`], for counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Ready => "ready",
            Running => "running",
            Waiting => "waiting",
            Retrying => "retrying",
            Completed => "completed",
            Failed => "failed",
            Timeout => "timeout",
            Skipped => "skipped",
            Cancelled => "cancelled",
            Compensating => "compensating",
            Compensated => "compensated",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_position_in_the_list() {
        for (position, status) in NodeStatus::ALL.into_iter().enumerate() {
            assert_eq!(status.index(), position);
            assert_eq!(NodeStatus::parse(status.as_str()), Some(status));
        }
    }
}
