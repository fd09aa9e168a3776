//! The answers about nodes and their attempts.

use std::sync::Arc;

use domain::exact_json::ExactJson;
use domain::job::plan::ChangedNode;
use domain::node::spec::DependencyCondition;
use domain::node::status::NodeStatus;
use domain::payload::{Payload, StoredPayload};
use domain::time_text::rfc3339;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::group::GroupAnswer;
use crate::view::resources::policy::UsedRetryResource;
use crate::view::resources::words::{ConditionWord, NodeStatusWord};

/// A payload on its way to be shown: its text, or where it is stored.
#[derive(Debug, Clone, Default)]
pub struct ShownPayload {
    pub(super) raw: Option<Arc<RawValue>>,
    pub(super) stored: Option<StoredPayload>,
}

impl ShownPayload {
    pub(super) fn of(payload: Option<&Payload>) -> Self {
        match payload {
            Some(Payload::Inline(raw)) => Self { raw: Some(Arc::clone(raw)), stored: None },
            Some(Payload::Stored(stored)) => Self { raw: None, stored: Some(*stored) },
            None => Self::default(),
        }
    }
}

impl Serialize for ShownPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

/// A node and its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeDetail)]
pub struct NodeAnswer {
    /// Unique in the job.
    pub key: String,
    /// Free text that only people read.
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub node_type: &'static str,
    /// Where it stands.
    #[schema(value_type = NodeStatusWord)]
    pub status: NodeStatus,
    /// Edges on the longest path from a root.
    pub level: u32,
    /// Keys of its parents.
    pub depends_on: Vec<String>,
    /// When they let it start.
    #[schema(value_type = ConditionWord)]
    pub dependency_condition: DependencyCondition,
    /// Skipped when one of them ended badly.
    pub skip_on_failure: bool,
    /// Its failure does not fail the job.
    pub optional: bool,
    /// An unknown outcome pauses instead of running again.
    pub at_most_once: bool,
    /// Keys of the nodes whose end keeps it from ever starting by itself.
    pub blocked_by: Vec<String>,
    /// It could start and is held by the max_parallel of its job or group.
    pub held: bool,
    /// Why it waits, while it does.
    pub hold: Option<&'static str>,
    /// It was skipped because another branch was taken, or its condition does not hold.
    pub bypassed: bool,
    /// It failed, and a node that ran because of that completed.
    pub handled: bool,
    /// How its members stand, where it is a group.
    pub members: Option<GroupAnswer>,
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
    pub input: ShownPayload,
    /// Any JSON, of the completed attempt.
    #[schema(value_type = Value)]
    pub output: ShownPayload,
    /// Of the newest failure.
    pub error: Option<ErrorAnswer>,
    /// What the worker wanted people to see.
    pub warnings: Vec<String>,
    /// What the worker left elsewhere.
    #[schema(value_type = Vec<Value>)]
    pub artifacts: Vec<ExactJson>,
    /// While it is retrying.
    pub retry: Option<RetryAnswer>,
    /// The policy that it has itself; null: its failures are the job's policy's to judge, or, of a group, nobody's.
    pub retry_policy: Option<UsedRetryResource>,
    /// What people changed of it after the submission, if they did.
    pub changed: Option<NodeChangedAnswer>,
    /// While a worker has given it back for a time: when it is offered again.
    #[schema(format = "date-time")]
    pub delayed_until: Option<String>,
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
    /// Small values that the caller chose to keep with it.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub metadata: std::collections::BTreeMap<String, ExactJson>,
    /// Leases it had, also those given back.
    pub attempts_total: u64,
    /// The newest of them: 10 in lists, 1,000 of one node.
    pub attempts: Vec<AttemptAnswer>,
}

/// What people changed of a node after the submission. The history says who, why, and what it was before.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = NodeChanged)]
pub struct NodeChangedAnswer {
    /// When it was changed last.
    #[schema(format = "date-time")]
    pub at: String,
    /// The fields that are not as they were submitted, or were changed back.
    pub fields: Vec<&'static str>,
}

impl NodeChangedAnswer {
    pub(super) fn of(changed: &ChangedNode) -> Self {
        let fields = changed.fields.iter().map(|field| field.as_str());
        Self { at: rfc3339(changed.at), fields: fields.collect() }
    }
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AttemptError)]
pub struct ErrorAnswer {
    /// The reporter's word for it.
    #[serde(rename = "type")]
    pub error_type: String,
    /// Free text that only people read.
    pub message: String,
    pub class: String,
    /// The code that the failing service gave.
    pub code: Option<String>,
    /// The HTTP status that it gave.
    pub status: Option<u16>,
    /// The reporter's word on whether another execution can help.
    pub retryable: Option<bool>,
    /// The wait the reporter asked for.
    pub retry_after_ms: Option<u64>,
    /// Any JSON value, as it was given.
    #[schema(value_type = Value)]
    pub details: ShownPayload,
}

/// The next execution.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = NodeRetry)]
pub struct RetryAnswer {
    /// Nothing happens before this time.
    #[schema(format = "date-time")]
    pub due_at: String,
    /// The wait with its jitter.
    pub wait_ms: u64,
    /// Why it is tried again.
    pub why: Option<String>,
}

/// One attempt of a node, from its lease to its end.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptAnswer {
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
    pub outcome: &'static str,
    /// How far it is, or was, 0 to 1, as its newest heartbeats said; of one that has ended, as far as an event has it.
    #[schema(minimum = 0, maximum = 1)]
    pub progress: Option<f64>,
    /// What else its newest heartbeats said: any JSON. Null in lists where it is longer than 2 KiB, and of all but the newest
    /// 10 attempts of one node.
    #[schema(value_type = Value)]
    pub details: ShownPayload,
    /// It may have had its effect although nothing was reported.
    pub outcome_unknown: bool,
    /// What went wrong.
    pub error: Option<ErrorAnswer>,
    /// When it was to be tried again.
    pub retry: Option<RetryAnswer>,
    /// Why it was tried again or not.
    pub verdict: Option<String>,
    /// Reports that came too late and changed nothing.
    pub late_reports: u32,
}
