//! The 12 job states and the one table of transitions between them (design section 3).
//! Invariant: no event carries a job transition that is not a row here (`no_row_leaves_a_terminal_state`,
//! and the property tests over random commands).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Stored; its start condition is not met.
    Pending,
    /// May start; waits for admission.
    Queued,
    /// Admitted: resources allocated, root nodes offered.
    Scheduled,
    /// The first attempt has started.
    Running,
    /// Starts nothing new.
    Paused,
    /// Every node settled, the success condition holds.
    Completed,
    /// Settled, the success condition does not hold.
    Failed,
    /// The job's deadline passed.
    Timeout,
    Cancelled,
    /// A job-level retry is due at a known time.
    Retrying,
    /// A recovery session is at work, or waits for an operator.
    Recovering,
    /// Given up, with the reason.
    Aborted,
}

use JobStatus::{
    Aborted, Cancelled, Completed, Failed, Paused, Pending, Queued, Recovering, Retrying, Running,
    Scheduled, Timeout,
};

impl JobStatus {
    /// Every state, in the order of the design's table.
    pub const ALL: [Self; 12] = [
        Pending, Queued, Scheduled, Running, Paused, Completed, Failed, Timeout, Cancelled,
        Retrying, Recovering, Aborted,
    ];

    /// The states a job may go to from here: the table.
    pub fn next(self) -> &'static [Self] {
        match self {
            Pending => &[Queued, Cancelled, Timeout, Aborted],
            Queued => &[Scheduled, Paused, Recovering, Cancelled, Timeout, Aborted],
            Scheduled => {
                &[Running, Paused, Recovering, Completed, Failed, Cancelled, Timeout, Aborted]
            }
            Running => &[Completed, Failed, Timeout, Paused, Recovering, Cancelled, Aborted],
            Paused => &[Queued, Scheduled, Running, Recovering, Cancelled, Timeout, Aborted],
            Failed | Timeout => &[Retrying, Recovering, Aborted],
            Retrying => &[Queued, Recovering, Cancelled, Timeout, Aborted],
            Recovering => &[Queued, Running, Failed, Cancelled, Timeout, Aborted],
            Completed | Cancelled | Aborted => &[],
        }
    }

    /// Whether the table has this row.
    pub fn may_become(self, to: Self) -> bool {
        self.next().contains(&to)
    }

    /// The states from which `to` may be entered, for error messages.
    pub fn sources_of(to: Self) -> Vec<Self> {
        Self::ALL.into_iter().filter(|from| from.may_become(to)).collect()
    }

    /// Never left again.
    pub fn is_terminal(self) -> bool {
        self.next().is_empty()
    }

    /// Nothing runs or is owed any more: terminal, or failed or timed out.
    pub fn is_over(self) -> bool {
        matches!(self, Completed | Failed | Timeout | Cancelled | Aborted)
    }

    /// Strength as an ending: a later, stronger one takes the place of a weaker one.
    pub fn ending_strength(self) -> u8 {
        match self {
            Failed => 1,
            Timeout => 2,
            Cancelled => 3,
            Aborted => 4,
            Pending | Queued | Scheduled | Running | Paused | Completed | Retrying | Recovering => {
                0
            }
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Queued => "queued",
            Scheduled => "scheduled",
            Running => "running",
            Paused => "paused",
            Completed => "completed",
            Failed => "failed",
            Timeout => "timeout",
            Cancelled => "cancelled",
            Retrying => "retrying",
            Recovering => "recovering",
            Aborted => "aborted",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_leaves_a_terminal_state() {
        for status in JobStatus::ALL {
            assert_eq!(status.is_terminal(), matches!(status, Completed | Cancelled | Aborted));
            assert!(!status.may_become(status));
            assert_eq!(JobStatus::parse(status.as_str()), Some(status));
        }
    }
}
