//! How a job ends, and which cleanups run before it is over.

use domain::job::event::JobEvent;
use domain::job::fact::{EndingFact, JobFact};
use domain::job::flow::OUTPUT_OF_JOB;
use domain::job::outcome::{EndingCause, EndingStage};
use domain::job::status::JobStatus;
use domain::node::spec::RunOn;
use domain::node::status::NodeStatus;

use super::stands::wrong_if;
use super::{Model, Wrong};

/// Whether a cleanup runs after this end.
pub(super) fn selects(run_on: &[RunOn], end: JobStatus) -> bool {
    run_on.iter().any(|on| match on {
        RunOn::Always => true,
        RunOn::Success => end == JobStatus::Completed,
        RunOn::Failure => matches!(end, JobStatus::Failed | JobStatus::Timeout),
        RunOn::Cancel => matches!(end, JobStatus::Cancelled | JobStatus::Aborted),
    })
}

impl Model {
    pub(super) fn ends_rightly(&self, before: &Self, event: &JobEvent) -> Result<(), Wrong> {
        if before.status.is_over() {
            let moves = !event.job.is_empty() || !event.nodes.is_empty();
            return wrong_if(moves || event.end.is_some(), "over, and something moved");
        }
        let over = self.status.is_over();
        wrong_if(event.end.is_some() != over, "an end without an end, or none with one")?;
        let to = event.ending.as_ref().map(|ending| ending.to);
        let Some(to) = to.or_else(|| over.then_some(self.status)) else { return Ok(()) };
        let expected = self.expected_end(before, event);
        wrong_if(to != expected, &format!("it ends {to}, and should {expected}"))?;
        self.cleans_up(before, to)
    }

    /// The end that this event has to lead to.
    fn expected_end(&self, before: &Self, event: &JobEvent) -> JobStatus {
        let asked = match &event.fact {
            JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Requested }) => {
                Some(JobStatus::Cancelled)
            }
            JobFact::Ending(EndingFact::EndingDecided { why: EndingCause::Deadline }) => {
                Some(JobStatus::Timeout)
            }
            _ => None,
        };
        let by_condition = || self.before_cancelling(before, event).end_by_condition();
        let decided = asked.or(before.ending).unwrap_or_else(by_condition);
        let spoiled = output_failed(event) || self.status.is_over() && self.is_spoiled();
        let spoils = decided == JobStatus::Completed && spoiled;
        if spoils { JobStatus::Failed } else { decided }
    }

    /// How a job ends that nobody ends.
    fn end_by_condition(&self) -> JobStatus {
        let outermost = self.outermost();
        let failed = outermost.iter().any(|ix| self.fails_for_good(*ix));
        let settled = outermost.iter().all(|ix| self.nodes[*ix].status.is_settled());
        let holds = self.job_decided() == Some(NodeStatus::Completed);
        let fails_fast = self.plan.fail_fast && failed;
        let completes = holds && !fails_fast && (settled || self.plan.complete_early);
        if completes { JobStatus::Completed } else { JobStatus::Failed }
    }

    /// Whether a cleanup failed that affects the outcome.
    fn is_spoiled(&self) -> bool {
        self.all().any(|ix| {
            self.spec(ix).cleanup().is_some_and(|cleanup| cleanup.affects_outcome)
                && self.nodes[ix].is_failed()
        })
    }

    /// Nothing is over before the cleanups that its end selects.
    fn cleans_up(&self, before: &Self, to: JobStatus) -> Result<(), Wrong> {
        let cleaned = before.stage == EndingStage::Cleaning && before.ending.is_some();
        let cleans = self.stage == EndingStage::Cleaning && !self.status.is_over();
        if !self.admitted || cleaned || !(cleans || self.status.is_over()) {
            return Ok(());
        }
        for ix in self.all() {
            let Some(cleanup) = self.spec(ix).cleanup() else { continue };
            let (selected, node) = (selects(&cleanup.run_on, to), &self.nodes[ix]);
            let runs = !node.bypassed || !node.parents.is_empty();
            wrong_if(selected && !runs, &format!("cleanup {ix} is not run after {to}"))?;
            wrong_if(!selected && !node.bypassed, &format!("cleanup {ix} is run after {to}"))?;
        }
        Ok(())
    }
}

/// Whether the job's own output has no value.
fn output_failed(event: &JobEvent) -> bool {
    let failed = event.flow.iter().flat_map(|flow| &flow.failed);
    failed.into_iter().any(|failure| failure.node == OUTPUT_OF_JOB)
}
