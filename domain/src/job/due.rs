//! What of a job has a time: computed from the state, so that a load finds every timer again. Lease expiry is not
//! here: it is volatile, and the driver's.

use crate::ids::Millis;
use crate::job::outcome::EndingStage;
use crate::job::spec::Start;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// What of the job itself is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobDue {
    /// Its scheduled start.
    Start,
    Deadline,
    /// Running attempts are revoked.
    Revocation,
    /// Cleanups are given up.
    Cleanup,
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
    /// Running attempts of its members are revoked.
    Grace,
    /// The time is over for which it was given back.
    Delay,
}

/// The job's deadline: from entering queued, running on while paused.
pub fn deadline(state: &JobState) -> Option<Millis> {
    Some(after(state.head.queued_at?, state.head.timeout_ms?))
}

/// What has a time, the earliest of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Dues<K> {
    list: [Option<(K, Millis)>; DUES_MAX],
}

/// Kinds of dues that one thing can have at once.
const DUES_MAX: usize = 4;

impl<K: Copy + PartialEq> Dues<K> {
    fn none() -> Self {
        Self { list: [None; DUES_MAX] }
    }

    /// With this one, unless an earlier one of its kind is there.
    fn and(mut self, kind: K, at: Option<Millis>) -> Self {
        let Some(at) = at else { return self };
        let place = self.list.iter_mut().find(|due| due.is_none_or(|(known, _)| known == kind));
        debug_assert!(place.is_some(), "there are no more kinds than places");
        if let Some(due) = place {
            *due = Some(due.map_or((kind, at), |(kind, before)| (kind, before.min(at))));
        }
        self
    }

    /// The earliest of all; of two at one time the one that was named first.
    pub fn earliest(self) -> Option<(K, Millis)> {
        self.into_iter().min_by_key(|(_, at)| *at)
    }
}

impl<K> IntoIterator for Dues<K> {
    type Item = (K, Millis);
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<(K, Millis)>, DUES_MAX>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().flatten()
    }
}

/// What the job itself waits for.
pub fn job_dues(state: &JobState) -> Dues<JobDue> {
    let (head, dues) = (&state.head, Dues::none());
    if head.status.is_over() {
        return dues;
    }
    if let Some(ending) = head.ending {
        if head.stage == EndingStage::Cleaning {
            return dues.and(JobDue::Cleanup, Some(head.ending_until));
        }
        // A deadline takes the place of a weaker ending, while there is something left to end.
        let stronger = ending.ending_strength() < JobStatus::Timeout.ending_strength();
        return dues
            .and(
                JobDue::Revocation,
                Some(head.ending_until).filter(|_| head.stage == EndingStage::Stopping),
            )
            .and(JobDue::Deadline, deadline(state).filter(|_| stronger));
    }
    let start = (head.status == JobStatus::Pending && state.plan.start == Start::Auto)
        .then(|| head.scheduled_at.unwrap_or(head.created_at));
    dues.and(JobDue::Start, start).and(JobDue::Deadline, deadline(state))
}

/// When a node has taken too long in all: from its first ready, retries included.
pub(crate) fn total_deadline(state: &JobState, ix: u32) -> Option<Millis> {
    let node = state.nodes.get(ix as usize).filter(|node| node.first_ready > 0)?;
    let timeouts = state.plan.timeouts_of(state.plan.node(ix));
    timeouts.total_ms.map(|ms| after(node.first_ready, ms))
}

/// When nothing of this node may start any more: its total time, or the job's deadline, or the end of the cleanups.
pub(crate) fn last_time(state: &JobState, ix: u32) -> Option<Millis> {
    let job = match state.head.stage {
        EndingStage::Cleaning => Some(state.head.ending_until),
        EndingStage::Stopping | EndingStage::Output => deadline(state),
    };
    [total_deadline(state, ix), job].into_iter().flatten().min()
}

/// When a running attempt is over at the latest: by its own time-out, the node's total one, or the job's deadline.
pub fn attempt_deadline(state: &JobState, ix: u32) -> Option<Millis> {
    let node = state.nodes.get(ix as usize)?;
    let timeouts = state.plan.timeouts_of(state.plan.node(ix));
    let own = timeouts.attempt_ms.map(|ms| after(node.started, ms));
    [own, last_time(state, ix)].into_iter().flatten().min()
}

/// What a node waits for.
pub fn node_dues(state: &JobState, ix: u32) -> Dues<NodeDue> {
    let dues = Dues::none();
    let Some(node) = state.nodes.get(ix as usize) else { return dues };
    if let Some(ending) = state.groups.get(&ix).and_then(|group| group.ending)
        && node.status == NodeStatus::Waiting
    {
        return dues.and(NodeDue::Grace, Some(ending.until));
    }
    // An ending has its own time: what runs may go on until the grace is over, whatever its time-outs say.
    if !state.may_start(ix) {
        return dues;
    }
    let timeouts = state.plan.timeouts_of(state.plan.node(ix));
    let total = total_deadline(state, ix);
    match node.status {
        NodeStatus::Ready => {
            let since = node.since.max(state.head.resumed_at);
            let paused = state.head.status == JobStatus::Paused;
            let queue = timeouts.queue_ms.filter(|_| !paused).map(|ms| after(since, ms));
            dues.and(NodeDue::Queue, queue).and(NodeDue::Total, total)
        }
        // A running attempt is ended by its own time-out; the total one stops the next execution.
        NodeStatus::Running => dues
            .and(NodeDue::Attempt, timeouts.attempt_ms.map(|ms| after(node.started, ms)))
            .and(NodeDue::Attempt, total),
        NodeStatus::Retrying => dues.and(NodeDue::Retry, Some(node.due)).and(NodeDue::Total, total),
        NodeStatus::Waiting if node.hold == Some(Hold::Members) => dues
            .and(NodeDue::Attempt, timeouts.attempt_ms.map(|ms| after(node.started, ms)))
            .and(NodeDue::Total, total),
        NodeStatus::Waiting if node.hold == Some(Hold::Delay) => {
            dues.and(NodeDue::Delay, Some(node.due)).and(NodeDue::Total, total)
        }
        NodeStatus::Waiting => dues.and(NodeDue::Total, total),
        NodeStatus::Pending
        | NodeStatus::Completed
        | NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensating
        | NodeStatus::Compensated => dues,
    }
}

fn after(since: Millis, ms: u64) -> Millis {
    since.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}
