//! Nodes, graph, progress and history of a job, as the document describes them. The texts are made by
//! `services::queries`; a test over the running API holds the two together. Absent: any conversion.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::job_answer::JobStatusWord;
use super::node::Condition;
use crate::http::page::PageInfo;
use crate::services::queries;

/// A page of nodes, in the order of the submission.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeList)]
pub struct NodeListAnswer {
    /// This page.
    #[schema(value_type = Vec<NodeSchema>)]
    pub nodes: Vec<queries::NodeAnswer>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// A page of history, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryList)]
pub struct HistoryListAnswer {
    /// This page.
    #[schema(value_type = Vec<HistoryRowSchema>)]
    pub events: Vec<queries::HistoryRow>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// What a list of nodes can be asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NodeListParameters {
    /// Any of these states; with commas, or repeated.
    #[param(nullable = false, style = Form, explode = false)]
    pub status: Option<Vec<NodeStatusWord>>,
}

/// What a history can be asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryParameters {
    /// `json` for pages of rows; `ndjson` for the whole export, which verifies.
    #[param(nullable = false, pattern = "^(json|ndjson)$", default = "json")]
    pub format: Option<String>,
    /// From 1.
    #[param(minimum = 1, default = 1, nullable = false)]
    pub page: Option<u32>,
    /// Rows of a page; page * page_size goes to 10,000, the cursor goes on.
    #[param(minimum = 1, maximum = 1_000, default = 50, nullable = false)]
    pub page_size: Option<u32>,
    /// The next_cursor of an earlier page.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}

/// Where a node stands.
#[derive(Debug, ToSchema)]
#[schema(as = NodeStatus, rename_all = "snake_case")]
pub enum NodeStatusWord {
    Pending,
    Ready,
    Running,
    Waiting,
    Retrying,
    Completed,
    Failed,
    Timeout,
    Skipped,
    Cancelled,
    Compensating,
    Compensated,
}

/// A node and its attempts.
#[derive(Debug, ToSchema)]
#[schema(as = NodeDetail)]
pub struct NodeSchema {
    /// Unique in the job.
    pub key: String,
    /// For people.
    pub name: Option<String>,
    #[schema(rename = "type")]
    pub node_type: String,
    /// Where it stands.
    pub status: NodeStatusWord,
    /// Edges on the longest path from a root.
    pub level: u32,
    /// Keys of its parents.
    pub depends_on: Vec<String>,
    /// When they let it start.
    pub dependency_condition: Condition,
    /// Skipped when one of them ended badly.
    pub skip_on_failure: bool,
    /// Its failure does not fail the job.
    pub optional: bool,
    /// An unknown outcome pauses instead of running again.
    pub at_most_once: bool,
    /// Keys of the nodes whose end keeps it from ever starting by itself.
    pub blocked_by: Vec<String>,
    /// It could start and is held by the job's max_parallel.
    pub held: bool,
    /// It waits because the outcome of an attempt is unknown.
    pub outcome_unknown: bool,
    /// Where it is offered.
    pub queue: String,
    /// What kind of work it is.
    pub action_type: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Counted attempts, the running one included.
    pub attempt: u32,
    /// Any JSON; null in lists.
    #[schema(value_type = Value)]
    pub input: Option<Value>,
    /// Any JSON, of the completed attempt.
    #[schema(value_type = Value)]
    pub output: Option<Value>,
    /// Of the newest failure.
    pub error: Option<AttemptErrorSchema>,
    /// What the worker wanted people to see.
    pub warnings: Vec<String>,
    /// What the worker left elsewhere.
    pub artifacts: Vec<Value>,
    /// While it is retrying.
    pub retry: Option<RetrySchema>,
    /// Since when it is in its state.
    #[schema(format = "date-time")]
    pub since: String,
    /// When it was ready first.
    #[schema(format = "date-time")]
    pub ready_at: Option<String>,
    /// Start of the newest attempt.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When it settled.
    #[schema(format = "date-time")]
    pub completed_at: Option<String>,
    /// From the start of the newest attempt to its end, or to now.
    pub duration_ms: Option<u64>,
    /// For people and filters.
    pub tags: Vec<String>,
    /// Small facts.
    pub metadata: BTreeMap<String, Value>,
    /// Leases it had, also those given back.
    pub attempts_total: u64,
    /// The newest of them: 10 in lists, 1,000 of one node.
    pub attempts: Vec<AttemptSchema>,
}

/// What went wrong in an attempt.
#[derive(Debug, ToSchema)]
#[schema(as = AttemptError)]
pub struct AttemptErrorSchema {
    /// The reporter's word for it.
    #[schema(rename = "type")]
    pub error_type: String,
    /// For people.
    pub message: String,
    /// Failure class.
    pub class: String,
    /// The reporter's word on whether another execution can help.
    pub retryable: Option<bool>,
    /// The wait the reporter asked for.
    pub retry_after_ms: Option<u64>,
    /// Any JSON.
    #[schema(value_type = Value)]
    pub details: Option<Value>,
}

/// The next execution.
#[derive(Debug, ToSchema)]
#[schema(as = NodeRetry)]
pub struct RetrySchema {
    /// Not before.
    #[schema(format = "date-time")]
    pub due_at: String,
    /// The wait with its jitter.
    pub wait_ms: u64,
    /// Why it is tried again.
    pub why: Option<String>,
}

/// One attempt.
#[derive(Debug, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptSchema {
    /// Counted from 1.
    pub attempt: u32,
    /// The fencing token.
    pub epoch: u64,
    /// Who had it.
    pub worker: String,
    /// Length of its lease.
    pub lease_ms: u64,
    /// When it was leased.
    #[schema(format = "date-time")]
    pub started_at: String,
    /// When it ended.
    #[schema(format = "date-time")]
    pub completed_at: Option<String>,
    /// How long it took, or has taken.
    pub duration_ms: u64,
    /// running, completed, failed, lease_expired, timed_out, released or revoked.
    pub outcome: String,
    /// It may have had its effect although nothing was reported.
    pub outcome_unknown: bool,
    /// What went wrong.
    pub error: Option<AttemptErrorSchema>,
    /// When it was to be tried again.
    pub retry: Option<RetrySchema>,
    /// Why it was tried again or not.
    pub verdict: Option<String>,
    /// Reports that came too late and changed nothing.
    pub late_reports: u32,
}

