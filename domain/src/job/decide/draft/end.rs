//! How the job ends with this event, if it does: because its end is decided and nothing runs any more, or because every
//! node has settled. Two stages: what runs ends first, then cleanups run.

use super::Draft;
use crate::bounds;
use crate::ids::Millis;
use crate::job::flow::{error_of, error_of_end};
use crate::job::members::MemberCounts;
use crate::job::outcome::{Ending, EndingStage, JobEnd, JobError};
use crate::job::spec::CompleteWhen;
use crate::job::status::JobStatus;
use crate::node::spec::RunOn;
use crate::node::status::NodeStatus;
use crate::planted::{self, Planted};

use super::groups::decided;

impl Draft<'_> {
    /// Decides that the job ends: what has not started is cancelled, what runs may go on until the grace is over. Cleanups
    /// that run already go on; then only what was blocked for good is left to cancel.
    pub(in crate::job::decide) fn decide_ending(&mut self, to: JobStatus) {
        let plan = self.plan();
        let cleans = self.stage() == EndingStage::Cleaning && self.ending_to().is_some();
        let keeps_cleanups = cleans || self.has_started();
        for ix in plan.positions() {
            let status = self.node_status(ix);
            if status == NodeStatus::Ready && planted::on(Planted::CancelLeavesReady) {
                continue;
            }
            let is_kept = keeps_cleanups && plan.node(ix).cleanup().is_some();
            if status != NodeStatus::Running && !status.is_settled() && !is_kept {
                self.move_node_alone(ix, NodeStatus::Cancelled);
            }
        }
        let until = match self.ending_to() {
            Some(_) => self.ending_until(),
            None => self.now.saturating_add(self.context.grace_ms),
        };
        let stage = if cleans { EndingStage::Cleaning } else { EndingStage::Stopping };
        self.ending = Some(Ending { to, stage, until });
    }

    /// Until when what is under way in the ending decided so far may go on.
    fn ending_until(&self) -> Millis {
        self.ending.as_ref().map_or(self.state.head.ending_until, |ending| ending.until)
    }

    /// Whether the job was admitted: only then there may be something to clean up.
    fn has_started(&self) -> bool {
        self.state.head.scheduled_since.is_some()
            || self.job.iter().any(|(_, to)| *to == JobStatus::Scheduled)
    }

    /// Ends the job early, where it is to end with the first failure or as soon as its condition is decided.
    pub(super) fn look_at_job(&mut self) {
        let plan = &self.state.plan;
        let ends = self.ending_to().is_some() || self.status.is_over();
        if ends || !(plan.fail_fast || plan.complete_early) {
            return;
        }
        let counts = *self.book.outermost();
        if plan.fail_fast && counts.failed_for_good() > 0 {
            return self.decide_ending(JobStatus::Failed);
        }
        if plan.complete_early
            && let Some(to) = decided(plan.complete_when, &counts, counts.completed)
            && counts.settled < counts.all
        {
            let completes = to == NodeStatus::Completed;
            self.decide_ending(if completes { JobStatus::Completed } else { JobStatus::Failed });
        }
    }

    /// Ends the job when it is settled or its ending has nothing left to wait for. Answers whether something is to be
    /// looked at because of that.
    pub(super) fn settle(&mut self) -> bool {
        match (self.ending_to(), self.stage()) {
            _ if self.status.is_over() => false,
            (Some(to), EndingStage::Stopping) => self.running() == 0 && self.stopped(to),
            (Some(to), EndingStage::Output) => {
                self.prepared(super::evaluating::OUTPUT).is_some() && self.clean(to)
            }
            (Some(to), EndingStage::Cleaning) => {
                if !self.is_busy() {
                    self.give_up_cleanups();
                    self.finish(to);
                }
                false
            }
            (None, _) => {
                let offers = matches!(self.status, JobStatus::Scheduled | JobStatus::Running);
                if self.is_busy() || !offers {
                    return false;
                }
                let holds = succeeds(self.state.plan.complete_when, self.book.outermost());
                self.stopped(if holds { JobStatus::Completed } else { JobStatus::Failed })
            }
        }
    }

    fn is_busy(&self) -> bool {
        let at_work = NodeStatus::ALL.into_iter().filter(|status| status.is_at_work());
        at_work.into_iter().any(|status| self.book.count(status) > 0)
            || !self.held.is_empty(&self.state.held)
            || !self.gated.is_empty(&self.state.gated)
    }

    /// Nothing runs any more.
    fn stopped(&mut self, to: JobStatus) -> bool {
        let computed = self.state.plan.output_flow.is_some();
        if to == JobStatus::Completed
            && computed
            && self.prepared(super::evaluating::OUTPUT).is_none()
        {
            let Some(evaluated) = self.evaluate_output() else {
                let until = Millis::MAX;
                self.ending = Some(Ending { to, stage: EndingStage::Output, until });
                return false;
            };
            return self.take_output(evaluated);
        }
        self.clean(to)
    }

    /// Runs the cleanups that this end selects; without any the job ends.
    pub(super) fn clean(&mut self, to: JobStatus) -> bool {
        let plan = self.plan();
        let waiting: Vec<u32> = (0..plan.initial)
            .filter(|ix| plan.node(*ix).cleanup().is_some())
            .filter(|ix| self.node_status(*ix) == NodeStatus::Pending)
            .collect();
        let selected =
            |ix: &u32| plan.node(*ix).cleanup().is_some_and(|cleanup| selects(&cleanup.run_on, to));
        if !waiting.iter().any(selected) || planted::on(Planted::CleanupNotOffered) {
            for ix in waiting {
                self.bypass(ix);
            }
            self.finish(to);
            return false;
        }
        let ms = plan.cleanup_timeout_ms.unwrap_or(bounds::CLEANUP_TIMEOUT_MS);
        let until = self.now.saturating_add(Millis::try_from(ms).unwrap_or(Millis::MAX));
        self.ending = Some(Ending { to, stage: EndingStage::Cleaning, until });
        let (run, rest): (Vec<u32>, Vec<u32>) = waiting.into_iter().partition(selected);
        for ix in rest {
            self.bypass(ix);
        }
        self.reconsider_roots(run.into_iter());
        true
    }

    /// Cleanups that can no longer start, because of others that failed, are skipped: no job is over before its cleanups have
    /// settled.
    fn give_up_cleanups(&mut self) {
        let plan = self.plan();
        for ix in 0..plan.initial {
            let cleans = plan.node(ix).cleanup().is_some();
            if cleans && self.node_status(ix) == NodeStatus::Pending {
                self.move_node_alone(ix, NodeStatus::Skipped);
            }
        }
    }

    /// The job is over.
    fn finish(&mut self, to: JobStatus) {
        let plan = self.plan();
        let spoiled = (0..plan.initial).find(|ix| {
            let affects = plan.node(*ix).cleanup().is_some_and(|cleanup| cleanup.affects_outcome);
            affects && matches!(self.node_status(*ix), NodeStatus::Failed | NodeStatus::Timeout)
        });
        let spoiled = spoiled.filter(|_| to == JobStatus::Completed);
        let to = if spoiled.is_some() { JobStatus::Failed } else { to };
        // The table has no row from paused to failed: the job goes back to where it was first.
        if let Some(back) = self.state.head.paused_from.filter(|_| !self.status.may_become(to)) {
            self.move_job(back);
        }
        self.move_job(to);
        let mut end = end_of(self, to);
        if let Some(cleanup) = spoiled {
            let path = plan.path(cleanup);
            let message = format!("the cleanup `{path}` failed, and affects the outcome");
            end.error = Some(error_of("cleanup", "CleanupFailed", &message));
        }
        self.end = Some(end);
        self.ending = None;
    }

    /// The error that a time-out of one of these nodes gives the job.
    pub(in crate::job::decide) fn note_time_out(&mut self, nodes: &[u32], class: &str) {
        for ix in nodes {
            if self.node_status(*ix) == NodeStatus::Timeout {
                let error = JobError::time_out(&self.plan(), *ix, class);
                self.note_failure(*ix, &error);
            }
        }
    }
}

/// Whether a settled job completed.
fn succeeds(condition: CompleteWhen, counts: &MemberCounts) -> bool {
    // Completed means that every node settled: one that is blocked for good makes the job fail.
    let settled = counts.settled == counts.all;
    settled && decided(condition, counts, counts.completed) == Some(NodeStatus::Completed)
}

/// Whether a cleanup runs after this end.
fn selects(run_on: &[RunOn], to: JobStatus) -> bool {
    run_on.iter().any(|on| match on {
        RunOn::Always => true,
        RunOn::Success => to == JobStatus::Completed,
        RunOn::Failure => matches!(to, JobStatus::Failed | JobStatus::Timeout),
        RunOn::Cancel => matches!(to, JobStatus::Cancelled | JobStatus::Aborted),
    })
}

/// Output and error of a job that ends now.
fn end_of(draft: &mut Draft<'_>, to: JobStatus) -> JobEnd {
    let output = if to == JobStatus::Completed { draft.output() } else { None };
    JobEnd { output, error: error_of_end(draft, to) }
}
