//! The requests and answers that the commands use, as design section 8 writes them: only the fields that are used.
//!
//! Always: answers may have more fields than these and lack the optional ones; requests have no field that was
//! not asked for, because the engine refuses unknown ones. Inputs and outputs stay the text they arrived as.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::ProblemAnswer;

/// A job, as far as a command shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub status: String,
    /// How many events it has. An engine of before says none, and is asked again and again.
    #[serde(default)]
    pub version: Option<u64>,
    #[serde(default)]
    pub ending: Option<String>,
    #[serde(default)]
    pub priority: Option<u64>,
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default)]
    pub nodes: BTreeMap<String, u64>,
    #[serde(default)]
    pub progress: Option<ProgressShape>,
    #[serde(default)]
    pub error: Option<JobErrorShape>,
    #[serde(default)]
    pub durations: Option<DurationsShape>,
    /// Groups at work.
    #[serde(default)]
    pub groups: Vec<GroupShape>,
}

/// How far a group is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupShape {
    pub node: String,
    #[serde(default)]
    pub settled: u64,
    #[serde(default)]
    pub members: u64,
}

/// How far a job is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ProgressShape {
    #[serde(default)]
    pub percent: f64,
}

/// Why a job failed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct JobErrorShape {
    #[serde(default)]
    pub node: Option<String>,
    #[serde(default)]
    pub class: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}

/// How long a job took, in milliseconds.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DurationsShape {
    #[serde(default)]
    pub total_ms: Option<u64>,
}

impl Job {
    /// Nodes in a state; `total` is the number of all.
    pub fn count(&self, state: &str) -> u64 {
        self.nodes.get(state).copied().unwrap_or_default()
    }

    /// Whether nothing more happens to the job unless somebody asks.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "timeout" | "cancelled" | "aborted")
    }
}

/// A page of jobs.
#[derive(Debug, Clone, Deserialize)]
pub struct JobPage {
    #[serde(default)]
    pub jobs: Vec<Job>,
    #[serde(default)]
    pub has_next: bool,
}

/// A node, as far as a command shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    pub key: String,
    pub status: String,
    #[serde(default)]
    pub attempt: Option<u64>,
    #[serde(default)]
    pub error: Option<JobErrorShape>,
}

/// A page of nodes.
#[derive(Debug, Clone, Deserialize)]
pub struct NodePageShape {
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// Why a job or a node does not go on.
#[derive(Debug, Clone, Deserialize)]
pub struct ExplanationShape {
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub node: Option<Node>,
    #[serde(default)]
    pub waits: Vec<WaitShape>,
    #[serde(default)]
    pub ended: Option<EndedShape>,
    #[serde(default)]
    pub driving: Driving,
}

/// One thing that is waited for.
#[derive(Debug, Clone, Deserialize)]
pub struct WaitShape {
    pub code: String,
    pub message: String,
    pub ends_on: String,
    #[serde(default)]
    pub since: Option<String>,
    #[serde(default)]
    pub wakes_at: Option<String>,
    #[serde(default)]
    pub nodes: Vec<String>,
    #[serde(default)]
    pub node_count: usize,
}

/// How something ended.
#[derive(Debug, Clone, Deserialize)]
pub struct EndedShape {
    pub code: String,
    pub message: String,
}

/// Which engine drives a job.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Driving {
    #[serde(default)]
    pub message: String,
}

/// Asks a queue for work.
#[derive(Debug, Clone, Serialize)]
pub struct LeaseRequestShape {
    pub worker: String,
    pub max: usize,
    pub wait_ms: u64,
    pub lease_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub action_types: Vec<String>,
    /// The same claim gives the same leases, so that a lost answer loses no work.
    pub claim: String,
}

/// Asks for the next work together with a report.
#[derive(Debug, Clone, Serialize)]
pub struct NextWork {
    pub queue: String,
    pub worker: String,
    pub max: usize,
    pub wait_ms: u64,
    pub lease_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub action_types: Vec<String>,
    /// As in [`LeaseRequestShape`]: a report that is sent again gets the same next work.
    pub claim: String,
}

/// One attempt that the engine trusts this worker with.
#[derive(Debug, Clone, Deserialize)]
pub struct Lease {
    #[serde(rename = "lease")]
    pub id: String,
    pub job_id: String,
    pub node: String,
    pub attempt: u64,
    #[serde(default)]
    pub idempotency_key: String,
    #[serde(default)]
    pub attempt_key: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub action_type: Option<String>,
    #[serde(default)]
    pub input: Option<Box<RawValue>>,
    /// What went wrong in the attempt before.
    #[serde(default)]
    pub previous: Option<PreviousShape>,
    #[serde(default)]
    pub max_attempts: Option<u64>,
    #[serde(default)]
    pub deadline: Option<String>,
    /// What was said of the node in the newest heartbeat.
    #[serde(default)]
    pub details: Option<Box<RawValue>>,
    #[serde(default)]
    pub heartbeat_ms: Option<u64>,
    #[serde(default)]
    pub trace: Option<String>,
}

/// What went wrong in an earlier attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviousShape {
    pub class: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<RawValue>>,
}

/// The answer to a request for work.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LeasesShape {
    #[serde(default)]
    pub leases: Vec<Lease>,
}

/// A batch about leases; `lease` asks for the next work.
#[derive(Debug, Clone, Serialize)]
pub struct LeaseBatch<T> {
    pub items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<NextWork>,
}

/// A completed attempt.
#[derive(Debug, Clone, Serialize)]
pub struct CompleteShape {
    pub lease: String,
    pub output: Box<RawValue>,
    /// What the worker keeps with the attempt beside its output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<serde_json::Value>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize)]
pub struct FailShape {
    pub lease: String,
    pub error: AttemptErrorShape,
}

/// A lease that is still worked on.
#[derive(Debug, Clone, Serialize)]
pub struct LeaseItem {
    pub lease: String,
}

/// A lease that is given back.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseShape {
    pub lease: String,
    /// Nobody is offered its node for so long; none: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// Why an attempt failed, as the engine's retry rules read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AttemptErrorShape {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
    /// A class of `retry-and-failures.md` section 5; empty: the engine derives it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// The code that the failing service gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The HTTP status that it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

/// The answer to a batch about leases.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LeaseResults {
    #[serde(default)]
    pub results: Vec<LeaseResult>,
    #[serde(default)]
    pub leases: Vec<Lease>,
}

/// The answer about one lease.
#[derive(Debug, Clone, Deserialize)]
pub struct LeaseResult {
    #[serde(default)]
    pub lease: String,
    #[serde(default)]
    pub cancel: bool,
    #[serde(default)]
    pub error: Option<ProblemAnswer>,
}

/// A retry policy that the namespace keeps, as far as a command shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyShape {
    pub id: String,
    pub name: String,
    pub version: u64,
    #[serde(default)]
    pub strategy: String,
    #[serde(default)]
    pub max_attempts: u64,
    #[serde(default)]
    pub updated_at: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub applicable_job_types: Vec<String>,
}

/// A page of retry policies.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyPage {
    pub retry_policies: Vec<PolicyShape>,
    #[serde(default)]
    pub has_next: bool,
}

/// What a policy would do.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyPreview {
    pub waits: Vec<PolicyWaitShape>,
    pub total_ms: u64,
    pub decision: String,
    #[serde(default)]
    pub reason: String,
}

/// The wait after one execution.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyWaitShape {
    pub attempt: u64,
    /// None: no execution follows.
    pub delay_ms: Option<u64>,
    pub min_ms: Option<u64>,
    pub max_ms: Option<u64>,
}
