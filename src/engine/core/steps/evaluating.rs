//! Expressions that are evaluated beside the committer: asked for as long as nodes wait for it, one order of a subject at a
//! time; what comes back is decided like anything else.
//! Always holds: what is asked for follows from the committed state, so that it is asked again after a load.

use domain::ids::{Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::flow::Evaluated;
use domain::job::state::JobState;

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::message::Output;
use crate::engine::core::residency::{Slot, TimerKind};
use crate::event_store::contract::EventStoreError;

/// What the store did not give is asked for again after so long.
const AGAIN_MS: Millis = 1_000;

impl Core {
    /// Asks for the next evaluations, if nodes wait for some and none are under way.
    pub(super) fn ask_evaluation(&mut self, slot: &mut Slot) {
        if slot.transient || slot.evaluates || slot.damaged.is_some() {
            return;
        }
        let job = slot.entity.as_ref().and_then(Entity::job);
        let Some(order) = job.and_then(JobState::evaluation_order) else { return };
        slot.evaluates = true;
        self.outputs.push_back(Output::Evaluate { subject: slot.subject.clone(), order });
    }

    /// Evaluations came back. What is of no use any more is asked for as the state now has it.
    pub(in crate::engine::core) fn evaluated(
        &mut self,
        subject: &SubjectId,
        result: Result<Vec<Evaluated>, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        self.work_on(ix, |core, slot| {
            slot.evaluates = false;
            let job = slot.entity.as_ref().and_then(Entity::job).filter(|_| !slot.transient);
            match (job, result) {
                (None, _) => {}
                (Some(job), Ok(results)) => {
                    if results.iter().any(|result| job.awaits(result)) {
                        core.ask_clock(slot, JobCommand::Evaluated(results));
                    } else {
                        core.ask_evaluation(slot);
                    }
                }
                (Some(_), Err(_)) => {
                    let at = core.now.saturating_add(AGAIN_MS);
                    core.arm(ix, slot, at, TimerKind::Ask);
                    core.timers.rearm(ix, &mut slot.timers);
                }
            }
        });
    }
}
