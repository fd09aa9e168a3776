//! The rules of a job: a state and a command give an event and an answer, or a refusal. One file a verb; `draft`
//! collects the transitions and what follows from them. Nothing here reads a clock, draws or changes a state.

mod admission;
mod decision;
mod deletion;
mod draft;
mod ending;
mod evaluated;
mod failure;
mod heard;
mod lease;
mod node_patch;
mod patch;
mod pause;
mod report;
mod retrying;
mod submit;
mod wake;

use crate::job::command::JobCommand;
use crate::job::state::JobState;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::remembered::{answered_before, may_remember};

pub use self::decision::JobDecision;
pub use self::deletion::after_deletion;

/// Decides the first command of a stream that does not exist.
pub fn create(command: &JobCommand, context: &Context) -> Result<JobDecision, Refusal> {
    match command {
        JobCommand::Submit(submission) => Ok(submit::submit(submission, context)),
        JobCommand::Lease(_)
        | JobCommand::ExpireLease { .. }
        | JobCommand::Wake { .. }
        | JobCommand::Evaluated(_) => Ok(JobDecision::unchanged(Answer::Nothing)),
        JobCommand::Report(_) => Err(Refusal::LeaseLost),
        JobCommand::Start
        | JobCommand::Pause { .. }
        | JobCommand::Resume { .. }
        | JobCommand::Cancel { .. }
        | JobCommand::Patch(_)
        | JobCommand::PatchNode { .. }
        | JobCommand::Delete { .. }
        | JobCommand::TakeGrant { .. } => Err(Refusal::JobNotFound),
    }
}

/// Decides a command on a job.
pub fn decide(
    state: &JobState,
    command: &JobCommand,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    if state.head.deleted && !matches!(command, JobCommand::Submit(_)) {
        return deletion::refused(command).map(JobDecision::unchanged);
    }
    if let Some(seq) = answered_before(&state.commands, context)? {
        return Ok(JobDecision::unchanged(Answer::Replayed { seq }));
    }
    // An event is never older than the one before it, whichever engine's clock it was decided on.
    let later;
    let context = if context.now < state.head.newest_at {
        later = Context { now: state.head.newest_at, ..context.clone() };
        &later
    } else {
        context
    };
    if !matches!(command, JobCommand::Submit(_)) {
        context.expects(state.head.seq)?;
    }
    // A cancel is always taken: it is the last thing that a job is told.
    if !matches!(command, JobCommand::Submit(_) | JobCommand::Cancel { .. }) {
        may_remember(&state.commands, context, &state.namespace)?;
    }
    decide_newly(state, command, context).map(|decision| heard::carried(state, decision, context))
}

/// Decides a command that was not decided before, on a job that is there.
fn decide_newly(
    state: &JobState,
    command: &JobCommand,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    match command {
        JobCommand::Submit(_) => submit::repeated(state, context),
        JobCommand::Start => admission::start(state, context),
        JobCommand::Pause { reason } => pause::pause(state, reason.as_deref(), context),
        JobCommand::Resume { reason } => pause::resume(state, reason.as_deref(), context),
        JobCommand::Cancel { reason } => ending::cancel(state, reason.as_deref(), context),
        JobCommand::Patch(patch) => patch::patch(state, patch, context),
        JobCommand::PatchNode { node, patch, reason } => {
            node_patch::repair(state, node, patch, reason.as_deref(), context)
        }
        JobCommand::TakeGrant { number } => Ok(admission::take_grant(state, *number, context)),
        JobCommand::Lease(order) => Ok(lease::lease(state, order, context)),
        JobCommand::Report(report) => report::report(state, report, context),
        JobCommand::ExpireLease { node, epoch } => {
            Ok(failure::expire_lease(state, *node, *epoch, context))
        }
        JobCommand::Delete { unchanged_since } => {
            deletion::delete(state, *unchanged_since, context)
        }
        JobCommand::Wake { nodes } => Ok(wake::wake(state, nodes, context)),
        JobCommand::Evaluated(results) => Ok(evaluated::evaluated(state, results, context)),
    }
}
