//! What is known of a job: the fold of its events, and nothing else. A node costs about 100 bytes beside its plan.
//! Invariants: counters equal a recount over the nodes, `unsettled` and `completed` equal a recount over the parents
//! (`counters_equal_a_recount`). Absent on purpose: outputs of nodes (but of those without children), attempts'
//! stories, heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{
    Claim, CommandId, CorrelationId, Epoch, JobId, Millis, Namespace, SubjectId, WorkerName,
};
use crate::job::outcome::{JobEnd, JobError, PauseCause};
use crate::job::plan::{About, Plan};
use crate::job::status::JobStatus;
use crate::node::attempt::ReportKind;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload};
use crate::subject::remembered::Answered;

/// Bytes of sink outputs kept for the job's own output; beyond it the job's output is absent.
pub const SINK_BYTES_MAX: u64 = 256 * 1_024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Where it stands.
    pub status: NodeStatus,
    /// Since when, in milliseconds.
    pub since: Millis,
    /// The newest lease's token; 0 before the first.
    pub epoch: Epoch,
    /// Counted attempts, the running one included.
    pub attempt: u32,
    /// Parents that have not settled.
    pub unsettled: u32,
    /// Parents that count as completed.
    pub completed: u32,
    /// First time it was ready, 0 before.
    pub first_ready: Millis,
    /// Start of the newest attempt, 0 before.
    pub started: Millis,
    /// When the next execution is due, while retrying.
    pub due: Millis,
    /// Length of the newest lease, in milliseconds.
    pub lease_ms: u32,
    /// The last retry wait, for decorrelated jitter, in milliseconds (saturated).
    pub last_wait_ms: u32,
    /// Releases of this attempt for undelivered answers.
    pub undelivered: u8,
    /// Why it waits, while it does.
    pub hold: Option<Hold>,
    /// The newest attempt's report.
    pub report: Option<ReportMark>,
}

/// Knows a report again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportMark {
    /// What it said.
    pub kind: ReportKind,
    /// The first eight bytes of its hash.
    pub hash: u64,
}

/// Under which claim a running attempt was leased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMark {
    pub worker: WorkerName,
    /// The worker's name for the request.
    pub claim: Claim,
}

/// The output of a node without children.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// There was room for it.
    Kept(Payload),
    /// There was no room for it, and a part of the job's output is none.
    Dropped {
        /// How long it was.
        bytes: u64,
    },
}

impl Sink {
    /// Bytes of the output.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Kept(output) => output.len(),
            Self::Dropped { bytes } => *bytes,
        }
    }

    /// The output, if it was kept.
    pub fn kept(&self) -> Option<&Payload> {
        match self {
            Self::Kept(output) => Some(output),
            Self::Dropped { .. } => None,
        }
    }
}

