//! Facts of steering: people pause, resume and change a job, or an unknown outcome pauses it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Millis;
use crate::job::fact::patch::Patch;
use crate::job::outcome::PauseCause;
use crate::job::repair::NodeRepair;
use crate::job::state::JobState;
use crate::job::undo::JobUndo;

/// What people, or the engine for them, changed of a job's course.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SteeringFact {
    /// Nothing new starts.
    Paused {
        /// `requested`; what the engine pauses for stands in the fact of the failure.
        why: PauseCause,
    },
    /// Goes on where it was.
    Resumed,
    /// People changed what they may.
    Patched(Box<Patch>),
    /// People changed a node that has not run.
    NodePatched(Box<NodeRepair>),
}

impl SteeringFact {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Paused { .. } => "job_paused",
            Self::Resumed => "job_resumed",
            Self::Patched(_) => "job_patched",
            Self::NodePatched(_) => "node_patched",
        }
    }

    pub(super) fn repair(&self) -> Option<&NodeRepair> {
        match self {
            Self::NodePatched(repair) => Some(repair),
            Self::Paused { .. } | Self::Resumed | Self::Patched(_) => None,
        }
    }

    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Resumed | Self::Patched(_) => true,
            Self::Paused { .. } | Self::NodePatched(_) => false,
        }
    }

    pub(super) fn apply(&self, job: &mut JobState, at: Millis, undo: &mut JobUndo) {
        match self {
            Self::Paused { why } => job.head.pause_cause = Some(*why),
            Self::Resumed => job.head.resumed_at = at,
            Self::Patched(patch) => change(job, patch),
            Self::NodePatched(repair) => repair.apply(job, at, undo),
        }
    }
}

fn change(job: &mut JobState, patch: &Patch) {
    let about = Arc::make_mut(&mut job.head.about);
    if let Some(name) = &patch.name {
        about.name.clone_from(name);
    }
    if let Some(description) = &patch.description {
        about.description.clone_from(description);
    }
    if let Some(tags) = &patch.tags {
        about.tags.clone_from(tags);
    }
    if let Some(priority) = patch.priority {
        about.priority = priority;
    }
    if let Some(metadata) = &patch.metadata {
        about.metadata.clone_from(metadata);
    }
    if let Some(scheduled_at) = patch.scheduled_at {
        job.head.scheduled_at = scheduled_at;
    }
    if let Some(timeout_ms) = patch.timeout_ms {
        job.head.timeout_ms = timeout_ms;
    }
}
