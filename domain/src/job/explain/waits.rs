//! The waits of a job and of one node: the job's own, then its nodes', alike ones together.
//! Always holds: a node stands in one wait at most, and one that is not settled in one exactly while its job offers work.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Millis, QueueName};
use crate::job::due::{self, JobDue, NodeDue};
use crate::job::explain::{NODES_NAMED_MAX, Turn, Wait, WaitCode, words};
use crate::job::outcome::EndingStage;
use crate::job::spec::Start;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;

/// Of a job that is not over.
pub(super) fn of_job(state: &JobState, turn: Option<&Turn>) -> Vec<Wait> {
    let mut waits: Vec<Wait> = own(state, turn).into_iter().collect();
    let blocked = state.blocked_by();
    let mut alike = Alike::new(state);
    for ix in (0_u32..).take(state.nodes.len()) {
        alike.add(ix, &blocked);
    }
    waits.extend(alike.into_waits());
    waits
}

/// Of a node that has not settled, in a job that is not over: the job's own, the node's, and those of the nodes that it
/// waits for, however far before it.
pub(super) fn of_node(state: &JobState, ix: u32, turn: Option<&Turn>) -> Vec<Wait> {
    let mut waits: Vec<Wait> = own(state, turn).into_iter().collect();
    let blocked = state.blocked_by();
    let mut this = Alike::new(state);
    let code = this.add(ix, &blocked);
    waits.extend(this.into_waits().into_iter().map(|mut wait| {
        let before = match wait.code {
            WaitCode::Parents => unsettled_parents(state, ix),
            WaitCode::Group => state.plan.container(ix).into_iter().collect(),
            WaitCode::Members => unsettled_members(state, ix),
            WaitCode::Blocked => blocked[ix as usize].clone(),
            WaitCode::Unreadable
            | WaitCode::ScheduledStart
            | WaitCode::ManualStart
            | WaitCode::Grant
            | WaitCode::Paused
            | WaitCode::Ending
            | WaitCode::OutcomeUnknown
            | WaitCode::Exhausted
            | WaitCode::Attempt
            | WaitCode::Worker
            | WaitCode::Retry
            | WaitCode::Evaluating
            | WaitCode::Cleanup
            | WaitCode::Delay
            | WaitCode::Place => Vec::new(),
        };
        wait.waits_for_count = before.len();
        wait.waits_for = before.into_iter().take(NODES_NAMED_MAX).collect();
        wait.message = words::wait(state, &wait);
        wait
    }));
    if matches!(code, Some(WaitCode::Parents | WaitCode::Group | WaitCode::Members)) {
        let mut before = Alike::new(state);
        for ancestor in unsettled_before(state, ix) {
            // Those that wait themselves for others say nothing new.
            let again = kind(state, ancestor, &blocked);
            let others = [WaitCode::Parents, WaitCode::Group, WaitCode::Members];
            if again.is_some_and(|(code, ..)| !others.contains(&code)) {
                before.add(ancestor, &blocked);
            }
        }
        waits.extend(before.into_waits());
    }
    waits
}

fn unsettled_parents(state: &JobState, ix: u32) -> Vec<u32> {
    let parents = state.plan.parents(ix);
    parents.filter(|parent| !state.nodes[*parent as usize].status.is_settled()).collect()
}

fn unsettled_members(state: &JobState, ix: u32) -> Vec<u32> {
    let Some(group) = state.groups.get(&ix) else { return Vec::new() };
    let members = group.members(&state.plan, ix);
    members.filter(|member| !state.nodes[*member as usize].status.is_settled()).collect()
}

/// The nodes that have to end, or to start, before a node goes on: its parents, those of its group, its members.
fn before(state: &JobState, ix: u32) -> Vec<u32> {
    let mut before = unsettled_parents(state, ix);
    before.extend(state.plan.container(ix).filter(|group| !state.groups.contains_key(group)));
    before.extend(unsettled_members(state, ix));
    before
}

/// All that comes before a node and has not settled, by position.
fn unsettled_before(state: &JobState, ix: u32) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut open = vec![ix];
    while let Some(here) = open.pop() {
        open.extend(before(state, here).into_iter().filter(|other| seen.insert(*other)));
    }
    seen
}

/// What the job as a whole waits for, whatever its nodes do.
fn own(state: &JobState, turn: Option<&Turn>) -> Option<Wait> {
    let head = &state.head;
    let turned = turn.map_or(head.updated_at, |turn| turn.at);
    let deadline = due::deadline(state);
    let (code, since, wakes_at, times_out_at) = match head.status {
        _ if head.ending.is_some() => {
            let until = match due::job_dues(state).earliest() {
                Some((JobDue::Deadline, at)) => Some(at),
                Some((JobDue::Start | JobDue::Revocation | JobDue::Cleanup, _)) | None => None,
            };
            match head.stage {
                EndingStage::Output => (WaitCode::Evaluating, turned, None, until),
                EndingStage::Stopping | EndingStage::Cleaning => {
                    (WaitCode::Ending, turned, Some(head.ending_until), until)
                }
            }
        }
        JobStatus::Pending if state.plan.start == Start::Manual => {
            (WaitCode::ManualStart, head.created_at, None, None)
        }
        JobStatus::Pending => {
            let at = head.scheduled_at.unwrap_or(head.created_at);
            (WaitCode::ScheduledStart, head.created_at, Some(at), None)
        }
        JobStatus::Queued => (WaitCode::Grant, head.queued_at.unwrap_or(turned), None, deadline),
        JobStatus::Paused => (WaitCode::Paused, turned, None, deadline),
        // The last four: nothing leads there yet, or they are over.
        JobStatus::Scheduled
        | JobStatus::Running
        | JobStatus::Retrying
        | JobStatus::Recovering
        | JobStatus::Completed
        | JobStatus::Failed
        | JobStatus::Timeout
        | JobStatus::Cancelled
        | JobStatus::Aborted => return None,
    };
    // Cleanups that run have waits of their own.
    let ending = code == WaitCode::Ending && head.stage == EndingStage::Stopping;
    let running = |ix: &u32| ending && state.nodes[*ix as usize].status == NodeStatus::Running;
    let nodes = (0_u32..).take(state.nodes.len()).filter(running);
    let mut wait = Wait {
        wakes_at,
        times_out_at,
        nodes: nodes.clone().take(NODES_NAMED_MAX).collect(),
        node_count: nodes.count(),
        ..Wait::of(code, since)
    };
    wait.message = words::own(state, &wait, turn);
    Some(wait)
}