/// What is said of a job as a whole. Small, so that an undo keeps it whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobHead {
    /// Events applied; the ETag.
    pub seq: u64,
    /// Where it stands.
    pub status: JobStatus,
    /// The state to come, while running attempts end.
    pub ending: Option<JobStatus>,
    /// When running attempts are revoked.
    pub ending_until: Millis,
    /// Where it returns to when resumed.
    pub paused_from: Option<JobStatus>,
    /// Why it is paused.
    pub pause_cause: Option<PauseCause>,
    /// What people may change.
    pub about: Arc<About>,
    /// Nothing happens before this time.
    pub scheduled_at: Option<Millis>,
    /// From entering queued, milliseconds.
    pub timeout_ms: Option<u64>,
    /// When it was submitted.
    pub created_at: Millis,
    /// When it changed last, as people are told.
    pub updated_at: Millis,
    /// When its newest event was decided; no later one is older.
    pub newest_at: Millis,
    /// When it entered queued.
    pub queued_at: Option<Millis>,
    /// When it was admitted.
    pub scheduled_since: Option<Millis>,
    /// When its first attempt started.
    pub started_at: Option<Millis>,
    /// When it was over.
    pub completed_at: Option<Millis>,
    /// When it was resumed last: queue time-outs count from there.
    pub resumed_at: Millis,
    /// Runs, the first included.
    pub runs: u32,
    /// Retries of nodes so far.
    pub retries: u64,
    /// The grant it runs on.
    pub grant: Option<u64>,
    /// The newest grant it declined, 0 before the first: numbers grow, so none up to it is ever taken.
    pub declined: u64,
    /// Bytes of the outputs of nodes without children, those included that were dropped.
    pub sink_bytes: u64,
    /// Nodes by state, in the order of [`NodeStatus::ALL`].
    pub counts: [u32; 12],
    /// Required nodes that failed or timed out.
    pub failed_required: u32,
    /// The first such failure.
    pub first_error: Option<Arc<JobError>>,
    /// How it ended.
    pub output: Option<Payload>,
    /// Why it did not complete.
    pub error: Option<Arc<JobError>>,
    /// Retention let go of it: nothing happens to it any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobState {
    pub id: JobId,
    pub namespace: Namespace,
    /// What never changes.
    pub plan: Arc<Plan>,
    /// W3C trace id.
    pub trace_id: Arc<str>,
    /// Of the request that submitted it.
    pub correlation: Option<CorrelationId>,
    /// The job as a whole.
    pub head: JobHead,
    pub nodes: Vec<NodeState>,
    /// Could start, held by `max_parallel`.
    pub held: BTreeSet<u32>,
    /// Reports of earlier attempts, by node and epoch.
    #[serde(with = "crate::subject::pairs")]
    pub reports: BTreeMap<(u32, u64), ReportMark>,
    /// Stale reports kept as evidence.
    pub late: BTreeSet<(u32, u64)>,
    /// Commands that may come again.
    pub commands: BTreeMap<CommandId, Answered>,
    /// Claims of running attempts, by node: the same claim gives the same leases.
    pub claims: BTreeMap<u32, ClaimMark>,
    /// Outputs of nodes without children, for the job's own output.
    pub sinks: BTreeMap<u32, Sink>,
}

impl JobState {
    /// The stream it is the fold of.
    pub fn subject(&self) -> SubjectId {
        SubjectId::job(self.namespace.clone(), self.id)
    }

    /// How many nodes are in this state.
    pub fn count(&self, status: NodeStatus) -> u32 {
        self.head.counts[status.index()]
    }

    /// Whether this node may start another attempt, now or later: the job's end is not decided. Whether it may start at
    /// once is for its parents, its places and a pause to say.
    pub fn may_start(&self, node: u32) -> bool {
        let is_there = (node as usize) < self.nodes.len();
        is_there && self.head.ending.is_none() && !self.head.status.is_over()
    }

    /// Whether ready nodes may be leased.
    pub fn offers_work(&self) -> bool {
        self.head.ending.is_none()
            && matches!(self.head.status, JobStatus::Scheduled | JobStatus::Running)
    }

    /// Bytes of all outputs of nodes without children once this node's has that many.
    pub fn sink_bytes_with(&self, node: u32, bytes: u64) -> u64 {
        self.head.sink_bytes - self.sinks.get(&node).map_or(0, Sink::bytes) + bytes
    }

    /// Whether the outcome of this node is required for the job's.
    pub fn is_required(&self, node: u32) -> bool {
        !self.plan.nodes[node as usize].optional
    }

    /// The priority a node is offered with.
    pub fn priority_of(&self, node: u32) -> u8 {
        let own = self.plan.nodes[node as usize].more.as_ref().and_then(|more| more.priority);
        own.unwrap_or(self.head.about.priority)
    }

    /// A sha-256 over everything: equal states have equal digests.
    pub fn digest(&self) -> Hash {
        Hash::of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}

impl JobHead {
    /// Takes over how the job ended.
    pub(crate) fn end(&mut self, end: &JobEnd, at: Millis) {
        self.completed_at = Some(at);
        self.output.clone_from(&end.output);
        self.error.clone_from(&end.error);
    }
}
