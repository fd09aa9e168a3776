//! Facts of endings: the end is decided, what still runs is revoked, retention lets go.

use serde::{Deserialize, Serialize};

use crate::job::outcome::EndingCause;
use crate::job::state::JobState;

/// What happened on a job's way to its end, and behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingFact {
    /// The end is decided: by request, by deadline, or by the first failure.
    EndingDecided {
        /// `requested`, `deadline` or `fail_fast`.
        why: EndingCause,
    },
    /// The grace is over: running attempts are revoked with their outcome unknown.
    Revoked,
    /// The time for cleanups is over: what has not settled is timed out.
    CleanupTimedOut,
    /// Retention let go of it: this is its last event, and its stream goes.
    Deleted,
}

impl EndingFact {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::EndingDecided { .. } => "job_ending",
            Self::Revoked => "leases_revoked",
            Self::CleanupTimedOut => "cleanup_timed_out",
            Self::Deleted => "job_deleted",
        }
    }

    pub(super) fn apply(&self, job: &mut JobState) {
        match self {
            Self::EndingDecided { .. } | Self::Revoked | Self::CleanupTimedOut => {}
            Self::Deleted => job.head.deleted = true,
        }
    }

    pub(super) fn refuses(&self, job: &JobState) -> Option<String> {
        match self {
            Self::EndingDecided { .. } | Self::Revoked | Self::CleanupTimedOut => None,
            Self::Deleted => {
                let status = job.head.status;
                (!status.is_over()).then(|| format!("a job that is {status} is deleted"))
            }
        }
    }
}
