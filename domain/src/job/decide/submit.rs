//! Making a job: it is stored as pending and goes as far as it can in the same event.

use std::sync::Arc;

use crate::ids::EnvironmentName;
use crate::job::command::Submission;
use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::event::JobEvent;
use crate::job::fact::{AdmissionFact, Submitted};
use crate::job::spec::Start;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::envelope::Envelope;

pub(super) fn submit(submission: &Submission, context: &Context) -> JobDecision {
    let spec = &submission.spec;
    let fact = AdmissionFact::Submitted(Box::new(Submitted {
        id: submission.id,
        namespace: submission.namespace.clone(),
        about: spec.about.clone(),
        plan: Arc::clone(&spec.plan),
        scheduled_at: spec.scheduled_at,
        timeout_ms: spec.timeout_ms,
        trace_id: submission.trace_id.clone(),
    }));
    let bare = JobEvent::bare(Envelope::of(context, context.now, None), fact.into());
    // The first event always makes a state; without one there is nothing to decide on.
    let Some(blank) = JobState::create(&bare) else {
        return JobDecision::unchanged(Answer::Nothing);
    };
    let mut draft = Draft::new(&blank, context);
    if spec.plan.start == Start::Auto && spec.scheduled_at.is_none_or(|at| at <= context.now) {
        enqueue(&mut draft);
    }
    let (event, mut payloads) = draft.into_event(bare.fact, context, None);
    payloads.extend(spec.payloads.iter().cloned());
    JobDecision { event: Some(event), payloads, answer: Answer::Done { seq: 1 } }
}

/// A submission for a job that exists. Without a caller's key the id was minted for this very command: it comes again.
pub(super) fn repeated(_state: &JobState, context: &Context) -> Result<JobDecision, Refusal> {
    match &context.command {
        None => Ok(JobDecision::unchanged(Answer::Replayed { seq: 1 })),
        Some(_) => Err(Refusal::IdempotencyKeyReused),
    }
}

/// Pending to queued, and on at once where nobody has to be asked.
pub(super) fn enqueue(draft: &mut Draft<'_>) {
    draft.move_job(JobStatus::Queued);
    if draft.state.plan.environment == EnvironmentName::default_environment() {
        admit(draft);
    }
}

/// Queued to scheduled: the roots are offered.
pub(super) fn admit(draft: &mut Draft<'_>) {
    draft.move_job(JobStatus::Scheduled);
    draft.start_roots();
}
