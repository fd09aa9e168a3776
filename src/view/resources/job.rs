//! A job as people see it.
//! Absent on purpose: its nodes, which are a resource of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::exact_json::ExactJson;
use domain::ids::Millis;
use domain::job::outcome::{JobError, PauseCause};
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use domain::job::summary::{CheckpointSnapshot, GroupSnapshot, JobSnapshot};
use domain::node::status::NodeStatus;
use domain::payload::Payload;
use domain::time_text::rfc3339;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::SCHEMA_VERSION;
use super::policy::{CompleteWhenResource, UsedRetryResource};
use super::words::{JobStatusWord, PauseCauseWord, StartWord};

/// A job as lists and single reads show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobResource {
    /// Of this resource's shape.
    pub schema_version: u8,
    #[schema(format = "uuid")]
    pub id: String,
    /// The namespace that owns it.
    pub namespace: String,
    /// Where it stands.
    #[schema(value_type = JobStatusWord)]
    pub status: JobStatus,
    /// The state to come, while running attempts end.
    #[schema(value_type = Option<JobStatusWord>)]
    pub ending: Option<JobStatus>,
    /// Why it is paused.
    #[schema(value_type = Option<PauseCauseWord>)]
    pub pause_cause: Option<PauseCause>,
    /// The ETag: how many events the job has.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Free text that only people read.
    pub name: String,
    /// Free text that only people read.
    pub description: Option<String>,
    /// What kind of job it is.
    pub job_type: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// For people and filters.
    pub tags: Vec<String>,
    /// Any JSON; lists leave out what is larger than 2 KiB.
    #[schema(value_type = Option<Value>)]
    pub input: Option<Arc<RawValue>>,
    /// Who or what asked for it.
    pub triggered_by: Option<String>,
    /// Not before this time.
    #[schema(format = "date-time")]
    pub scheduled_at: Option<String>,
    /// What lets it start.
    #[schema(value_type = StartWord)]
    pub start: Start,
    /// From entering `queued`.
    pub timeout_ms: Option<u64>,
    /// Free text that only people read.
    pub estimated_duration_ms: Option<u64>,
    /// The pool it is admitted into.
    pub environment: String,
    /// What it takes of its environment.
    pub resources: BTreeMap<String, u64>,
    /// Nodes ready or running at once.
    pub max_parallel: Option<u32>,
    /// The first failure of a node that is not optional cancels the rest.
    pub fail_fast: bool,
    /// When the settled job counts as completed.
    pub complete_when: CompleteWhenResource,
    /// It ends as soon as that is decided, and cancels the rest.
    pub complete_early: bool,
    /// How long all cleanups together may take; null: 10 minutes.
    pub cleanup_timeout_ms: Option<u64>,
    /// For nodes that have none of their own.
    pub retry: Option<UsedRetryResource>,
    /// How the whole job is retried; null: not at all.
    pub job_retry: Option<UsedRetryResource>,
    /// How it is recovered; null: by hand.
    pub recovery: Option<BTreeMap<String, Value>>,
    /// Small values that the caller chose to keep with it.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub metadata: BTreeMap<String, ExactJson>,
    /// The job whose sub-job it is.
    #[schema(format = "uuid")]
    pub parent_job_id: Option<String>,
    /// W3C trace id.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub trace_id: String,
    /// Of the request that submitted it.
    pub correlation_id: Option<String>,
    #[schema(format = "date-time")]
    pub created_at: String,
    #[schema(format = "date-time")]
    pub updated_at: String,
    /// When its first attempt started.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When it was over.
    #[schema(format = "date-time")]
    pub completed_at: Option<String>,
    /// `total`, and nodes by state; a state without nodes may be left out.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub nodes: BTreeMap<&'static str, u64>,
    /// How far it is.
    pub progress: JobProgressShare,
    /// Any JSON; lists leave out what is larger than 2 KiB.
    #[schema(value_type = Option<Value>)]
    pub output: Option<Arc<RawValue>>,
    /// Why it did not complete.
    pub error: Option<JobErrorResource>,
    /// Runs, the first included.
    pub runs: u32,
    /// Retries of nodes so far.
    pub retries: u64,
    /// Recovery sessions so far.
    pub recoveries: u64,
    /// How long it took so far.
    pub durations: JobDurations,
    /// What its environment gave it.
    pub allocated: Option<BTreeMap<String, u64>>,
    /// Checkpoints that were reached, at most 100.
    pub checkpoints: Vec<CheckpointResource>,
    /// Groups at work that stand in no other group, at most 20, and how far they are.
    pub groups: Vec<GroupResource>,
}

/// How far a group is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = GroupProgress)]
pub struct GroupResource {
    /// The node's path.
    pub node: String,
    /// Direct members that have settled.
    pub settled: u32,
    /// How many direct members it has.
    pub members: u32,
}

/// A checkpoint that was reached.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub struct CheckpointResource {
    /// What people call it: the node's name, or its key.
    pub name: String,
    /// The node's path.
    pub node: String,
    #[schema(format = "date-time")]
    pub at: String,
    /// What was recorded: any JSON; lists leave out what is larger than 2 KiB.
    #[schema(value_type = Option<Value>)]
    pub record: Option<Arc<RawValue>>,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobProgressShare {
    /// Settled nodes of all.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: f64,
    /// Only `/progress` estimates it.
    #[schema(format = "date-time")]
    pub estimated_end: Option<String>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = JobError)]
