//! What of a job's state can be shown without its nodes; it travels between engines.
//! Absent: how people see it (`view::resources`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, JobId, Millis, Namespace};
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
    /// The checkpoints that were reached, the first [`CHECKPOINTS_SHOWN_MAX`] by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<CheckpointSnapshot>,
    /// The groups at work that no group has, the first [`GROUPS_SHOWN_MAX`] by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSnapshot>,
}

/// Groups at work that a job as a whole shows.
pub const GROUPS_SHOWN_MAX: usize = 20;

/// How far a group is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupSnapshot {
    /// The node's path.
    pub node: String,
    /// Direct members that have settled.
    pub settled: u32,
    /// How many direct members it has.
    pub members: u32,
}

/// Checkpoints that a job as a whole shows; each is on its node, however many there are.
pub const CHECKPOINTS_SHOWN_MAX: usize = 100;

/// A checkpoint that was reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointSnapshot {
    /// What people call it: the node's name, or its key.
    pub name: String,
    /// The node's path.
    pub node: String,
    pub at: Millis,
    /// What was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Payload>,
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
            checkpoints: checkpoints(state),
            groups: groups(state),
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

fn groups(state: &JobState) -> Vec<GroupSnapshot> {
    let outermost = |ix: &u32| state.plan.node(*ix).container.is_none();
    let at_work = |ix: &u32| !state.nodes[*ix as usize].status.is_settled();
    let groups = state.groups.iter().filter(|(ix, _)| outermost(ix) && at_work(ix));
    let shown = groups.take(GROUPS_SHOWN_MAX).map(|(ix, group)| GroupSnapshot {
        node: state.plan.path(*ix),
        settled: group.counts.settled,
        members: group.counts.all,
    });
    shown.collect()
}

fn checkpoints(state: &JobState) -> Vec<CheckpointSnapshot> {
    let reached = state.checkpoints.iter().take(CHECKPOINTS_SHOWN_MAX);
    reached
        .map(|(ix, at)| {
            let spec = state.plan.node(*ix);
            let name = spec.more.as_ref().and_then(|more| more.name.clone());
            CheckpointSnapshot {
                name: name.unwrap_or_else(|| spec.key.to_string()),
                node: state.plan.path(*ix),
                at: *at,
                record: state.given_by_itself(*ix),
            }
        })
        .collect()
}
