//! A request is decided once, wherever it is decided: at the driver, or here after its silence. Each request of a client
//! carries a correlation of its own, which its event names. Submissions and reports are known again by other means
//! (`ends`, `facts`), and letting go of a job twice is letting go of it.
//! Always holds: an answer to a request that is in the stream names its event, and is never a no.

use domain::ids::{CorrelationId, Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use orrery::engine::core::kinds::EntityEvent;
use orrery::engine::core::message::Response;

use super::Checker;
use super::job::JobStory;
use crate::simulation::calls::{Asked, Call};

/// Ids that engines mint are remembered for so long, by the times of the events.
const MINTED_KEPT_MS: Millis = 10 * 60 * 1_000;

impl Checker {
    /// Whether this kind of request is known again by nothing but its id.
    pub(crate) fn is_named(asked: &Asked) -> bool {
        match asked {
            Asked::Errand { command, .. } => !matches!(command, JobCommand::Delete { .. }),
            Asked::Environment { .. } => true,
            _ => false,
        }
    }

    /// An event names the request that it comes from.
    pub(super) fn comes_of(
        &mut self,
        subject: &SubjectId,
        event: &EntityEvent,
        seq: u64,
    ) -> Result<(), String> {
        let by = event.envelope();
        let Some(correlation) = &by.correlation else { return Ok(()) };
        let key = (subject.clone(), correlation.clone());
        let before = self.comes_of.insert(key, (seq, by.at));
        if before.is_some_and(|(_, at)| by.at <= at + MINTED_KEPT_MS) {
            return Err(format!("invariant 2: the request {correlation} is decided twice"));
        }
        Ok(())
    }

    /// An answer to a request whose event is there is the first answer.
    pub(super) fn answers_first(&self, call: &Call, response: &Response) -> Result<(), String> {
        let Some((seq, at)) = self.event_of(call) else { return Ok(()) };
        let subject = call.subject.as_ref().filter(|subject| {
            let gone = self.job(subject).is_some_and(|job| job.deleted);
            let newest = self.job(subject).map_or(at, JobStory::newest_at);
            !gone && newest <= at + MINTED_KEPT_MS
        });
        let fits = match response {
            Response::Command {
                answer: Answer::Done { seq: told } | Answer::Replayed { seq: told },
                ..
            } => *told == seq,
            Response::Refused(Refusal::JobDeleted) => true,
            Response::Command { .. } | Response::Refused(_) => false,
            _ => true,
        };
        if fits || subject.is_none() {
            return Ok(());
        }
        Err(format!("invariant 21: decided by event {seq}, and answered otherwise"))
    }

    fn event_of(&self, call: &Call) -> Option<(u64, Millis)> {
        let correlation: &CorrelationId = call.correlation.as_ref()?;
        self.comes_of.get(&(call.subject.clone()?, correlation.clone())).copied()
    }
}
