//! Changing what people may change. A patch that changes nothing writes nothing.

use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::fact::{Patch, SteeringFact};
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn patch(
    state: &JobState,
    patch: &Patch,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    let patch = &trimmed(patch);
    let started = state.head.started_at.is_some() || state.head.status.is_over();
    // A job that has left pending has started as far as its schedule goes: another time would change nothing.
    if state.head.status != JobStatus::Pending && patch.scheduled_at.is_some() {
        return Err(Refusal::AlreadyStarted { field: "scheduled_at".into() });
    }
    if started && patch.timeout_ms.is_some() {
        return Err(Refusal::AlreadyStarted { field: "timeout_ms".into() });
    }
    let about = &state.head.about;
    let changes = patch.name.as_ref().is_some_and(|name| *name != about.name)
        || patch.description.as_ref().is_some_and(|description| *description != about.description)
        || patch.tags.as_ref().is_some_and(|tags| *tags != about.tags)
        || patch.priority.is_some_and(|priority| priority != about.priority)
        || patch.metadata.as_ref().is_some_and(|metadata| *metadata != about.metadata)
        || patch.scheduled_at.is_some_and(|at| at != state.head.scheduled_at)
        || patch.timeout_ms.is_some_and(|ms| ms != state.head.timeout_ms);
    if !changes && context.command.is_none() {
        return Ok(JobDecision::unchanged(Answer::Done { seq: state.head.seq }));
    }
    let fact = SteeringFact::Patched(Box::new(patch.clone()));
    Ok(Draft::new(state, context).into_decision(fact, context, None))
}

/// Tags are kept as they were checked: without blanks around them.
fn trimmed(patch: &Patch) -> Patch {
    let tags = patch.tags.as_ref();
    let tags = tags.map(|tags| tags.iter().map(|tag| tag.trim().to_owned()).collect());
    Patch { tags, ..patch.clone() }
}
