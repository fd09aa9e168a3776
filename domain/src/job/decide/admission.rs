//! Starting a pending job, and taking the environment's grant.

use crate::job::decide::Decision;
use crate::job::decide::draft::Draft;
use crate::job::decide::submit::{admit, enqueue};
use crate::job::fact::AdmissionFact;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn start(state: &JobState, context: &Context) -> Result<Decision, Refusal> {
    if state.head.status != JobStatus::Pending {
        return Err(wrong_state(state, "started", vec![JobStatus::Pending]));
    }
    Ok(started(state, context))
}

/// The start condition is met.
pub(super) fn started(state: &JobState, context: &Context) -> Decision {
    let mut draft = Draft::new(state, context.now);
    enqueue(&mut draft);
    let (event, _) = draft.into_event(AdmissionFact::Started, context, None);
    Decision::done(state, event)
}

/// Takes the grant, or declines it (`Nothing`) when the job does not wait for one any more. A job that may wait again
/// (it is paused) says so in its stream: the offer may come once more, late, when the grant has long been freed.
pub(super) fn take_grant(state: &JobState, number: u64, context: &Context) -> Decision {
    if state.head.grant == Some(number) && !state.head.status.is_over() {
        return Decision::unchanged(Answer::Done { seq: state.head.seq });
    }
    let over = state.head.status.is_over();
    if over || state.head.grant.is_some() || number <= state.head.declined {
        return Decision::unchanged(Answer::Nothing);
    }
    if state.head.status != JobStatus::Queued {
        let fact =
            AdmissionFact::GrantDeclined { environment: state.plan.environment.clone(), number };
        let (event, _) = Draft::new(state, context.now).into_event(fact, context, None);
        return Decision { answer: Answer::Nothing, ..Decision::done(state, event) };
    }
    let mut draft = Draft::new(state, context.now);
    admit(&mut draft);
    let fact = AdmissionFact::Granted { environment: state.plan.environment.clone(), number };
    let (event, _) = draft.into_event(fact, context, None);
    Decision::done(state, event)
}

/// The refusal of something that the job's state does not allow.
pub(super) fn wrong_state(
    state: &JobState,
    attempted: &'static str,
    allowed: Vec<JobStatus>,
) -> Refusal {
    Refusal::JobState {
        job: state.id,
        current: state.head.status,
        ending: state.head.ending,
        attempted: attempted.into(),
        allowed,
    }
}
