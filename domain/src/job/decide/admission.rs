//! Starting a pending job, and taking the environment's grant.

use crate::job::decide::decision::{JobDecision, wrong_state};
use crate::job::decide::draft::Draft;
use crate::job::decide::submit::{admit, enqueue};
use crate::job::fact::AdmissionFact;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn start(state: &JobState, context: &Context) -> Result<JobDecision, Refusal> {
    if state.head.status != JobStatus::Pending {
        return Err(wrong_state(state, "started", vec![JobStatus::Pending]));
    }
    Ok(started(state, context))
}

/// The start condition is met.
pub(super) fn started(state: &JobState, context: &Context) -> JobDecision {
    let mut draft = Draft::new(state, context);
    enqueue(&mut draft);
    draft.into_decision(AdmissionFact::Started, context, None)
}

/// Takes the grant, or declines it (`Nothing`) when the job does not wait for one any more. A job that may wait again
/// (it is paused) says so in its stream: the offer may come once more, late, when the grant has long been freed.
pub(super) fn take_grant(state: &JobState, number: u64, context: &Context) -> JobDecision {
    if state.head.grant == Some(number) && !state.head.status.is_over() {
        return JobDecision::unchanged(Answer::Done { seq: state.head.seq });
    }
    let over = state.head.status.is_over();
    if over || state.head.grant.is_some() || number <= state.head.declined {
        return JobDecision::unchanged(Answer::Nothing);
    }
    if state.head.status != JobStatus::Queued {
        let fact =
            AdmissionFact::GrantDeclined { environment: state.plan.environment.clone(), number };
        let decision = Draft::new(state, context).into_decision(fact, context, None);
        return JobDecision { answer: Answer::Nothing, ..decision };
    }
    let mut draft = Draft::new(state, context);
    admit(&mut draft);
    let fact = AdmissionFact::Granted { environment: state.plan.environment.clone(), number };
    draft.into_decision(fact, context, None)
}
