//! Letting go of a job by retention, and what is said of one that is gone: late repeats of its submission get their
//! first answer, nothing else happens to it any more.

use std::sync::Arc;

use crate::ids::Millis;
use crate::job::command::JobCommand;
use crate::job::decide::decision::{JobDecision, wrong_state};
use crate::job::event::JobEvent;
use crate::job::fact::EndingFact;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::{Answer, FirstAnswer};
use crate::subject::context::Context;
use crate::subject::envelope::{CommandMark, Envelope};

/// Only what is over, and has not changed since it was chosen: somebody may have taken it up again.
pub(super) fn delete(
    state: &JobState,
    unchanged_since: Millis,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    if !state.head.status.is_over() {
        let over = JobStatus::ALL.into_iter().filter(|status| status.is_over());
        return Err(wrong_state(state, "deleted", over.collect()));
    }
    if state.head.updated_at > unchanged_since {
        return Ok(JobDecision::unchanged(Answer::Nothing));
    }
    let event = JobEvent::bare(
        Envelope::of(context, context.now, Some("retention")),
        EndingFact::Deleted.into(),
    );
    Ok(JobDecision::done(state, event))
}

/// What a deleted job answers to anything but its submission.
pub(super) fn refused(command: &JobCommand) -> Result<Answer, Refusal> {
    match command {
        JobCommand::Report(_) => Err(Refusal::LeaseLost),
        JobCommand::Lease(_)
        | JobCommand::ExpireLease { .. }
        | JobCommand::Wake { .. }
        | JobCommand::Evaluated(_)
        | JobCommand::Delete { .. }
        | JobCommand::TakeGrant { .. } => Ok(Answer::Nothing),
        JobCommand::Submit(_)
        | JobCommand::Start
        | JobCommand::Pause { .. }
        | JobCommand::Resume { .. }
        | JobCommand::Cancel { .. }
        | JobCommand::Patch(_)
        | JobCommand::PatchNode { .. } => Err(Refusal::JobDeleted),
    }
}

/// Decides a command on a job of which only the tombstone is left.
///
/// # Errors
/// `JobDeleted`, or that its key comes with another body.
pub fn after_deletion(
    first: &Arc<FirstAnswer>,
    command: &JobCommand,
    mark: Option<&CommandMark>,
) -> Result<Answer, Refusal> {
    let JobCommand::Submit(_) = command else { return refused(command) };
    match (mark, &first.command) {
        (Some(mark), Some(before)) if mark.id == before.id && mark.body == before.body => {
            Ok(Answer::AsFirst(Arc::clone(first)))
        }
        // Without a key the id was minted for this very submission.
        (None, None) => Ok(Answer::AsFirst(Arc::clone(first))),
        (Some(_) | None, _) => Err(Refusal::IdempotencyKeyReused),
    }
}
