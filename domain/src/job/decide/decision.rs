//! What a command comes to: an event and an answer, or the refusal of something that the job's state does not allow.

use crate::job::event::JobEvent;
use crate::job::state::JobState;
use crate::job::status::JobStatus;
use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::decision::Decision;

/// What a command to a job comes to.
pub type JobDecision = Decision<JobEvent>;

impl JobDecision {
    /// An event that the command led to.
    pub(super) fn done(state: &JobState, event: JobEvent) -> Self {
        Self {
            event: Some(event),
            payloads: Vec::new(),
            answer: Answer::Done { seq: state.head.seq + 1 },
        }
    }
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
