//! A job as people see it: pure data made from its state, the same in answers, lists and the view.
//! Absent on purpose: its nodes, and payloads that are stored beside the stream (whoever shows one job fills them in).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exact_json::ExactJson;
use crate::ids::{CorrelationId, JobId, Millis, Namespace};
use crate::job::outcome::{JobError, PauseCause};
use crate::job::plan::Plan;
use crate::job::spec::{CompleteWhen, Start};
use crate::job::state::{JobHead, JobState};
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;
use crate::payload::{Payload, StoredPayload};
use crate::retry::policy::RetryPolicy;

use crate::subject::SCHEMA_VERSION;
use crate::time_text::rfc3339;

/// A job without its nodes: cheap to take from a state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSnapshot {
    pub id: JobId,
    pub namespace: Namespace,
    /// What never changes; without its nodes when it comes from another engine.
    #[serde(with = "crate::job::plan::wire::without_nodes")]
    pub plan: Arc<Plan>,
    /// W3C trace id.
    pub trace_id: Arc<str>,
    /// Of the submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// The job as a whole.
    pub head: JobHead,
}

/// The JSON resource.
#[derive(Debug, Clone, Serialize)]
pub struct JobSummary {
    /// Of this resource.
    pub schema_version: u8,
    pub id: String,
    pub namespace: String,
    /// Where it stands.
    pub status: JobStatus,
    /// The state to come.
    pub ending: Option<JobStatus>,
    /// Why it is paused.
    pub pause_cause: Option<PauseCause>,
    pub version: u64,
    /// Free text that only people read.
    pub name: String,
    /// Free text that only people read.
    pub description: Option<String>,
    /// The job's type.
    pub job_type: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    pub tags: Vec<String>,
    /// Raw JSON; null when it is stored beside the stream and not filled in.
    pub input: Option<Arc<RawValue>>,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// Nothing happens before this time.
    pub scheduled_at: Option<String>,
    /// What lets it start.
    pub start: Start,
    /// Counted in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Counted in milliseconds.
    pub estimated_duration_ms: Option<u64>,
    /// Where it is admitted.
    pub environment: String,
    /// What it takes there.
    pub resources: BTreeMap<String, u64>,
    /// Nodes ready or running at once.
    pub max_parallel: Option<u32>,
    /// The first required failure ends it.
    pub fail_fast: bool,
    /// The success condition, as a caller writes it.
    pub complete_when: serde_json::Value,
    /// The nodes' default policy.
    pub retry: Option<serde_json::Value>,
    /// Always null until jobs are retried as a whole.
    pub job_retry: Option<serde_json::Value>,
    /// Always null until there are recoveries.
    pub recovery: Option<serde_json::Value>,
    pub metadata: BTreeMap<String, ExactJson>,
    /// Always null until there are sub-jobs.
    pub parent_job_id: Option<String>,
    /// W3C trace id.
    pub trace_id: String,
    /// Of the request that submitted it.
    pub correlation_id: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// When its first attempt started.
    pub started_at: Option<String>,
    /// When it was over.
    pub completed_at: Option<String>,
    /// `total`, and nodes by state.
    pub nodes: BTreeMap<&'static str, u64>,
    /// A rough share; `/progress` weighs it.
    pub progress: SummaryProgress,
    /// JSON text as it was received.
    pub output: Option<Arc<RawValue>>,
    /// Why it did not complete.
    pub error: Option<Arc<JobError>>,
    /// Runs, the first included.
    pub runs: u32,
    /// Retries of nodes so far.
    pub retries: u64,
    /// Recovery sessions; none until there are any.
    pub recoveries: u64,
    /// Counted in milliseconds.
    pub durations: Durations,
    /// What the environment gave it.
    pub allocated: Option<BTreeMap<String, u64>>,
    /// Names of checkpoints; none until there are any.
    pub checkpoints: Vec<String>,
}

/// A rough share of what is done.
#[derive(Debug, Clone, Serialize)]
pub struct SummaryProgress {
    /// 0 to 100.
    pub percent: f64,
    /// Only `/progress` estimates it.
    pub estimated_end: Option<String>,
}

/// How long it took, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Durations {
    /// From queued to its first attempt.
    pub queued_ms: Option<u64>,
    /// From its first attempt.
    pub running_ms: Option<u64>,
    /// From its submission.
    pub total_ms: u64,
}

/// The success condition as a caller writes it.
pub fn complete_when_json(condition: CompleteWhen) -> serde_json::Value {
    match condition {
        CompleteWhen::All => serde_json::json!({ "all": true }),
        CompleteWhen::Any => serde_json::json!({ "any": true }),
        CompleteWhen::AtLeast(least) => serde_json::json!({ "at_least": least }),
        CompleteWhen::TolerateCount(count) => serde_json::json!({ "tolerate": { "count": count } }),
        CompleteWhen::TolerateAtMostPercent(percent) => {
            serde_json::json!({ "tolerate": { "percent": percent } })
        }
    }
}

