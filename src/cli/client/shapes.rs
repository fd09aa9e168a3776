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
pub(crate) struct Job {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) status: String,
    /// How many events it has. An engine of before says none, and is asked again and again.
    #[serde(default)]
    pub(crate) version: Option<u64>,
    #[serde(default)]
    pub(crate) ending: Option<String>,
    #[serde(default)]
    pub(crate) priority: Option<u64>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) nodes: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) progress: Option<ProgressShape>,
    #[serde(default)]
    pub(crate) error: Option<JobErrorShape>,
    #[serde(default)]
    pub(crate) durations: Option<DurationsShape>,
}

/// How far a job is.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ProgressShape {
    #[serde(default)]
    pub(crate) percent: f64,
}

/// Why a job failed.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct JobErrorShape {
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default)]
    pub(crate) class: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

/// How long a job took, in milliseconds.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct DurationsShape {
    #[serde(default)]
    pub(crate) total_ms: Option<u64>,
}

impl Job {
    /// Nodes in a state; `total` is the number of all.
    pub(crate) fn count(&self, state: &str) -> u64 {
        self.nodes.get(state).copied().unwrap_or_default()
    }

    /// Whether nothing more happens to the job unless somebody asks.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "timeout" | "cancelled" | "aborted")
    }
}

/// A page of jobs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobPage {
    #[serde(default)]
    pub(crate) jobs: Vec<Job>,
    #[serde(default)]
    pub(crate) has_next: bool,
}

/// A node, as far as a command shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    pub(crate) key: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) attempt: Option<u64>,
    #[serde(default)]
    pub(crate) error: Option<JobErrorShape>,
}

/// A page of nodes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NodePageShape {
    #[serde(default)]
    pub(crate) nodes: Vec<Node>,
}

/// Why a job or a node does not go on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ExplanationShape {
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) node: Option<Node>,
    #[serde(default)]
    pub(crate) waits: Vec<WaitShape>,
    #[serde(default)]
    pub(crate) ended: Option<EndedShape>,
    #[serde(default)]
    pub(crate) driving: Driving,
}

/// One thing that is waited for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct WaitShape {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) ends_on: String,
    #[serde(default)]
    pub(crate) since: Option<String>,
    #[serde(default)]
    pub(crate) wakes_at: Option<String>,
    #[serde(default)]
    pub(crate) nodes: Vec<String>,
    #[serde(default)]
    pub(crate) node_count: usize,
}

/// How something ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EndedShape {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Which engine drives a job.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Driving {
    #[serde(default)]
    pub(crate) message: String,
}

/// Asks a queue for work.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseRequestShape {
    pub(crate) worker: String,
    pub(crate) max: usize,
    pub(crate) wait_ms: u64,
    pub(crate) lease_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) action_types: Vec<String>,
    /// The same claim gives the same leases, so that a lost answer loses no work.
    pub(crate) claim: String,
}

/// Asks for the next work together with a report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NextWork {
    pub(crate) queue: String,
    pub(crate) worker: String,
    pub(crate) max: usize,
    pub(crate) wait_ms: u64,
    pub(crate) lease_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) action_types: Vec<String>,
    /// As in [`LeaseRequestShape`]: a report that is sent again gets the same next work.
    pub(crate) claim: String,
}

/// One attempt that the engine trusts this worker with.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Lease {
    #[serde(rename = "lease")]
    pub(crate) id: String,
    pub(crate) job_id: String,
    pub(crate) node: String,
    pub(crate) attempt: u64,
    #[serde(default)]
    pub(crate) idempotency_key: String,
    #[serde(default)]
    pub(crate) attempt_key: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) action_type: Option<String>,
    #[serde(default)]
    pub(crate) input: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) heartbeat_ms: Option<u64>,
    #[serde(default)]
    pub(crate) trace: Option<String>,
}

/// The answer to a request for work.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LeasesShape {
    #[serde(default)]
    pub(crate) leases: Vec<Lease>,
}

/// A batch about leases; `lease` asks for the next work.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseBatch<T> {
    pub(crate) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<NextWork>,
}

/// A completed attempt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CompleteShape {
    pub(crate) lease: String,
    pub(crate) output: Box<RawValue>,
    /// What the worker keeps with the attempt beside its output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) artifacts: Vec<serde_json::Value>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailShape {
    pub(crate) lease: String,
    pub(crate) error: AttemptErrorShape,
}

/// A lease that is still worked on, or given back.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseItem {
    pub(crate) lease: String,
}

/// Why an attempt failed, as the engine's retry rules read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AttemptErrorShape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
    /// A class of `retry-and-failures.md` section 5.
    pub(crate) class: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<serde_json::Value>,
}

/// The answer to a batch about leases.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LeaseResults {
    #[serde(default)]
    pub(crate) results: Vec<LeaseResult>,
    #[serde(default)]
    pub(crate) leases: Vec<Lease>,
}

/// The answer about one lease.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LeaseResult {
    #[serde(default)]
    pub(crate) lease: String,
    #[serde(default)]
    pub(crate) cancel: bool,
    #[serde(default)]
    pub(crate) error: Option<ProblemAnswer>,
}
