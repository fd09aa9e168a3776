//! What must hold of a job after every row: nothing starts before its parents let it, nothing that may start is left
//! behind, places are kept, and a job is over exactly when the design says.

use domain::job::event::JobEvent;
use domain::job::fact::{EndingFact, JobFact};
use domain::job::outcome::EndingCause;
use domain::job::spec::CompleteWhen;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus::{
    self, Cancelled, Completed, Pending, Ready, Retrying, Running, Skipped, Waiting,
};

use super::job::JobStory;

impl JobStory {
    /// Whatever left pending in this row could, or could never, start.
    pub(super) fn started_rightly(
        &self,
        event: &JobEvent,
        before: &[NodeStatus],
    ) -> Result<(), String> {
        for change in event.nodes.iter().filter(|change| change.from == Pending) {
            for ix in change.at.iter().filter(|ix| before[*ix as usize] == Pending) {
                let (fulfilled, impossible) = self.parents_say(ix);
                if change.to == Ready && !fulfilled {
                    return Err(format!("invariant 8: node {ix} starts before its parents let it"));
                }
                if change.to == Skipped && !impossible {
                    return Err(format!("invariant 8: node {ix} is skipped and could start"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn stands(&self, event: &JobEvent) -> Result<(), String> {
        let over = self.status.is_over();
        let places = self.many(&[Ready, Running]);
        if self.plan.max_parallel.is_some_and(|most| places > most as usize) {
            return Err(format!("invariant 16: {places} at once"));
        }
        if over && self.many(&[Ready, Running, Waiting, Retrying]) > 0 {
            return Err("invariant 12: over, and at work".to_owned());
        }
        if self.ending.is_some() && self.many(&[Pending, Ready, Waiting, Retrying]) > 0 {
            return Err("invariant 12: ending, and something may still start".to_owned());
        }
        if self.ending.is_some() && self.many(&[Running]) == 0 {
            return Err("invariant 1: an ending that waits for nothing".to_owned());
        }
        if over && self.status != JobStatus::Failed && self.many(&[Pending]) > 0 {
            return Err("invariant 1: over, and not settled".to_owned());
        }
        let lives = self.admitted && !over && self.ending.is_none();
        for ix in (0u32..).take(self.nodes.len()) {
            let held = self.held.contains(&ix);
            if held && !lives {
                return Err(format!(
                    "invariant 12: node {ix} waits for a place in a job that ends"
                ));
            }
            if !lives || self.nodes[ix as usize].status != Pending {
                continue;
            }
            let (fulfilled, impossible) = self.parents_say(ix);
            if held != fulfilled {
                return Err(format!(
                    "invariant 8: node {ix} may start: {fulfilled}; it waits for a place: {held}"
                ));
            }
            if held && self.plan.max_parallel.is_none_or(|most| places < most as usize) {
                return Err(format!("invariant 8: a place is free and node {ix} waits"));
            }
            if impossible && self.plan.nodes[ix as usize].skip_on_failure {
                return Err(format!("invariant 8: node {ix} was not skipped"));
            }
        }
        let busy = self.many(&[Ready, Running, Retrying, Waiting]) > 0;
        if self.offers() && !busy {
            return Err(format!(
                "invariant 1: settled, and going on after {}",
                event.fact.type_name()
            ));
        }
        Ok(())
    }

    /// The end is the one that the rows ask for.
    pub(super) fn ends(&self, event: &JobEvent, was_over: bool) -> Result<(), String> {
        if was_over || !self.status.is_over() {
            if event.end.is_some() {
                return Err("invariant 3: an end without an end".to_owned());
            }
            return Ok(());
        }
        if event.end.is_none() {
            return Err("invariant 3: it ended without an end".to_owned());
        }
        let decided = matches!(event.fact, JobFact::Ending(EndingFact::EndingDecided { .. }));
        let before = self.statuses.last().and_then(|(_, ending)| *ending);
        let fails_fast = self.plan.fail_fast && self.failed_required > 0;
        let cancelled = self.many(&[Cancelled]) > 0;
        if let Some(ending) = before.filter(|_| !decided) {
            let fits = ending == self.status;
            return if fits {
                Ok(())
            } else {
                Err(format!("invariant 3: ending {ending}, ended {}", self.status))
            };
        }
        if decided || cancelled || fails_fast {
            let fits = match &event.fact {
                JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Requested }) => {
                    self.status == JobStatus::Cancelled
                }
                JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Deadline }) => {
                    self.status == JobStatus::Timeout
                }
                _ => self.status == JobStatus::Failed,
            };
            return if fits { Ok(()) } else { Err(format!("invariant 3: ended {}", self.status)) };
        }
        let completes = self.many(&[Pending]) == 0 && self.condition_holds();
        let expected = if completes { JobStatus::Completed } else { JobStatus::Failed };
        if self.status != expected {
            return Err(format!("invariant 3: ended {}, and should have {expected}", self.status));
        }
        Ok(())
    }

    fn condition_holds(&self) -> bool {
        let (completed, failed) = (self.many(&[Completed]), self.failed_required);
        match self.plan.complete_when {
            CompleteWhen::All => failed == 0,
            CompleteWhen::Any => completed > 0,
            CompleteWhen::AtLeast(least) => completed >= least as usize,
            CompleteWhen::TolerateCount(most) => failed <= most as usize,
            CompleteWhen::TolerateAtMostPercent(most) => {
                failed * 100 <= usize::from(most) * self.nodes.len()
            }
        }
    }
}
