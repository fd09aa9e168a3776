//! How jobs end: by request, by deadline, by the first failure, or settled. An ending gives way only to a stronger one.

use crate::job::decide::decision::{JobDecision, wrong_state};
use crate::job::decide::draft::Draft;
use crate::job::fact::{EndingFact, FlowFact};
use crate::job::outcome::EndingCause;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::status::NodeStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

/// Cancel is recorded at once. Asked again it changes nothing.
pub(super) fn cancel(
    state: &JobState,
    reason: Option<&str>,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    let status = state.head.status;
    if status == JobStatus::Cancelled || state.head.ending == Some(JobStatus::Cancelled) {
        return Ok(JobDecision::unchanged(Answer::Done { seq: state.head.seq }));
    }
    let weaker = state
        .head
        .ending
        .is_none_or(|to| to.ending_strength() < JobStatus::Cancelled.ending_strength());
    if !status.may_become(JobStatus::Cancelled) || !weaker {
        return Err(wrong_state(state, "cancelled", JobStatus::sources_of(JobStatus::Cancelled)));
    }
    let mut draft = Draft::new(state, context);
    draft.decide_ending(JobStatus::Cancelled);
    let fact = EndingFact::EndingDecided { why: EndingCause::Requested };
    Ok(draft.into_decision(fact, context, reason))
}

/// The job's deadline has passed.
pub(super) fn deadline_passed(state: &JobState, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    draft.decide_ending(JobStatus::Timeout);
    let fact = EndingFact::EndingDecided { why: EndingCause::Deadline };
    draft.into_decision(fact, context, None)
}

/// The grace is over: what still runs is revoked, its outcome unknown.
pub(super) fn revoke(state: &JobState, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    for ix in (0u32..).take(state.nodes.len()) {
        if draft.node_status(ix) == NodeStatus::Running {
            draft.move_node_alone(ix, NodeStatus::Cancelled);
        }
    }
    draft.into_decision(EndingFact::Revoked, context, None)
}

/// The grace of groups that end is over: what still runs in them is revoked, its outcome unknown.
pub(super) fn revoke_groups(state: &JobState, groups: &[u32], context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    for group in groups {
        draft.revoke_group(*group);
    }
    draft.into_decision(FlowFact::GroupsRevoked, context, None)
}

/// The time for cleanups is over: what has not settled is timed out.
pub(super) fn cleanup_timed_out(state: &JobState, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    for ix in (0..state.plan.initial).filter(|ix| state.plan.node(*ix).cleanup().is_some()) {
        let status = draft.node_status(ix);
        if status.may_become(NodeStatus::Timeout) {
            draft.move_node_alone(ix, NodeStatus::Timeout);
        } else if !status.is_settled() {
            draft.move_node_alone(ix, NodeStatus::Cancelled);
        }
    }
    draft.into_decision(EndingFact::CleanupTimedOut, context, None)
}