/// A job's graph.
#[derive(Debug, ToSchema)]
#[schema(as = Graph)]
pub struct GraphSchema {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The job's version.
    pub version: u64,
    /// How many levels there are.
    pub levels: u32,
    /// In the order of the submission.
    pub nodes: Vec<GraphNodeSchema>,
    /// From parents to children.
    pub edges: Vec<GraphEdgeSchema>,
    /// Keys on the longest way still to go.
    pub critical_path: Vec<String>,
}

/// A node of the graph.
#[derive(Debug, ToSchema)]
#[schema(as = GraphNode)]
pub struct GraphNodeSchema {
    pub key: String,
    pub name: Option<String>,
    #[schema(rename = "type")]
    pub node_type: String,
    pub status: NodeStatusWord,
    /// Edges on the longest path from a root.
    pub level: u32,
    /// Counted attempts.
    pub attempt: u32,
    pub optional: bool,
}

/// An edge of the graph, by keys.
#[derive(Debug, ToSchema)]
#[schema(as = GraphEdge)]
pub struct GraphEdgeSchema {
    pub from: String,
    pub to: String,
}

/// How far a job is.
#[derive(Debug, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressSchema {
    #[schema(format = "uuid")]
    pub job_id: String,
    /// The job's version.
    pub version: u64,
    pub status: JobStatusWord,
    /// The state to come.
    pub ending: Option<JobStatusWord>,
    /// `total`, and nodes by state.
    pub nodes: BTreeMap<String, u64>,
    /// Weighted by expected durations.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: f64,
    /// Keys on the longest way still to go; the first thousand.
    pub critical_path: Vec<String>,
    /// How long that way takes.
    pub critical_path_ms: u64,
    /// Most likely.
    #[schema(format = "date-time")]
    pub estimated_end: Option<String>,
    /// About 19 of 20 ends lie within.
    pub estimated_end_spread: Option<SpreadSchema>,
    #[schema(format = "date-time")]
    pub as_of: String,
}

/// A span of time.
#[derive(Debug, ToSchema)]
#[schema(as = Spread)]
pub struct SpreadSchema {
    #[schema(format = "date-time")]
    pub low: String,
    #[schema(format = "date-time")]
    pub high: String,
}

/// A row of history.
#[derive(Debug, ToSchema)]
#[schema(as = HistoryRow)]
pub struct HistoryRowSchema {
    /// Of its event; dense from 1.
    #[schema(minimum = 1)]
    pub seq: u64,
    /// What happened.
    #[schema(rename = "type")]
    pub event_type: String,
    #[schema(format = "date-time")]
    pub at: String,
    /// The node's key; null: the job as a whole, or several nodes.
    pub node: Option<String>,
    pub attempt: Option<u32>,
    /// State before.
    pub from: Option<String>,
    /// State after.
    pub to: Option<String>,
    /// Who.
    pub actor: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// Ties together what one request caused.
    pub correlation_id: Option<String>,
    /// The fact as written.
    #[schema(value_type = Value)]
    pub data: Option<Value>,
    /// The state the job will end in, where the event decided that.
    #[schema(nullable = false)]
    pub ending: Option<JobStatusWord>,
    /// The chain before its event.
    pub prev_hash: String,
    /// The chain after its event.
    pub hash: String,
    /// A further transition of the event above.
    pub derived: bool,
}
