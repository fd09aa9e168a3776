//! A job as the document describes it. The text itself is made by the domain (`job::summary`), the same in answers
//! and lists; a test over the running API holds the two together. Absent: any conversion.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::job::{CompleteWhenBody, StartWord};
use super::retry::RetryBody;
use crate::http::page::PageInfo;
use crate::http::problem::ProblemBody;

/// A job.
#[derive(Debug, ToSchema)]
#[schema(as = Job)]
pub struct JobAnswer {
    /// Of this resource's shape.
    pub schema_version: u8,
    #[schema(format = "uuid")]
    pub id: String,
    /// Whose.
    pub namespace: String,
    /// Where it stands.
    pub status: JobStatusWord,
    /// The state to come, while running attempts end.
    #[schema(value_type = Option<JobStatusWord>)]
    pub ending: Option<JobStatusWord>,
    /// Why it is paused.
    pub pause_cause: Option<PauseCauseWord>,
    /// The ETag: how many events the job has.
    #[schema(minimum = 1)]
    pub version: u64,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What kind of job it is.
    pub job_type: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// For people and filters.
    pub tags: Vec<String>,
    /// Any JSON; lists leave out what is larger than 2 KiB.
    #[schema(value_type = Option<Value>)]
    pub input: Option<Value>,
    /// Who or what asked for it.
    pub triggered_by: Option<String>,
    /// Not before this time.
    #[schema(format = "date-time")]
    pub scheduled_at: Option<String>,
    /// What lets it start.
    pub start: StartWord,
    /// From entering `queued`.
    pub timeout_ms: Option<u64>,
    /// For people.
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
    pub complete_when: CompleteWhenBody,
    /// For nodes that have none of their own.
    pub retry: Option<RetryBody>,
    /// How the whole job is retried; null: not at all.
    pub job_retry: Option<RetryBody>,
    /// How it is recovered; null: by hand.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    pub recovery: Option<BTreeMap<String, Value>>,
    /// Small facts.
    pub metadata: BTreeMap<String, Value>,
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
    pub nodes: BTreeMap<String, u64>,
    /// How far it is.
    pub progress: JobProgressShare,
    /// Any JSON; lists leave out what is larger than 2 KiB.
    #[schema(value_type = Option<Value>)]
    pub output: Option<Value>,
    /// Why it did not complete.
    pub error: Option<ErrorAnswer>,
    /// Runs, the first included.
    pub runs: u32,
    /// Retries of nodes so far.
    pub retries: u64,
    /// Recovery sessions so far.
    pub recoveries: u64,
    /// How long it took so far.
    pub durations: JobDurations,
    /// What its environment gave it.
    #[schema(value_type = Option<BTreeMap<String, u64>>)]
    pub allocated: Option<BTreeMap<String, u64>>,
    /// Names of checkpoints.
    pub checkpoints: Vec<String>,
}

/// Where a job stands.
#[derive(Debug, ToSchema)]
#[schema(as = JobStatus, rename_all = "snake_case")]
pub enum JobStatusWord {
    Pending,
    Queued,
    Scheduled,
    Running,
    Paused,
    Completed,
    Failed,
    Timeout,
    Cancelled,
    Retrying,
    Recovering,
    Aborted,
}

/// Why a job is paused.
#[derive(Debug, ToSchema)]
#[schema(as = PauseCause, rename_all = "snake_case")]
pub enum PauseCauseWord {
    /// Somebody asked for it.
    Requested,
    /// Whether an `at_most_once` attempt was done is not known.
    OutcomeUnknown,
}

/// How far a job is.
#[derive(Debug, ToSchema)]
pub struct JobProgressShare {
    /// Settled nodes of all.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: f64,
    /// Only `/progress` estimates it.
    #[schema(format = "date-time")]
    pub estimated_end: Option<String>,
}

/// What went wrong.
#[derive(Debug, ToSchema)]
#[schema(as = JobError)]
pub struct ErrorAnswer {
    /// The node that failed first, if it was a node.
    #[schema(nullable = false)]
    pub node: Option<String>,
    /// Failure class.
    pub class: String,
    /// As reported.
    #[schema(rename = "type")]
    pub error_type: String,
    /// As reported.
    pub message: String,
}

/// How long a job took so far, in milliseconds.
#[derive(Debug, ToSchema)]
pub struct JobDurations {
    /// From queued to its first attempt.
    pub queued_ms: Option<u64>,
    /// From its first attempt.
    pub running_ms: Option<u64>,
    /// From its submission.
    pub total_ms: u64,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobList)]
pub struct JobListAnswer<'a> {
    /// This page.
    #[schema(value_type = Vec<JobAnswer>)]
    pub jobs: Vec<&'a RawValue>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// What became of each job of a batch, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBatchResults)]
pub struct JobBatchAnswer<'a> {
    /// One a job.
    pub results: Vec<JobBatchResult<'a>>,
}

/// What became of one job of a batch: one of the two.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBatchResult)]
pub struct JobBatchResult<'a> {
    /// The job's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid", nullable = false)]
    pub id: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProblemBody<'static>, required = false)]
    pub error: Option<ProblemBody<'a>>,
}
