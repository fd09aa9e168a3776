//! Failed attempts, however they were noticed: by report, by a lease that ran out, by a time-out. One rule decides
//! whether there is another execution; an `at_most_once` attempt with an unknown outcome never gets one by itself.

use crate::ids::Epoch;
use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::decide::retrying::{self, FailedNode, Judged};
use crate::job::fact::{AttemptFailure, FailureFact};
use crate::job::outcome::JobError;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::attempt::{AttemptError, AttemptRef};
use crate::node::hold::Hold;
use crate::node::status::NodeStatus;
use crate::payload::Hash;
use crate::retry::policy::{OnExhausted, RetryPolicy};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

/// How a failure was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noticed {
    /// The worker said so.
    Reported(Hash),
    /// The lease ran out: the outcome is unknown.
    LeaseExpired,
    /// It ran longer than it may: the outcome is unknown.
    AttemptTimeout,
}

pub(super) fn expire_lease(
    state: &JobState,
    node: u32,
    epoch: Epoch,
    context: &Context,
) -> JobDecision {
    let Some(found) = state.nodes.get(node as usize) else {
        return JobDecision::unchanged(Answer::Nothing);
    };
    if found.status != NodeStatus::Running || found.epoch != epoch {
        return JobDecision::unchanged(Answer::Nothing);
    }
    let error = AttemptError {
        error_type: "LeaseExpired".to_owned(),
        message: if epoch.is_void_in(context.incarnation) {
            "the store was restored: leases granted before are void".to_owned()
        } else {
            "the worker's heartbeats stopped".to_owned()
        },
        class: "heartbeat.missed".to_owned(),
        ..AttemptError::default()
    };
    fail(
        state,
        AttemptRef { node, attempt: found.attempt, epoch },
        error,
        Noticed::LeaseExpired,
        context,
    )
}

pub(super) fn fail(
    state: &JobState,
    attempt: AttemptRef,
    error: AttemptError,
    noticed: Noticed,
    context: &Context,
) -> JobDecision {
    let node = state.plan.node(attempt.node);
    let unknown = !matches!(noticed, Noticed::Reported(_));
    let mut draft = Draft::new(state, context);
    let goes_on = state.may_start(attempt.node);
    let once = unknown && node.at_most_once && goes_on;
    // Nobody can be asked any more in a job that ends: that of a cleanup is final.
    let hold = once && state.head.ending.is_none();
    let policy = state.plan.retry_of(node);
    let Judged { retry, why, exhausted } = if !goes_on {
        Judged::no_more("the job is ending")
    } else if once {
        Judged::no_more("the outcome is unknown and the node runs at most once")
    } else {
        judge(state, attempt, &policy, &error, context)
    };
    let pauses = exhausted && policy.on_exhausted == OnExhausted::Pause;
    let used_up = exhausted;
    let exhausted = pauses && state.head.ending.is_none();
    let to = match (retry, hold || exhausted) {
        (Some(_), _) => NodeStatus::Retrying,
        (None, true) => NodeStatus::Waiting,
        (None, false) => ended_as(state, attempt.node, &error, noticed),
    };
    let failure = Box::new(AttemptFailure {
        attempt,
        error,
        retry,
        verdict: why,
        report: if let Noticed::Reported(hash) = noticed { Some(hash) } else { None },
        outcome_unknown: hold,
        exhausted,
        used_up,
    });
    if retry.is_none() && to != NodeStatus::Waiting && to != NodeStatus::Cancelled {
        let error = JobError::of_attempt(&state.plan, attempt.node, &failure.error);
        draft.note_failure(attempt.node, &error);
    }
    if hold {
        draft.wait(attempt.node, Hold::OutcomeUnknown);
    } else if exhausted {
        draft.wait(attempt.node, Hold::Exhausted);
    } else {
        draft.move_node(attempt.node, to);
    }
    if to == NodeStatus::Waiting && state.head.status != JobStatus::Paused {
        draft.move_job(JobStatus::Paused);
    }
    let fact = match noticed {
        Noticed::Reported(_) => FailureFact::Failed(failure),
        Noticed::LeaseExpired => FailureFact::LeaseExpired(failure),
        Noticed::AttemptTimeout => FailureFact::AttemptTimedOut(failure),
    };
    let (event, payloads) = draft.into_event(fact, context, None);
    JobDecision { event: Some(event), payloads, answer: Answer::Recorded }
}

fn ended_as(state: &JobState, node: u32, error: &AttemptError, noticed: Noticed) -> NodeStatus {
    let ending = !state.may_start(node);
    match noticed {
        Noticed::Reported(_) if ending && error.class == "cancelled" => NodeStatus::Cancelled,
        Noticed::LeaseExpired if ending => NodeStatus::Cancelled,
        Noticed::AttemptTimeout => NodeStatus::Timeout,
        Noticed::Reported(_) | Noticed::LeaseExpired => NodeStatus::Failed,
    }
}

/// Whether there is another execution, when, and why.
fn judge(
    state: &JobState,
    attempt: AttemptRef,
    policy: &RetryPolicy,
    error: &AttemptError,
    context: &Context,
) -> Judged {
    let node = &state.nodes[attempt.node as usize];
    let failed = FailedNode {
        ix: attempt.node,
        node,
        executions: attempt.attempt.saturating_sub(node.base),
        idempotent: !state.plan.node(attempt.node).at_most_once,
    };
    retrying::judge(state, &failed, policy, error, context)
}