/// What one node waits for: why, when that ends by itself, when it is given up. None: its job as a whole says it all.
fn kind(
    state: &JobState,
    ix: u32,
    blocked: &[Vec<u32>],
) -> Option<(WaitCode, Option<Millis>, Option<Millis>)> {
    let head = &state.head;
    let admitted = head.scheduled_since.is_some();
    let held = state.nodes[ix as usize].marks.queued;
    let node = &state.nodes[ix as usize];
    let cleanup = state.plan.node(ix).cleanup().is_some();
    // What an ending holds back is the job's to say; of the nodes only cleanups go on.
    if !admitted || (head.ending.is_some() && !(cleanup && head.lets_start(cleanup))) {
        return None;
    }
    let starts = state.plan.container(ix).is_none_or(|group| state.groups.contains_key(&group));
    let code = match node.status {
        // A paused job offers nothing.
        NodeStatus::Ready if state.offers_work() => WaitCode::Worker,
        NodeStatus::Running => WaitCode::Attempt,
        NodeStatus::Retrying => WaitCode::Retry,
        NodeStatus::Waiting if node.hold == Some(Hold::OutcomeUnknown) => WaitCode::OutcomeUnknown,
        NodeStatus::Waiting if node.hold == Some(Hold::Exhausted) => WaitCode::Exhausted,
        NodeStatus::Waiting if node.hold == Some(Hold::Evaluating) => WaitCode::Evaluating,
        NodeStatus::Waiting if node.hold == Some(Hold::Members) => WaitCode::Members,
        NodeStatus::Waiting if node.hold == Some(Hold::Delay) => WaitCode::Delay,
        NodeStatus::Waiting => WaitCode::Place,
        NodeStatus::Pending if cleanup && head.ending.is_none() => WaitCode::Cleanup,
        NodeStatus::Pending if !starts => WaitCode::Group,
        NodeStatus::Pending if held => WaitCode::Place,
        NodeStatus::Pending if !blocked[ix as usize].is_empty() => WaitCode::Blocked,
        NodeStatus::Pending => WaitCode::Parents,
        NodeStatus::Ready
        | NodeStatus::Completed
        | NodeStatus::Failed
        | NodeStatus::Timeout
        | NodeStatus::Skipped
        | NodeStatus::Cancelled
        | NodeStatus::Compensating
        | NodeStatus::Compensated => return None,
    };
    let dues = due::node_dues(state, ix).into_iter();
    let (wakes, ends): (Vec<_>, Vec<_>) =
        dues.partition(|(what, _)| matches!(what, NodeDue::Retry | NodeDue::Delay));
    let first = |dues: Vec<(NodeDue, Millis)>| dues.into_iter().map(|(_, at)| at).min();
    Some((code, first(wakes), first(ends)))
}

/// Waits of the same kind together: those for workers by queue.
struct Alike<'a> {
    state: &'a JobState,
    found: BTreeMap<(WaitCode, Option<QueueName>), Wait>,
}

impl<'a> Alike<'a> {
    fn new(state: &'a JobState) -> Self {
        Self { state, found: BTreeMap::new() }
    }

    /// Adds what a node waits for, if it is not the job as a whole. Answers why.
    fn add(&mut self, ix: u32, blocked: &[Vec<u32>]) -> Option<WaitCode> {
        let (code, wakes_at, times_out_at) = kind(self.state, ix, blocked)?;
        let since = self.state.nodes[ix as usize].since;
        let queue = (code == WaitCode::Worker).then(|| self.state.plan.node(ix).queue.clone());
        let wait = self.found.entry((code, queue.clone())).or_insert_with(|| Wait {
            wakes_at,
            times_out_at,
            queue,
            ..Wait::of(code, since)
        });
        wait.since = wait.since.min(since);
        wait.wakes_at = sooner(wait.wakes_at, wakes_at);
        wait.times_out_at = sooner(wait.times_out_at, times_out_at);
        wait.node_count += 1;
        if wait.nodes.len() < NODES_NAMED_MAX {
            wait.nodes.push(ix);
        }
        Some(code)
    }

    fn into_waits(self) -> Vec<Wait> {
        let state = self.state;
        let told = self.found.into_values().map(|wait| {
            let message = words::wait(state, &wait);
            Wait { message, ..wait }
        });
        told.collect()
    }
}

fn sooner(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