pub struct JobErrorResource {
    /// The node that failed first, if it was a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub node: Option<String>,
    /// The class of the failure, which the retry policy goes by.
    pub class: String,
    /// Exactly as the worker reported it.
    #[serde(rename = "type")]
    pub error_type: String,
    /// Exactly as the worker reported it.
    pub message: String,
}

/// How long a job took so far, in milliseconds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobDurations {
    /// From queued to its first attempt.
    pub queued_ms: Option<u64>,
    /// From its first attempt.
    pub running_ms: Option<u64>,
    /// From its submission.
    pub total_ms: u64,
}

impl From<&JobError> for JobErrorResource {
    fn from(error: &JobError) -> Self {
        Self {
            node: error.node.clone(),
            class: error.class.clone(),
            error_type: error.error_type.clone(),
            message: error.message.clone(),
        }
    }
}

impl JobResource {
    /// A job as it was when it changed last: a pure function of its state, so that an answer can be given again.
    pub fn as_changed(job: &JobSnapshot) -> Self {
        Self::of(job, job.head.updated_at)
    }

    /// A job with its durations up to `now`.
    pub fn of(job: &JobSnapshot, now: Millis) -> Self {
        let (head, plan) = (&job.head, &job.plan);
        let holds_grant = head.grant.is_some() && !head.status.is_over();
        Self {
            schema_version: SCHEMA_VERSION,
            id: job.id.to_string(),
            namespace: job.namespace.to_string(),
            status: head.status,
            ending: head.ending,
            pause_cause: head.pause_cause,
            version: head.seq,
            name: head.about.name.clone(),
            description: head.about.description.clone(),
            job_type: plan.job_type.clone(),
            priority: head.about.priority,
            tags: head.about.tags.clone(),
            input: inline(plan.input.as_ref()),
            triggered_by: plan.triggered_by.clone(),
            scheduled_at: head.scheduled_at.map(rfc3339),
            start: plan.start,
            timeout_ms: head.timeout_ms,
            estimated_duration_ms: plan.estimated_duration_ms,
            environment: plan.environment.to_string(),
            resources: plan.resources.clone(),
            max_parallel: plan.max_parallel,
            fail_fast: plan.fail_fast,
            complete_when: plan.complete_when.into(),
            complete_early: plan.complete_early,
            cleanup_timeout_ms: plan.cleanup_timeout_ms,
            retry: plan.job_retry().map(UsedRetryResource::from),
            job_retry: None,
            recovery: None,
            metadata: head.about.metadata.clone(),
            parent_job_id: None,
            trace_id: job.trace_id.to_string(),
            correlation_id: job.correlation.as_ref().map(ToString::to_string),
            created_at: rfc3339(head.created_at),
            updated_at: rfc3339(head.updated_at),
            started_at: head.started_at.map(rfc3339),
            completed_at: head.completed_at.map(rfc3339),
            nodes: node_counts(job),
            progress: JobProgressShare { percent: percent(job), estimated_end: None },
            output: inline(head.output.as_ref()),
            error: head.error.as_deref().map(JobErrorResource::from),
            runs: head.runs,
            retries: head.retries,
            recoveries: 0,
            durations: durations(job, now),
            allocated: holds_grant.then(|| plan.resources.clone()),
            checkpoints: job.checkpoints.iter().map(CheckpointResource::from).collect(),
            groups: job.groups.iter().map(GroupResource::from).collect(),
        }
    }
}

impl From<&CheckpointSnapshot> for CheckpointResource {
    fn from(reached: &CheckpointSnapshot) -> Self {
        Self {
            name: reached.name.clone(),
            node: reached.node.clone(),
            at: rfc3339(reached.at),
            record: inline(reached.record.as_ref()),
        }
    }
}

impl From<&GroupSnapshot> for GroupResource {
    fn from(group: &GroupSnapshot) -> Self {
        Self { node: group.node.clone(), settled: group.settled, members: group.members }
    }
}

/// What is small enough to stand in an event; the rest is fetched for one job alone.
fn inline(payload: Option<&Payload>) -> Option<Arc<RawValue>> {
    match payload {
        Some(Payload::Inline(raw)) => Some(Arc::clone(raw)),
        Some(Payload::Stored(_)) | None => None,
    }
}

fn node_counts(job: &JobSnapshot) -> BTreeMap<&'static str, u64> {
    let counted = NodeStatus::ALL
        .into_iter()
        .map(|status| (status.as_str(), job.head.counts[status.index()]));
    let mut counts: BTreeMap<&'static str, u64> = counted
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| (word, u64::from(count)))
        .collect();
    counts.entry("completed").or_default();
    counts.insert("total", job.node_count());
    counts
}

#[expect(clippy::cast_precision_loss, reason = "node counts stay far below 2^52")]
fn percent(job: &JobSnapshot) -> f64 {
    let settled: u32 = NodeStatus::ALL
        .into_iter()
        .filter(|status| status.is_settled())
        .map(|status| job.head.counts[status.index()])
        .sum();
    let share = f64::from(settled) / job.node_count().max(1) as f64;
    (share * 1_000.0).round() / 10.0
}

fn durations(job: &JobSnapshot, now: Millis) -> JobDurations {
    let head = &job.head;
    let until = head.completed_at.unwrap_or(now);
    let span = |from: Millis, to: Millis| u64::try_from(to - from).unwrap_or(0);
    JobDurations {
        queued_ms: head.queued_at.map(|queued| span(queued, head.started_at.unwrap_or(until))),
        running_ms: head.started_at.map(|started| span(started, until)),
        total_ms: span(head.created_at, until),
    }
}
