//! The facts of an environment: a closed, versioned list. An event is complete in itself.
//! Invariant: the meaning of version 1 never changes; a new meaning is a new fact or a new version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentName, JobId, Namespace};
use crate::subject::envelope::Envelope;

/// An event of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentEvent {
    /// Who, when, why.
    pub by: Envelope,
    pub fact: EnvironmentFact,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentFact {
    /// It exists, for the first time or again after a deletion.
    Defined {
        namespace: Namespace,
        /// Unique in the namespace.
        name: EnvironmentName,
        /// Free text that only people read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// How much of what there is; what is not named is unlimited.
        capacity: BTreeMap<String, u64>,
    },
    /// People changed it. Both fields are as they are from now on.
    Updated {
        /// Free text that only people read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// How much of what there is; what is not named is unlimited.
        capacity: BTreeMap<String, u64>,
    },
    /// It is gone.
    Deleted,
    /// A job's run may use these resources.
    Granted {
        job: JobId,
        /// Which of its runs, from 1.
        run: u32,
        /// Dense from 1 over the life of the stream.
        number: u64,
        /// How much of what.
        resources: BTreeMap<String, u64>,
    },
    /// A grant is given back.
    Released {
        job: JobId,
        /// Which of its runs.
        run: u32,
        number: u64,
        /// What the job's stream says.
        why: ReleaseCause,
    },
}

/// What frees a grant: only what the job's own stream says, never silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseCause {
    /// The job did not take it.
    Declined,
    /// The run is over.
    RunOver,
    /// The job is deleted.
    JobDeleted,
}

impl EnvironmentFact {
    /// The type that histories show.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Defined { .. } => "environment_defined",
            Self::Updated { .. } => "environment_updated",
            Self::Deleted => "environment_deleted",
            Self::Granted { .. } => "grant_given",
            Self::Released { .. } => "grant_released",
        }
    }
}
