//! What workers are given and told. Always holds: an answer of a batch has one result an item, in their order; the
//! same lease is always described by the same text.

use std::sync::Arc;

use domain::ids::{ActionType, LeaseId, Millis, NodePath};
use domain::node::attempt::AttemptError;
use domain::payload::Hash;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::time;
use crate::http::problem::{Problem, ProblemBody};

/// The work that was leased by one request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Leases)]
pub struct LeasesAnswer {
    /// The leases, none when there is no work.
    pub leases: Vec<LeaseAnswer>,
}

/// The right to one attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lease)]
pub struct LeaseAnswer {
    /// What heartbeats and reports are sent with: a secret of the worker, which nothing shown elsewhere helps to make. At
    /// most 840 characters.
    #[schema(max_length = 840)]
    pub lease: String,
    /// The job that the node belongs to.
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The node's key.
    #[schema(value_type = String)]
    pub node: NodePath,
    /// Counted from 1.
    #[schema(minimum = 1)]
    pub attempt: u32,
    /// The fencing token: grows over the whole life of the node.
    #[schema(minimum = 0)]
    pub epoch: u64,
    /// Equal for every attempt of this node in this run of the job, also after a crash, a lost lease or a change of
    /// engines: what other systems know an effect again by, so that it happens once.
    pub idempotency_key: String,
    /// Names this attempt alone, for logs and traces: an effect made idempotent with it happens again with the next
    /// attempt.
    pub attempt_key: String,
    /// `do`; `undo` for compensations.
    #[schema(examples("do"))]
    pub kind: &'static str,
    /// What kind of work it is.
    #[schema(value_type = Option<String>)]
    pub action_type: Option<ActionType>,
    /// Any JSON value, as it was given.
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Option<Arc<RawValue>>,
    /// What went wrong in the newest attempt before this one; null while none has failed.
    pub previous: Option<PreviousError>,
    /// The number of the last attempt that the retry policy allows; one that is given back does not count.
    #[schema(minimum = 1)]
    pub max_attempts: u32,
    /// When the attempt is over at the latest, by its own time-out, the node's total one or the job's; null without any.
    #[schema(format = "date-time")]
    pub deadline: Option<String>,
    /// What the newest heartbeat said before this attempt: of an earlier attempt, or of this one where a claim is asked
    /// for again; null while none said anything.
    #[schema(value_type = Option<serde_json::Value>)]
    pub details: Option<Arc<RawValue>>,
    /// When it ends unless a heartbeat renews it.
    #[schema(format = "date-time")]
    pub expires_at: String,
    /// How often to send heartbeats, in milliseconds: a third of the lease, or of the grace of a cancel if that is
    /// shorter, because a cancel is told in a heartbeat's answer.
    pub heartbeat_ms: u64,
    /// W3C traceparent of the attempt.
    pub trace: String,
}

/// What went wrong in an earlier attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviousError)]
pub struct PreviousError {
    /// Failure class; `heartbeat.missed` where a worker was not heard of any more.
    pub class: String,
    /// The word that it was reported with.
    #[serde(rename = "type")]
    pub error_type: String,
    /// Free text that only people read.
    pub message: String,
    /// Any JSON value, as it was given.
    #[schema(value_type = Option<serde_json::Value>)]
    pub details: Option<Arc<RawValue>>,
}

impl PreviousError {
    /// With its details, which were looked up before.
    pub fn of(error: &AttemptError, details: Option<Arc<RawValue>>) -> Self {
        Self {
            class: error.class.clone(),
            error_type: error.error_type.clone(),
            message: error.message.clone(),
            details,
        }
    }
}

