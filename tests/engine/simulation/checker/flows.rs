//! What rows say beside transitions: who waits for a place, which groups begin, end or are tried again; and that nothing of
//! it comes before its time.

use domain::job::event::JobEvent;
use domain::job::fact::{EndingFact, FlowFact, JobFact};
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;

use super::facts::millis;
use super::job::JobStory;
use crate::simulation::world::Whose;

impl JobStory {
    pub(super) fn flows(&mut self, event: &JobEvent) -> Result<(), String> {
        let at = event.by.at;
        let gated = event.flow.iter().flat_map(|flow| flow.gated.iter());
        for ix in event.held.iter().chain(gated) {
            let node = &mut self.nodes[ix as usize];
            (node.unknown, node.exhausted, node.delayed) = (false, false, false);
        }
        let Some(flow) = &event.flow else { return Ok(()) };
        for group in flow.begun.iter() {
            self.nodes[group as usize].begins_members(at);
        }
        for (group, ending) in &flow.ending {
            self.graces.insert(*group, ending.until);
        }
        for failure in &flow.failed {
            let Some(retry) = failure.retry else { continue };
            let policy = self.spec(failure.node).more.as_ref().and_then(|more| more.retry.clone());
            let node = &mut self.nodes[failure.node as usize];
            let allowed = policy.as_ref().map_or(1, |policy| policy.executions_max());
            if node.attempt - node.base >= allowed {
                return Err("invariant 10: a group is tried again too often".to_owned());
            }
            if retry.due != at + millis(retry.wait_ms) {
                return Err(format!("invariant 11: a wait of {} ms", retry.wait_ms));
            }
            node.due = retry.due;
        }
        Ok(())
    }

    /// What ends attempts without a word of their workers: the grace of groups, or the time of cleanups, is over.
    pub(super) fn revokes_some(&mut self, event: &JobEvent, of: Whose) -> Result<(), String> {
        let over = match &event.fact {
            JobFact::Flow(FlowFact::GroupsRevoked) => {
                self.graces.values().any(|until| event.by.at >= *until)
            }
            JobFact::Ending(EndingFact::CleanupTimedOut) => event.by.at >= self.ending_until,
            _ => return Ok(()),
        };
        if !over {
            return Err("invariant 14: revoked before the time was over".to_owned());
        }
        let stopped = event.nodes.iter().filter(|change| change.from == NodeStatus::Running);
        for ix in stopped.flat_map(|change| change.at.iter()) {
            self.ends_attempt(ix, of);
        }
        Ok(())
    }

    /// Whether a group is at work.
    pub(super) fn has_members_at_work(&self, ix: u32) -> bool {
        self.model.nodes[ix as usize].hold == Some(Hold::Members)
    }
}
