//! After every record a job must be able to say what it waits for: a concrete wait, which the rows that the checker itself
//! has read bear out, and a time only where one is due. A job that is over must say that it is.

use domain::ids::Millis;
use domain::job::explain::{Explanation, Wait, WaitCode};
use domain::job::outcome::EndingStage;
use domain::job::spec::Start;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;

use super::job::JobStory;

impl JobStory {
    /// Whether what the state says of itself is so.
    pub(super) fn explains(&self, replay: &JobState) -> Result<(), String> {
        let wrong = |why: &str, said: &Explanation| format!("invariant 1: {why}: {said:?}");
        let said = replay.explain(None);
        if self.status.is_over() {
            let ended = said.ended.is_some() && said.waits.is_empty();
            return if ended { Ok(()) } else { Err(wrong("over, and does not say so", &said)) };
        }
        if !said.waits.iter().any(|wait| wait.code.is_concrete()) || said.ended.is_some() {
            return Err(wrong("a job is not over and cannot say what it waits for", &said));
        }
        match said.waits.iter().find(|wait| !self.bears_out(wait)) {
            Some(wait) => Err(wrong(&format!("{wait:?} is not so"), &said)),
            None => Ok(()),
        }
    }

    fn bears_out(&self, wait: &Wait) -> bool {
        let all = |fits: &dyn Fn(usize) -> bool| {
            !wait.nodes.is_empty() && wait.nodes.iter().all(|ix| fits(*ix as usize))
        };
        let is = |ix: usize, status: NodeStatus| self.nodes[ix].status == status;
        let due = |ix: usize| wait.wakes_at.is_some_and(|at: Millis| at <= self.nodes[ix].due);
        match wait.code {
            WaitCode::Unreadable => false,
            WaitCode::ScheduledStart => {
                self.status == JobStatus::Pending && wait.wakes_at >= self.scheduled_at
            }
            WaitCode::ManualStart => {
                self.status == JobStatus::Pending && self.model.plan.start == Start::Manual
            }
            WaitCode::Grant => self.status == JobStatus::Queued,
            WaitCode::Paused => self.status == JobStatus::Paused && self.ending.is_none(),
            WaitCode::Ending if self.model.stage == EndingStage::Cleaning => {
                self.ending.is_some() && wait.nodes.is_empty()
            }
            WaitCode::Ending => {
                self.ending.is_some()
                    && wait.wakes_at == Some(self.ending_until)
                    && all(&|ix| is(ix, NodeStatus::Running))
            }
            WaitCode::Evaluating if wait.nodes.is_empty() => {
                self.model.stage == EndingStage::Output
            }
            WaitCode::OutcomeUnknown => {
                self.status == JobStatus::Paused && all(&|ix| self.nodes[ix].unknown)
            }
            WaitCode::Exhausted => {
                self.status == JobStatus::Paused && all(&|ix| self.nodes[ix].exhausted)
            }
            WaitCode::Attempt => all(&|ix| is(ix, NodeStatus::Running)),
            WaitCode::Worker => self.offers() && all(&|ix| is(ix, NodeStatus::Ready)),
            WaitCode::Retry => all(&|ix| is(ix, NodeStatus::Retrying) && due(ix)),
            WaitCode::Delay => {
                all(&|ix| is(ix, NodeStatus::Waiting) && self.nodes[ix].delayed && due(ix))
            }
            WaitCode::Place => {
                let queued = |ix: &u32| self.model.is_queued(*ix as usize);
                wait.nodes.iter().all(queued) && !wait.nodes.is_empty()
            }
            WaitCode::Blocked | WaitCode::Parents | WaitCode::Group | WaitCode::Cleanup => {
                all(&|ix| is(ix, NodeStatus::Pending))
            }
            WaitCode::Evaluating | WaitCode::Members => all(&|ix| is(ix, NodeStatus::Waiting)),
        }
    }
}