/// What describes a lease.
#[derive(Debug)]
pub struct LeaseFacts<'a> {
    /// The lease, as its worker names it in reports.
    pub lease: LeaseId,
    /// What the worker gets for it.
    pub token: String,
    /// The node's key.
    pub node: &'a NodePath,
    /// Counted from 1.
    pub attempt: u32,
    /// The job's run, counted from 1.
    pub run: u32,
    /// What kind of work it is.
    pub action_type: Option<&'a ActionType>,
    /// JSON text as it was received.
    pub input: Option<Arc<RawValue>>,
    /// What went wrong before.
    pub previous: Option<PreviousError>,
    /// The number of the last attempt that is allowed.
    pub max_attempts: u32,
    /// On the engine's clock.
    pub deadline: Option<Millis>,
    /// What was said of the node before.
    pub details: Option<Arc<RawValue>>,
    /// On the engine's clock.
    pub expires_at: Millis,
    /// Between two heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// W3C trace id of the job.
    pub trace_id: &'a str,
}

impl From<LeaseFacts<'_>> for LeaseAnswer {
    fn from(facts: LeaseFacts<'_>) -> Self {
        // Follows from the lease's name, so that the same claim gets the same text again; not from its token, for a trace
        // is shown to many.
        let span = Hash::of(facts.lease.to_string().as_bytes()).short().max(1);
        let job_id = facts.lease.job.to_string();
        Self {
            idempotency_key: format!("{job_id}/{}/run-{}", facts.node, facts.run),
            attempt_key: format!("{job_id}/{}/{}", facts.node, facts.attempt),
            job_id,
            node: facts.node.clone(),
            attempt: facts.attempt,
            epoch: facts.lease.epoch.0,
            kind: "do",
            action_type: facts.action_type.cloned(),
            input: facts.input,
            previous: facts.previous,
            max_attempts: facts.max_attempts,
            deadline: facts.deadline.map(time::format),
            details: facts.details,
            expires_at: time::format(facts.expires_at),
            heartbeat_ms: facts.heartbeat_ms,
            trace: format!("00-{}-{span:016x}-01", facts.trace_id),
            lease: facts.token,
        }
    }
}

/// What became of reports, in their order, and the next work if it was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportResults)]
pub struct ReportsAnswer<'a> {
    /// One an item.
    pub results: Vec<ReportResult<'a>>,
    /// The next work; empty when none was asked for.
    pub leases: Vec<LeaseAnswer>,
}

/// What became of one report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportResult)]
pub struct ReportResult<'a> {
    /// As it was sent.
    pub lease: &'a str,
    /// `recorded`, `replayed` (the same report came before) or `refused`.
    pub outcome: &'static str,
    /// Why it was refused.
    #[schema(value_type = Option<ProblemBody<'static>>)]
    pub error: Option<ProblemBody<'a>>,
}

/// What became of heartbeats, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeartbeatResults)]
pub struct HeartbeatsAnswer<'a> {
    /// One an item.
    pub results: Vec<HeartbeatResult<'a>>,
}

/// What became of one heartbeat.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeartbeatResult)]
pub struct HeartbeatResult<'a> {
    /// As it was sent.
    pub lease: &'a str,
    /// When the lease now ends.
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
    /// The worker should stop and report.
    pub cancel: bool,
    /// Why the lease is not kept.
    #[schema(value_type = Option<ProblemBody<'static>>)]
    pub error: Option<ProblemBody<'a>>,
}

/// How a report ended.
#[derive(Debug)]
pub enum Reported {
    /// The report counts: its outcome is recorded.
    Recorded,
    /// It counted before.
    Replayed,
    /// It does not count.
    Refused(Problem),
}

impl Reported {
    /// The result for the worker.
    pub fn result<'a>(
        &'a self,
        lease: &'a str,
        request_id: &'a domain::ids::CorrelationId,
    ) -> ReportResult<'a> {
        let (outcome, error) = match self {
            Self::Recorded => ("recorded", None),
            Self::Replayed => ("replayed", None),
            Self::Refused(problem) => ("refused", Some(problem.body(Some(request_id), None))),
        };
        ReportResult { lease, outcome, error }
    }
}
