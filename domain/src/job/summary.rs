//! What of a job's state can be shown without its nodes; it travels between engines.
//! Absent: how people see it (`view::resources`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, JobId, Namespace};
use crate::job::plan::Plan;
use crate::job::state::{JobHead, JobState};
use crate::payload::{Payload, StoredPayload};

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

    /// How many nodes it has: each is in one state.
    pub fn node_count(&self) -> u64 {
        self.head.counts.iter().map(|count| u64::from(*count)).sum()
    }
}
