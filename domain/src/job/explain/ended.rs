//! How a job or a node ended, from the state after it.

use crate::job::explain::{EndCode, Ended, NODES_NAMED_MAX, Turn, words};
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;

/// How a job that is over ended.
pub(super) fn of_job(state: &JobState, turn: Option<&Turn>) -> Ended {
    let head = &state.head;
    let failed = || {
        (0_u32..).take(state.nodes.len()).filter(|ix| {
            let status = state.nodes[*ix as usize].status;
            matches!(status, NodeStatus::Failed | NodeStatus::Timeout)
                && state.is_required(*ix)
                && !state.nodes[*ix as usize].marks.handled
                && state.plan.container(*ix).is_none()
                && state.plan.node(*ix).cleanup().is_none()
        })
    };
    let code = match head.status {
        JobStatus::Completed => EndCode::Completed,
        JobStatus::Timeout => EndCode::TimedOut,
        JobStatus::Cancelled => EndCode::Cancelled,
        JobStatus::Aborted => EndCode::Aborted,
        JobStatus::Failed
        | JobStatus::Pending
        | JobStatus::Queued
        | JobStatus::Scheduled
        | JobStatus::Running
        | JobStatus::Paused
        | JobStatus::Retrying
        | JobStatus::Recovering => match (state.plan.fail_fast, head.members.failed) {
            (_, 0) => EndCode::ConditionNotMet,
            (true, _) => EndCode::FailFast,
            (false, _) => EndCode::Failed,
        },
    };
    let because_of: Vec<u32> = match code {
        EndCode::Failed | EndCode::FailFast => failed().take(NODES_NAMED_MAX).collect(),
        EndCode::Completed
        | EndCode::ConditionNotMet
        | EndCode::TimedOut
        | EndCode::Cancelled
        | EndCode::Aborted
        | EndCode::Skipped
        | EndCode::Blocked => Vec::new(),
    };
    let because_of_count = if because_of.is_empty() { 0 } else { failed().count() };
    Ended {
        code,
        message: words::job_ended(state, code, turn),
        at: head.completed_at.unwrap_or(head.updated_at),
        error: head.error.clone(),
        because_of,
        because_of_count,
    }
}

/// How a node that settled ended, or why it never will.
pub(super) fn of_node(state: &JobState, ix: u32) -> Ended {
    let node = &state.nodes[ix as usize];
    let code = match node.status {
        NodeStatus::Completed => EndCode::Completed,
        NodeStatus::Failed => EndCode::Failed,
        NodeStatus::Timeout => EndCode::TimedOut,
        NodeStatus::Skipped => EndCode::Skipped,
        NodeStatus::Cancelled | NodeStatus::Compensated => EndCode::Cancelled,
        NodeStatus::Pending
        | NodeStatus::Ready
        | NodeStatus::Running
        | NodeStatus::Waiting
        | NodeStatus::Retrying
        | NodeStatus::Compensating => EndCode::Blocked,
    };
    let causes = match code {
        EndCode::Blocked => state.blocked_by()[ix as usize].clone(),
        EndCode::Skipped => {
            let parents = state.plan.parents(ix);
            parents.filter(|parent| state.ended_badly(*parent)).collect()
        }
        EndCode::Completed
        | EndCode::Failed
        | EndCode::FailFast
        | EndCode::ConditionNotMet
        | EndCode::TimedOut
        | EndCode::Cancelled
        | EndCode::Aborted => Vec::new(),
    };
    Ended {
        code,
        message: words::node_ended(state, ix, code, &causes),
        at: node.since,
        error: None,
        because_of_count: causes.len(),
        because_of: causes.into_iter().take(NODES_NAMED_MAX).collect(),
    }
}
