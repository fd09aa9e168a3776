//! The state that a job's first event makes: everything pending, nothing counted yet. What that event did at once is
//! applied to it like any other event's transitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::Millis;
use crate::job::event::JobEvent;
use crate::job::fact::{AdmissionFact, JobFact, Submitted};
use crate::job::members::MemberCounts;
use crate::job::outcome::EndingStage;
use crate::job::state::{JobHead, JobState, NodeMarks, NodeState};
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
        let plan = &submitted.plan;
        let nodes: Vec<NodeState> =
            plan.positions().map(|ix| NodeState::blank(plan.parent_count(ix), at)).collect();
        let outermost = (0..plan.initial)
            .filter(|ix| plan.node(*ix).container.is_none() && plan.node(*ix).cleanup().is_none());
        let members = MemberCounts::of(u32::try_from(outermost.count()).unwrap_or(u32::MAX));
        let mut counts = [0; 12];
        counts[NodeStatus::Pending.index()] = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        Self {
            id: submitted.id,
            namespace: submitted.namespace.clone(),
            plan: Arc::clone(&submitted.plan),
            trace_id: Arc::from(submitted.trace_id.as_str()),
            correlation: None,
            head: blank_head(submitted, at, counts, members),
            nodes,
            held: BTreeSet::new(),
            gated: BTreeSet::new(),
            groups: BTreeMap::new(),
            prepared: BTreeMap::new(),
            evaluating: BTreeSet::new(),
            errors: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            reports: BTreeMap::new(),
            late: BTreeSet::new(),
            commands: BTreeMap::new(),
            claims: BTreeMap::new(),
            outputs: BTreeMap::new(),
            handed_on: BTreeMap::new(),
        }
    }
}

impl NodeState {
    /// Of a node that has so many parents and has not begun.
    pub(crate) fn blank(parents: u32, at: Millis) -> Self {
        Self {
            status: NodeStatus::Pending,
            since: at,
            epoch: crate::ids::Epoch::default(),
            attempt: 0,
            unsettled: parents,
            completed: 0,
            bypassed: 0,
            base: 0,
            first_ready: 0,
            started: 0,
            due: 0,
            lease_ms: 0,
            last_wait_ms: 0,
            undelivered: 0,
            hold: None,
            report: None,
            marks: NodeMarks::default(),
        }
    }
}

fn blank_head(
    submitted: &Submitted,
    at: Millis,
    counts: [u32; 12],
    members: MemberCounts,
) -> JobHead {
    JobHead {
        seq: 0,
        status: JobStatus::Pending,
        ending: None,
        stage: EndingStage::default(),
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
        members,
        first_error: None,
        output: None,
        error: None,
        deleted: false,
    }
}
