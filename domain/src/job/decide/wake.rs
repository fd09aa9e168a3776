//! What is due: one kind of thing a decision, the most important first; the caller asks again until nothing is.
//! Reports and heartbeats were heard before: an engine expires nothing that a message at hand would have saved.

use crate::ids::Millis;
use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::decide::failure::{self, Noticed};
use crate::job::decide::{admission, ending};
use crate::job::due::{self, NodeDue};
use crate::job::fact::{AttemptFact, FailureFact, JobFact};
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::attempt::{AttemptError, AttemptRef};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn wake(state: &JobState, nodes: &[u32], context: &Context) -> JobDecision {
    let now = context.now;
    match due::job_dues(state).earliest() {
        Some((due::JobDue::Revocation, at)) if at <= now => return ending::revoke(state, context),
        Some((due::JobDue::Deadline, at)) if at <= now => {
            return ending::deadline_passed(state, context);
        }
        Some((due::JobDue::Cleanup, at)) if at <= now => {
            return ending::cleanup_timed_out(state, context);
        }
        Some((due::JobDue::Start, at)) if at <= now => return admission::started(state, context),
        // Not yet.
        Some((
            due::JobDue::Revocation
            | due::JobDue::Deadline
            | due::JobDue::Cleanup
            | due::JobDue::Start,
            _,
        ))
        | None => {}
    }
    let over: Vec<u32> =
        nodes.iter().copied().filter(|ix| is_due(state, *ix, NodeDue::Grace, now)).collect();
    if !over.is_empty() {
        return ending::revoke_groups(state, &over, context);
    }
    if let Some(node) = nodes.iter().find(|ix| is_due(state, **ix, NodeDue::Attempt, now)) {
        return attempt_timed_out(state, *node, context);
    }
    for (kind, class) in [(NodeDue::Total, "timeout.total"), (NodeDue::Queue, "timeout.queue")] {
        let late: Vec<u32> =
            nodes.iter().copied().filter(|ix| is_due(state, *ix, kind, now)).collect();
        if !late.is_empty() {
            return timed_out(state, &late, class, context);
        }
    }
    let waits: [(NodeDue, JobFact); 2] = [
        (NodeDue::Retry, FailureFact::RetriesDue.into()),
        (NodeDue::Delay, AttemptFact::DelaysOver.into()),
    ];
    for (kind, fact) in waits {
        let due: Vec<u32> =
            nodes.iter().copied().filter(|ix| is_due(state, *ix, kind, now)).collect();
        if !due.is_empty() {
            return waits_over(state, &due, fact, context);
        }
    }
    JobDecision::unchanged(Answer::Nothing)
}

fn is_due(state: &JobState, ix: u32, kind: NodeDue, now: Millis) -> bool {
    due::node_dues(state, ix).into_iter().any(|(found, at)| found == kind && at <= now)
}

fn attempt_timed_out(state: &JobState, ix: u32, context: &Context) -> JobDecision {
    let node = &state.nodes[ix as usize];
    if node.hold == Some(Hold::Members) {
        return timed_out(state, &[ix], "timeout.attempt", context);
    }
    let (error_type, class, message) =
        if due::total_deadline(state, ix).is_some_and(|at| at <= context.now) {
            ("TotalTimeout", "timeout.total", "the node took longer than it may, retries included")
        } else {
            ("AttemptTimeout", "timeout.attempt", "the attempt ran longer than it may")
        };
    let error = AttemptError {
        error_type: error_type.to_owned(),
        message: message.to_owned(),
        class: class.to_owned(),
        ..AttemptError::default()
    };
    let attempt = AttemptRef { node: ix, attempt: node.attempt, epoch: node.epoch };
    failure::fail(state, attempt, error, Noticed::AttemptTimeout, context)
}

/// Queue and total time-outs are final for the node.
fn timed_out(state: &JobState, nodes: &[u32], class: &str, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    for ix in nodes {
        // The end of a group around it may have ended it within this very event.
        if draft.node_status(*ix).may_become(NodeStatus::Timeout) && draft.may_start(*ix) {
            if state.nodes[*ix as usize].hold == Some(Hold::Members) {
                draft.end_group(*ix, NodeStatus::Timeout);
            } else {
                draft.move_node(*ix, NodeStatus::Timeout);
            }
        }
    }
    draft.note_time_out(nodes, class);
    let fact = FailureFact::NodesTimedOut { class: class.to_owned() };
    draft.into_decision(fact, context, None)
}

/// They could start, and want a place.
fn waits_over(state: &JobState, nodes: &[u32], fact: JobFact, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    for ix in nodes {
        // What was evaluated for it may have gone with a change of its input.
        if state.plan.changed(*ix).is_some() {
            draft.prepare(*ix);
        } else {
            draft.want_place(*ix);
        }
    }
    debug_assert!(state.head.status != JobStatus::Pending, "nothing waits before it started");
    draft.into_decision(fact, context, None)
}