/// A retry policy as a caller writes it.
pub fn retry_json(policy: &RetryPolicy) -> serde_json::Value {
    serde_json::json!({
        "strategy": policy.strategy,
        "max_attempts": policy.max_attempts,
        "base_delay_ms": policy.base_delay_ms,
        "max_delay_ms": policy.max_delay_ms,
        "multiplier": policy.multiplier,
        "step_delay_ms": policy.step_delay_ms,
        "delays_ms": policy.delays_ms,
        "jitter": { "mode": policy.jitter, "range": policy.jitter_range },
        "retryable_error_types": policy.retryable_error_types,
        "non_retryable_error_types": policy.non_retryable_error_types,
        "on_exhausted": "fail",
    })
}

impl JobSnapshot {
    /// Of a state.
    pub fn of(state: &JobState) -> Self {
        Self {
            id: state.id,
            namespace: state.namespace.clone(),
            plan: Arc::clone(&state.plan),
            trace_id: Arc::clone(&state.trace_id),
            correlation: state.correlation.clone(),
            head: state.head.clone(),
        }
    }

    /// Input and output that are stored beside the stream.
    pub fn stored(&self) -> (Option<StoredPayload>, Option<StoredPayload>) {
        let stored = |payload: Option<&Payload>| match payload {
            Some(Payload::Stored(stored)) => Some(*stored),
            Some(Payload::Inline(_)) | None => None,
        };
        (stored(self.plan.input.as_ref()), stored(self.head.output.as_ref()))
    }

    /// The resource as it was when the job changed last: a pure function of the state, so that an answer can be given
    /// again.
    pub fn summary_as_changed(&self) -> JobSummary {
        self.summary(self.head.updated_at)
    }

    /// The resource, durations up to `now`.
    pub fn summary(&self, now: Millis) -> JobSummary {
        let (head, plan) = (&self.head, &self.plan);
        let inline = |payload: Option<&Payload>| match payload {
            Some(Payload::Inline(raw)) => Some(Arc::clone(raw)),
            Some(Payload::Stored(_)) | None => None,
        };
        let holds_grant = head.grant.is_some() && !head.status.is_over();
        JobSummary {
            schema_version: SCHEMA_VERSION,
            id: self.id.to_string(),
            namespace: self.namespace.to_string(),
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
            complete_when: complete_when_json(plan.complete_when),
            retry: plan.retry.as_deref().map(retry_json),
            job_retry: None,
            recovery: None,
            metadata: head.about.metadata.clone(),
            parent_job_id: None,
            trace_id: self.trace_id.to_string(),
            correlation_id: self.correlation.as_ref().map(ToString::to_string),
            created_at: rfc3339(head.created_at),
            updated_at: rfc3339(head.updated_at),
            started_at: head.started_at.map(rfc3339),
            completed_at: head.completed_at.map(rfc3339),
            nodes: self.node_counts(),
            progress: SummaryProgress { percent: self.percent(), estimated_end: None },
            output: inline(head.output.as_ref()),
            error: head.error.clone(),
            runs: head.runs,
            retries: head.retries,
            recoveries: 0,
            durations: self.durations(now),
            allocated: holds_grant.then(|| plan.resources.clone()),
            checkpoints: Vec::new(),
        }
    }

    fn node_counts(&self) -> BTreeMap<&'static str, u64> {
        let counted = NodeStatus::ALL
            .into_iter()
            .map(|status| (status.as_str(), self.head.counts[status.index()]));
        let mut counts: BTreeMap<&'static str, u64> = counted
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| (word, u64::from(count)))
            .collect();
        counts.entry("completed").or_default();
        counts.insert("total", self.node_count());
        counts
    }

    /// How many nodes it has: each is in one state.
    pub fn node_count(&self) -> u64 {
        self.head.counts.iter().map(|count| u64::from(*count)).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "node counts stay far below 2^52")]
    fn percent(&self) -> f64 {
        let settled: u32 = NodeStatus::ALL
            .into_iter()
            .filter(|s| s.is_settled())
            .map(|s| self.head.counts[s.index()])
            .sum();
        let share = f64::from(settled) / self.node_count().max(1) as f64;
        (share * 1_000.0).round() / 10.0
    }

    fn durations(&self, now: Millis) -> Durations {
        let head = &self.head;
        let until = head.completed_at.unwrap_or(now);
        let span = |from: Millis, to: Millis| u64::try_from(to - from).unwrap_or(0);
        Durations {
            queued_ms: head.queued_at.map(|queued| span(queued, head.started_at.unwrap_or(until))),
            running_ms: head.started_at.map(|started| span(started, until)),
            total_ms: span(head.created_at, until),
        }
    }
}
