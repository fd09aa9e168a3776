//! What is known of a job: the fold of its events, and nothing else. A node costs about 100 bytes beside its plan.
//! Invariants: counters equal a recount over the nodes, `unsettled` and `completed` equal a recount over the parents
//! (`contradictions`). Absent on purpose: outputs of nodes (but of those without children), attempts'
//! stories, heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{
    Claim, CommandId, CorrelationId, Epoch, JobId, Millis, Namespace, SubjectId, WorkerName,
};
use crate::job::flow::Prepared;
use crate::job::members::{GroupState, MemberCounts};
use crate::job::outcome::{EndingStage, JobEnd, JobError, PauseCause};
use crate::job::plan::{About, Plan};
use crate::job::status::JobStatus;
use crate::node::attempt::{AttemptError, ReportKind};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::{Hash, Payload};
use crate::subject::remembered::Answered;

/// Bytes of outputs kept for the job's own output alone; beyond it the job's output is absent.
pub const OUTPUT_BYTES_MAX: u64 = 256 * 1_024;

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
    /// Parents that were bypassed: they count as nothing.
    #[serde(default)]
    pub bypassed: u32,
    /// Attempts before this run of the node: policies count those since.
    #[serde(default)]
    pub base: u32,
    /// First time it was ready, 0 before.
    pub first_ready: Millis,
    /// Start of the newest attempt, 0 before.
    pub started: Millis,
    /// When the next execution is due, while retrying, or while it waits for a time.
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
    #[serde(default)]
    pub marks: NodeMarks,
}

impl NodeState {
    /// A group: its members begin, as a new attempt of it.
    pub(crate) fn begin_members(&mut self, at: Millis) {
        self.attempt += 1;
        self.started = at;
        if self.first_ready == 0 {
            self.first_ready = at;
        }
    }

    /// It runs again from the start; attempts and epochs grow on, and policies count from here.
    pub(crate) fn begin_again(&mut self) {
        self.base = self.attempt;
        self.first_ready = 0;
        self.due = 0;
        self.last_wait_ms = 0;
        self.undelivered = 0;
        self.marks = NodeMarks::default();
    }
}

/// What else is so of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMarks {
    /// It was skipped because a condition took another branch, and counts as nothing for its children.
    pub bypassed: bool,
    /// It failed, and a node that ran because of that completed; or it was skipped because of such failures alone.
    pub handled: bool,
    /// It failed, and a node that may run because of that has not settled.
    pub open: bool,
    /// It has one of the places of its group.
    pub placed: bool,
    /// It could start, and waits for a place.
    pub queued: bool,
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

/// What earlier attempts of a node hand on to the next one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HandedOn {
    /// Of the newest attempt that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<AttemptError>>,
    /// Of the newest heartbeat that said any, of whichever attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
    /// Retries that each rule of its policy gave, by the rule's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_rule: Vec<u32>,
}

impl HandedOn {
    /// Bytes of JSON that it puts into a lease, about.
    pub fn bytes(&self) -> u64 {
        let details = self.details.as_ref().map_or(0, Payload::len);
        details + self.error.as_ref().map_or(0, |error| error.bytes())
    }
}

/// The output of a node, kept because an expression reads it or because it is part of the job's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptOutput {
    /// There was room for it.
    Kept(Payload),
    /// There was no room for it, and a part of the job's output is none.
    Dropped {
        /// How long it was.
        bytes: u64,
    },
}

