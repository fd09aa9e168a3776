//! What can be asked of a job. A command is decided on the newest state, as often as it takes, and answered once.
//! Their JSON is what engines pass on to one another, also those of two versions: what an older one must not overlook
//! is a new variant, which it does not understand, never a new field, which it would pass over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exact_json::ExactJson;
use crate::ids::{Claim, Epoch, JobId, Millis, Namespace, WorkerName};
use crate::job::fact::Patch;
use crate::job::flow::Evaluated;
use crate::job::plan::CheckedSpec;
use crate::job::repair::NodePatch;
use crate::node::attempt::{AttemptError, ReportKind};
use crate::payload::{self, Hash};

/// A command to one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCommand {
    /// Make the job. Refused when the stream exists and this command did not make it.
    Submit(Arc<Submission>),
    /// Let a pending job start.
    Start,
    /// Start nothing new.
    Pause {
        /// For the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Resume {
        /// For the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Cancel {
        /// For the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Change what people may change.
    Patch(Box<Patch>),
    /// Change a node that has not run.
    PatchNode {
        /// Where it stands: its key, or its path in its groups.
        node: String,
        patch: Box<NodePatch>,
        /// For the history.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Take the environment's grant.
    TakeGrant {
        /// The grant's number.
        number: u64,
    },
    /// Lease ready nodes to a worker; those that are not ready any more are left out.
    Lease(Arc<LeaseOrder>),
    /// A worker's report on one attempt.
    Report(Box<Report>),
    /// A lease ran out.
    ExpireLease {
        node: u32,
        /// Only if it is still this one.
        epoch: Epoch,
    },
    /// Retention lets go of it: it is over, and has not changed since then.
    Delete {
        /// Milliseconds; what changed later stays.
        unchanged_since: Millis,
    },
    /// Expressions were evaluated beside the committer.
    Evaluated(Vec<Evaluated>),
    /// Something became due: look which of these nodes, and the job itself.
    Wake {
        /// Node positions, ascending.
        nodes: Vec<u32>,
    },
}

impl JobCommand {
    /// Whether it makes the job.
    pub fn makes_subject(&self) -> bool {
        match self {
            Self::Submit(_) => true,
            Self::Start
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::Patch(_)
            | Self::PatchNode { .. }
            | Self::TakeGrant { .. }
            | Self::Lease(_)
            | Self::Report(_)
            | Self::ExpireLease { .. }
            | Self::Delete { .. }
            | Self::Wake { .. }
            | Self::Evaluated(_) => false,
        }
    }

    /// Whether it may be decided twice, without a command id, as if it had come once: a submission is known again by
    /// the job's id, a report by its attempt, what engines tell each other by what it names. Any other gets an id before
    /// it is passed on, or a late second one would be decided anew.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Submit(_)
            | Self::TakeGrant { .. }
            | Self::Lease(_)
            | Self::Report(_)
            | Self::ExpireLease { .. }
            | Self::Delete { .. }
            | Self::Wake { .. }
            | Self::Evaluated(_) => true,
            Self::Start
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::Patch(_)
            | Self::PatchNode { .. } => false,
        }
    }

    /// Nodes whose running attempts it may end one by one.
    pub fn may_end(&self) -> &[u32] {
        match self {
            Self::Report(report) => std::slice::from_ref(&report.node),
            Self::ExpireLease { node, .. } => std::slice::from_ref(node),
            Self::Wake { nodes } => nodes,
            Self::Submit(_)
            | Self::Start
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::Patch(_)
            | Self::PatchNode { .. }
            | Self::TakeGrant { .. }
            | Self::Lease(_)
            | Self::Evaluated(_)
            | Self::Delete { .. } => &[],
        }
    }

    /// Whether its sender is shown the job as it is after it.
    pub fn shows_subject(&self) -> bool {
        match self {
            Self::Submit(_)
            | Self::Start
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::Patch(_)
            | Self::PatchNode { .. }
            | Self::TakeGrant { .. } => true,
            Self::Lease(_)
            | Self::Report(_)
            | Self::ExpireLease { .. }
            | Self::Delete { .. }
            | Self::Wake { .. }
            | Self::Evaluated(_) => false,
        }
    }
}

/// A checked submission with its identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission {
    pub namespace: Namespace,
    pub id: JobId,
    #[serde(with = "crate::job::plan::wire::checked")]
    pub spec: CheckedSpec,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
}

/// Which nodes a worker is to get.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseOrder {
    pub worker: WorkerName,
    /// The worker's name for the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Length in milliseconds.
    pub lease_ms: u64,
    pub nodes: Vec<u32>,
    /// Changes of nodes that the job had when these were chosen: one that was changed since may be another queue's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changes: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A worker's report on one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub node: u32,
    /// The lease's token.
    pub epoch: Epoch,
    /// Of the canonical report, to know it again.
    pub hash: Hash,
    /// What it says.
    pub outcome: Outcome,
}

/// What a report says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The attempt completed.
    Complete {
        /// JSON text as it was received.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "payload::given"
        )]
        output: Option<Box<RawValue>>,
        /// Free text that only people read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// What the worker left elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<ExactJson>,
    },
    /// The attempt failed.
    Fail {
        /// Without its details.
        error: AttemptError,
        /// JSON text as it was received.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "payload::given"
        )]
        details: Option<Box<RawValue>>,
    },
    /// The attempt is given back, not counted.
    Release {
        /// By the engine itself, because the answer with the lease could not be written.
        undelivered: bool,
    },
    /// The attempt is given back, not counted, and is not offered again before a time.
    ReleaseFor {
        /// From when this is decided, in milliseconds.
        after_ms: u64,
    },
}

impl Outcome {
    pub fn kind(&self) -> ReportKind {
        match self {
            Self::Complete { .. } => ReportKind::Complete,
            Self::Fail { .. } => ReportKind::Fail,
            Self::Release { .. } | Self::ReleaseFor { .. } => ReportKind::Release,
        }
    }
}
