//! The state that a job's first event makes: everything pending, nothing counted yet. What that event did at once is
//! applied to it like any other event's transitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::fact::{AdmissionFact, JobFact, Submitted};
use crate::job::state::{JobHead, JobState, NodeState};
use crate::job::status::JobStatus;
use crate::job::undo::JobUndo;
use crate::node::status::NodeStatus;

impl JobState {
    /// The state after the first event, which must be a submission.
    pub fn create(event: &JobEvent) -> Option<Self> {
        let JobFact::Admission(AdmissionFact::Submitted(submitted)) = &event.fact else {
            return None;
        };
        let mut state = Self::blank(submitted, event.by.at);
        state.correlation.clone_from(&event.by.correlation);
        state.apply(event, &mut JobUndo::none());
        Some(state)
    }

    fn blank(submitted: &Submitted, at: Millis) -> Self {
        let graph = &submitted.plan.graph;
        let nodes: Vec<NodeState> = (0u32..)
            .take(submitted.plan.nodes.len())
            .map(|ix| blank_node(u32::try_from(graph.parents(ix).len()).unwrap_or(u32::MAX), at))
            .collect();
        let mut counts = [0; 12];
        counts[NodeStatus::Pending.index()] = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        Self {
            id: submitted.id,
            namespace: submitted.namespace.clone(),
            plan: Arc::clone(&submitted.plan),
            trace_id: Arc::from(submitted.trace_id.as_str()),
            correlation: None,
            head: blank_head(submitted, at, counts),
            nodes,
            held: BTreeSet::new(),
            reports: BTreeMap::new(),
            late: BTreeSet::new(),
            commands: BTreeMap::new(),
            claims: BTreeMap::new(),
            sinks: BTreeMap::new(),
        }
    }
}

fn blank_node(parents: u32, at: Millis) -> NodeState {
    NodeState {
        status: NodeStatus::Pending,
        since: at,
        epoch: crate::ids::Epoch::default(),
        attempt: 0,
        unsettled: parents,
        completed: 0,
        first_ready: 0,
        started: 0,
        due: 0,
        lease_ms: 0,
        last_wait_ms: 0,
        undelivered: 0,
        hold: None,
        report: None,
    }
}

fn blank_head(submitted: &Submitted, at: Millis, counts: [u32; 12]) -> JobHead {
    JobHead {
        seq: 0,
        status: JobStatus::Pending,
        ending: None,
        ending_until: 0,
        paused_from: None,
        pause_cause: None,
        about: Arc::new(submitted.about.clone()),
        scheduled_at: submitted.scheduled_at,
        timeout_ms: submitted.timeout_ms,
        created_at: at,
        updated_at: at,
        newest_at: at,
        queued_at: None,
        scheduled_since: None,
        started_at: None,
        completed_at: None,
        resumed_at: 0,
        runs: 1,
        retries: 0,
        grant: None,
        declined: 0,
        sink_bytes: 0,
        counts,
        failed_required: 0,
        first_error: None,
        output: None,
        error: None,
        deleted: false,
    }
}