impl KeptOutput {
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
    /// The state to come, while running attempts end or cleanups run.
    pub ending: Option<JobStatus>,
    /// How far the ending is.
    #[serde(default)]
    pub stage: EndingStage,
    /// When running attempts are revoked, or cleanups given up.
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
    /// Bytes of the outputs that are part of the job's own, those included that were dropped.
    pub sink_bytes: u64,
    /// Nodes by state, in the order of [`NodeStatus::ALL`].
    pub counts: [u32; 12],
    /// Of the nodes that no group has, cleanups left out.
    pub members: MemberCounts,
    /// The first failure of one that is required and that nothing may handle, or that of the job's own output.
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
    /// Could start, held by the job's `max_parallel`.
    pub held: BTreeSet<u32>,
    /// Could start, held by the limit of their group: the group, and the node.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gated: BTreeSet<(u32, u32)>,
    /// Groups that have started, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<u32, GroupState>,
    /// What was evaluated for nodes that have not settled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prepared: BTreeMap<u32, Prepared>,
    /// Nodes whose expressions are being evaluated beside the committer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub evaluating: BTreeSet<u32>,
    /// Errors of groups and of nodes that something reads or that may be handled; of a group at work the first in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<u32, Arc<JobError>>,
    /// Checkpoints that were reached, with the time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checkpoints: BTreeMap<u32, Millis>,
    /// Reports of earlier attempts, by node and epoch.
    #[serde(with = "crate::subject::pairs")]
    pub reports: BTreeMap<(u32, u64), ReportMark>,
    /// Stale reports kept as evidence.
    pub late: BTreeSet<(u32, u64)>,
    /// Commands that may come again.
    pub commands: BTreeMap<CommandId, Answered>,
    /// Claims of running attempts, by node: the same claim gives the same leases.
    pub claims: BTreeMap<u32, ClaimMark>,
    /// Outputs that something reads, or that are part of the job's own.
    #[serde(rename = "sinks")]
    pub outputs: BTreeMap<u32, KeptOutput>,
    /// By node, until it settles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handed_on: BTreeMap<u32, HandedOn>,
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

    /// Whether this node may start another attempt, now or later: neither its job's end nor that of a group around it is
    /// decided, or it is a cleanup whose time has come. Whether it may start at once is for its parents, its places and a
    /// pause to say.
    pub fn may_start(&self, node: u32) -> bool {
        (node as usize) < self.nodes.len()
            && self.head.lets_start(self.plan.node(node).cleanup().is_some())
            && self.plan.containers(node).all(|group| self.is_open(group))
    }

    /// Whether a group is at work, and its end not decided.
    fn is_open(&self, group: u32) -> bool {
        let state = self.groups.get(&group);
        state.is_some_and(|state| state.is_open(&self.nodes[group as usize]))
    }

    /// Whether a running attempt of this node is to stop: its job, or a group around it, ends without it.
    pub fn should_stop(&self, node: u32) -> bool {
        (node as usize) < self.nodes.len() && !self.may_start(node)
    }

    /// Whether ready nodes may be leased.
    pub fn offers_work(&self) -> bool {
        match self.head.status {
            JobStatus::Scheduled | JobStatus::Running => {
                self.head.ending.is_none() || self.head.stage == EndingStage::Cleaning
            }
            // A paused job that ends cleans up all the same.
            JobStatus::Paused => self.head.stage == EndingStage::Cleaning,
            JobStatus::Pending
            | JobStatus::Queued
            | JobStatus::Completed
            | JobStatus::Failed
            | JobStatus::Timeout
            | JobStatus::Cancelled
            | JobStatus::Retrying
            | JobStatus::Recovering
            | JobStatus::Aborted => false,
        }
    }

    /// Bytes of all outputs that are part of the job's own once this node's has that many.
    pub fn sink_bytes_with(&self, node: u32, bytes: u64) -> u64 {
        self.head.sink_bytes - self.outputs.get(&node).map_or(0, KeptOutput::bytes) + bytes
    }

    /// Whether the outcome of this node is required for the job's.
    pub fn is_required(&self, node: u32) -> bool {
        !self.plan.node(node).optional
    }

    /// The priority a node is offered with.
    pub fn priority_of(&self, node: u32) -> u8 {
        let own = self.plan.node(node).more.as_ref().and_then(|more| more.priority);
        own.unwrap_or(self.head.about.priority)
    }

    /// A sha-256 over everything: equal states have equal digests.
    pub fn digest(&self) -> Hash {
        Hash::of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}

impl JobHead {
    /// Whether nodes may start, cleanups or others, as far as the job's end goes.
    pub(crate) fn lets_start(&self, cleanup: bool) -> bool {
        lets_start(self.status, self.ending, self.stage, cleanup)
    }

    /// Takes over how the job ended.
    pub(crate) fn end(&mut self, end: &JobEnd, at: Millis) {
        self.completed_at = Some(at);
        self.output.clone_from(&end.output);
        self.error.clone_from(&end.error);
    }
}

/// Whether nodes of a job that stands and ends so may start, cleanups or others.
pub(crate) fn lets_start(
    status: JobStatus,
    ending: Option<JobStatus>,
    stage: EndingStage,
    cleanup: bool,
) -> bool {
    match (ending, stage) {
        _ if status.is_over() => false,
        (None, _) => !cleanup,
        (Some(_), EndingStage::Cleaning) => cleanup,
        (Some(_), EndingStage::Stopping | EndingStage::Output) => false,
    }
}
