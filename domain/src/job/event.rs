//! The facts of a job: a closed, versioned list. An event is complete in itself: who, when, why, every transition it
//! causes (nodes as ranges of positions), due times and drawn waits. Replay assigns; it never evaluates.
//! Invariant: the meaning of version 1 never changes; a new meaning is a new fact or a new version.

mod patch;
mod ranges;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::{Claim, EnvironmentName, Epoch, JobId, Millis, Namespace, WorkerName};
use crate::job::plan::{About, Plan};
use crate::job::status::JobStatus;
use crate::node::attempt::AttemptRef;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload};
use crate::subject::envelope::Envelope;

pub use self::patch::Patch;
pub use self::ranges::Ranges;

/// An event of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobEvent {
    /// Who, when, why.
    pub by: Envelope,
    /// The job's own transitions, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job: Vec<(JobStatus, JobStatus)>,
    /// The nodes' transitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeChange>,
    /// Nodes that could start and are held by the job's `max_parallel`.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub held: Ranges,
    /// A decision that the job ends as soon as its running attempts have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// How the job ended, with the transition that ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<JobEnd>,
    /// What happened.
    pub fact: JobFact,
}

/// Nodes that went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// From.
    pub from: NodeStatus,
    /// To.
    pub to: NodeStatus,
    /// Which.
    pub at: Ranges,
}

/// A decided ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The state to come.
    pub to: JobStatus,
    /// When running attempts are revoked.
    pub until: Millis,
}

/// How a job ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobEnd {
    /// The job's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<JobError>>,
}

/// The error a job shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Key of the node that failed first, if it was a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Failure class.
    pub class: String,
    /// As reported.
    #[serde(rename = "type")]
    pub error_type: String,
    /// As reported.
    pub message: String,
}

impl JobError {
    /// The error of a job whose node waited or ran longer than it may.
    pub(crate) fn time_out(plan: &Plan, node: u32, class: &str) -> Arc<Self> {
        Arc::new(Self {
            node: Some(plan.nodes[node as usize].key.to_string()),
            class: class.to_owned(),
            error_type: "Timeout".to_owned(),
            message: "the node waited or ran longer than it may".to_owned(),
        })
    }
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptError {
    /// The reporter's word for it; 1-100 characters.
    #[serde(rename = "type")]
    pub error_type: String,
    /// For people; cut at 4,096 characters.
    pub message: String,
    /// Failure class of `retry-and-failures.md` section 5.
    pub class: String,
    /// The reporter's word on whether another execution can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// The wait the reporter asks for, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Free JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
}

/// When the next execution is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDue {
    /// Not before.
    pub due: Millis,
    /// The wait with its jitter, drawn once.
    pub wait_ms: u64,
}

/// A failed attempt, however it was noticed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// Which.
    pub attempt: AttemptRef,
    /// What went wrong.
    pub error: AttemptError,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDue>,
    /// Why it is tried again or not.
    pub verdict: String,
    /// Of the report, to know it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Hash>,
    /// The attempt may have had its effect and must not run again by itself: the node waits, the job is paused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outcome_unknown: bool,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobFact {
    /// The job exists, as pending; the event's transitions say how far it went at once.
    Submitted(Box<Submitted>),
    /// Its start condition is met.
    Started,
    /// Its environment granted what it asked for.
    Granted {
        /// Which environment.
        environment: EnvironmentName,
        /// The grant's number there.
        number: u64,
    },
    /// It cannot take that grant now, and will not take it later, however late it is offered again: freed only by this.
    GrantDeclined {
        /// Which environment.
        environment: EnvironmentName,
        /// The grant's number there.
        number: u64,
    },
    /// Workers took attempts.
    Leased {
        /// Who.
        worker: WorkerName,
        /// The worker's name for the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// Length of the lease in milliseconds.
        lease_ms: u64,
        /// Which attempts.
        attempts: Vec<AttemptRef>,
    },
    /// An attempt completed.
    Completed {
        /// Which.
        attempt: AttemptRef,
        /// Raw JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
        /// What the worker wants people to see.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// What the worker left elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<ExactJson>,
        /// Of the report, to know it again.
        report: Hash,
    },
    /// An attempt failed, by report.
    Failed(Box<AttemptFailure>),
    /// A lease ran out; the outcome is unknown.
    LeaseExpired(Box<AttemptFailure>),
    /// An attempt ran longer than it may.
    AttemptTimedOut(Box<AttemptFailure>),
    /// A worker gave an attempt back; it is not counted.
    Released {
        /// Which.
        attempt: AttemptRef,
        /// Of the report, to know it again.
        report: Hash,
        /// Because the answer with the lease could not be written.
        #[serde(default, skip_serializing_if = "is_false")]
        undelivered: bool,
    },
    /// Retry waits are over.
    RetriesDue,
    /// Nodes waited too long for a worker, or passed their total time.
    NodesTimedOut {
        /// `timeout.queue` or `timeout.total`.
        class: String,
    },
    /// The end is decided: by request, by deadline, or by the first failure.
    EndingDecided {
        /// `requested`, `deadline` or `fail_fast`.
        why: EndingCause,
    },
    /// The grace is over: running attempts are revoked with their outcome unknown.
    Revoked,
    /// Nothing new starts.
    Paused {
        /// `requested` or `outcome_unknown`.
        why: PauseCause,
    },
    /// Goes on where it was.
    Resumed,
    /// People changed what they may.
    Patched(Box<Patch>),
    /// A report came for an attempt that is not the newest running one: kept as evidence, changes nothing.
    LateReport {
        /// The node's position.
        node: u32,
        /// The stale token.
        epoch: Epoch,
        /// `complete`, `fail` or `release`.
        report: ReportKind,
        /// Of the report.
        hash: Hash,
    },
    /// Retention let go of it: this is its last event, and its stream goes.
    Deleted,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Why a job ends before it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingCause {
    /// Somebody asked.
    Requested,
    /// `timeout_ms` is over.
    Deadline,
    /// `fail_fast`.
    FailFast,
}

/// Why a job is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Somebody asked.
    Requested,
    /// An `at_most_once` attempt has an unknown outcome.
    OutcomeUnknown,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The attempt completed.
    Complete,
    /// The attempt failed.
    Fail,
    /// The attempt is given back.
    Release,
}

/// The first event's own facts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submitted {
    /// Which job.
    pub id: JobId,
    /// Whose.
    pub namespace: Namespace,
    /// What may change.
    pub about: About,
    /// What never changes.
    pub plan: Arc<Plan>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Millis>,
    /// From entering queued, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
}

impl JobFact {
    /// The type that histories show.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "job_submitted",
            Self::Started => "job_started",
            Self::Granted { .. } => "job_granted",
            Self::GrantDeclined { .. } => "grant_declined",
            Self::Leased { .. } => "nodes_leased",
            Self::Completed { .. } => "node_completed",
            Self::Failed(_) => "node_failed",
            Self::LeaseExpired(_) => "lease_expired",
            Self::AttemptTimedOut(_) => "attempt_timed_out",
            Self::Released { .. } => "lease_released",
            Self::RetriesDue => "retries_due",
            Self::NodesTimedOut { .. } => "nodes_timed_out",
            Self::EndingDecided { .. } => "job_ending",
            Self::Revoked => "leases_revoked",
            Self::Paused { .. } => "job_paused",
            Self::Resumed => "job_resumed",
            Self::Patched(_) => "job_patched",
            Self::LateReport { .. } => "late_report",
            Self::Deleted => "job_deleted",
        }
    }
}
