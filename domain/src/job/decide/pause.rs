//! Pausing and resuming. A paused job starts nothing new; what runs may finish and is recorded. Resuming lets nodes
//! whose outcome is unknown, or whose executions are used up, run again: whoever resumes says that they may.

use crate::job::decide::decision::{JobDecision, wrong_state};
use crate::job::decide::draft::Draft;
use crate::job::fact::SteeringFact;
use crate::job::outcome::PauseCause;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::node::hold::Hold;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn pause(
    state: &JobState,
    reason: Option<&str>,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    if state.head.ending.is_some()
        || !(state.head.status.may_become(JobStatus::Paused) || is_paused(state))
    {
        return Err(wrong_state(state, "paused", JobStatus::sources_of(JobStatus::Paused)));
    }
    if is_paused(state) {
        return Ok(JobDecision::unchanged(Answer::Done { seq: state.head.seq }));
    }
    let mut draft = Draft::new(state, context);
    draft.move_job(JobStatus::Paused);
    let fact = SteeringFact::Paused { why: PauseCause::Requested };
    Ok(draft.into_decision(fact, context, reason))
}

pub(super) fn resume(
    state: &JobState,
    reason: Option<&str>,
    context: &Context,
) -> Result<JobDecision, Refusal> {
    let (true, None, Some(back)) = (is_paused(state), state.head.ending, state.head.paused_from)
    else {
        return Err(wrong_state(state, "resumed", vec![JobStatus::Paused]));
    };
    let mut draft = Draft::new(state, context);
    draft.move_job(back);
    for ix in (0u32..).take(state.nodes.len()) {
        let hold = state.nodes[ix as usize].hold;
        if [Some(Hold::OutcomeUnknown), Some(Hold::Exhausted)].contains(&hold) {
            draft.want_place(ix);
        }
    }
    Ok(draft.into_decision(SteeringFact::Resumed, context, reason))
}

fn is_paused(state: &JobState) -> bool {
    state.head.status == JobStatus::Paused
}
