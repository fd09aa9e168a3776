//! What of a job has a time: computed from the state, so that a load finds every timer again. Lease expiry is not
//! here: it is volatile, and the driver's.

use crate::ids::Millis;
use crate::job::spec::Start;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;

/// What of the job itself is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobDue {
    /// Its scheduled start.
    Start,
    /// Its deadline.
    Deadline,
    /// Running attempts are revoked.
    Revocation,
}

/// What of a node is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeDue {
    /// Waited too long for a worker.
    Queue,
    /// Ran too long.
    Attempt,
    /// Took too long in all.
    Total,
    /// Its retry wait is over.
    Retry,
}

/// The job's deadline: from entering queued, running on while paused.
pub fn deadline(state: &JobState) -> Option<Millis> {
    Some(after(state.head.queued_at?, state.head.timeout_ms?))
}

/// What the job itself waits for next.
pub fn job_due(state: &JobState) -> Option<(JobDue, Millis)> {
    let head = &state.head;
    if head.status.is_over() {
        return None;
    }
    if let Some(ending) = head.ending {
        let revocation = (JobDue::Revocation, head.ending_until);
        let stronger = ending.ending_strength() < JobStatus::Timeout.ending_strength();
        let deadline = deadline(state).filter(|at| stronger && *at < head.ending_until);
        return Some(deadline.map_or(revocation, |at| (JobDue::Deadline, at)));
    }
    match head.status {
        JobStatus::Pending if state.plan.start == Start::Auto => {
            Some((JobDue::Start, head.scheduled_at.unwrap_or(head.created_at)))
        }
        JobStatus::Pending => None,
        JobStatus::Queued
        | JobStatus::Scheduled
        | JobStatus::Running
        | JobStatus::Paused
        | JobStatus::Retrying
        | JobStatus::Recovering
        | JobStatus::Completed
        | JobStatus::Failed
        | JobStatus::Timeout
        | JobStatus::Cancelled
        | JobStatus::Aborted => deadline(state).map(|at| (JobDue::Deadline, at)),
    }
}

/// When a node has taken too long in all: from its first ready, retries included.
pub(crate) fn total_deadline(state: &JobState, ix: u32) -> Option<Millis> {
    let node = state.nodes.get(ix as usize).filter(|node| node.first_ready > 0)?;
    let timeouts = state.plan.timeouts_of(&state.plan.nodes[ix as usize]);
    timeouts.total_ms.map(|ms| after(node.first_ready, ms))
}

/// What a node waits for, at most two things.
pub fn node_dues(state: &JobState, ix: u32) -> [Option<(NodeDue, Millis)>; 2] {
    // An ending has its own time: what runs may go on until the grace is over, whatever its time-outs say.
    if state.head.ending.is_some() || state.head.status.is_over() {
        return [None, None];
    }
    let Some(node) = state.nodes.get(ix as usize) else { return [None, None] };
    let timeouts = state.plan.timeouts_of(&state.plan.nodes[ix as usize]);
    let total = total_deadline(state, ix).map(|at| (NodeDue::Total, at));
    let paused = state.head.status == JobStatus::Paused;
    match node.status {
        NodeStatus::Ready => {
            let since = node.since.max(state.head.resumed_at);
            let queue =
                timeouts.queue_ms.filter(|_| !paused).map(|ms| (NodeDue::Queue, after(since, ms)));
            [queue, total]
        }
        NodeStatus::Running => {
            // A running attempt is ended by its own time-out; the total one stops the next execution.
            let attempt = timeouts.attempt_ms.map(|ms| after(node.started, ms));
            let sooner = match (attempt, total) {
                (Some(a), Some((_, t))) => Some(a.min(t)),
                (a, t) => a.or_else(|| t.map(|(_, at)| at)),
            };
            [sooner.map(|at| (NodeDue::Attempt, at)), None]
        }
        NodeStatus::Retrying => [Some((NodeDue::Retry, node.due)), total],
        NodeStatus::Waiting => [total, None],
        NodeStatus::Pending
        | NodeStatus::Completed
        | NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensating
        | NodeStatus::Compensated => [None, None],
    }
}

fn after(since: Millis, ms: u64) -> Millis {
    since.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}
