//! What the core counts, for metrics, health and tests. Absent: any decision that rests on a count.

use domain::ids::{Millis, Namespace, SubjectId};

use domain::job::event::{JobEvent, JobFact};
use domain::job::status::JobStatus;

use crate::engine::core::message::QueueFacts;
use crate::engine::core::{Core, entity};

/// Attempts by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// By a report of completion.
    pub completed: u64,
    /// By a report of failure.
    pub failed: u64,
    /// By a lease that ran out.
    pub expired: u64,
    /// By a time-out.
    pub timed_out: u64,
    /// Given back, not counted.
    pub released: u64,
}

/// Jobs that were made here, and that ended, by how. A job that is taken up again and ends again counts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Made by a submission.
    pub submitted: u64,
    /// Its success condition holds.
    pub completed: u64,
    /// It does not hold.
    pub failed: u64,
    /// Its deadline passed.
    pub timeout: u64,
    /// By request.
    pub cancelled: u64,
    /// Given up.
    pub aborted: u64,
}

impl JobCounts {
    /// Counts what one event says of its job.
    pub(super) fn count(&mut self, event: &JobEvent) {
        self.submitted += u64::from(matches!(event.fact, JobFact::Submitted(_)));
        for (_, to) in &event.job {
            match to {
                JobStatus::Completed => self.completed += 1,
                JobStatus::Failed => self.failed += 1,
                JobStatus::Timeout => self.timeout += 1,
                JobStatus::Cancelled => self.cancelled += 1,
                JobStatus::Aborted => self.aborted += 1,
                JobStatus::Pending
                | JobStatus::Queued
                | JobStatus::Scheduled
                | JobStatus::Running
                | JobStatus::Paused
                | JobStatus::Retrying
                | JobStatus::Recovering => {}
            }
        }
    }
}

/// Numbers for metrics and tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoreCounts {
    /// Subjects in memory.
    pub subjects: usize,
    /// Commands that wait.
    pub queued: usize,
    /// Appends on their way.
    pub appends_in_flight: usize,
    /// Appends answered.
    pub appends: u64,
    /// Events committed.
    pub events: u64,
    /// Conflicts with other writers.
    pub conflicts: u64,
    /// Attempts leased to workers.
    pub running_attempts: u64,
    /// Attempts that completed, failed by report, ran too long, and were given back.
    pub attempts: AttemptCounts,
    /// Jobs that were made and that ended.
    pub jobs: JobCounts,
    /// Jobs in memory that are not over, by their state in the order of `JobStatus::ALL`.
    pub live_jobs: [u32; JobStatus::ALL.len()],
    /// Leases that ran out.
    pub leases_expired: u64,
    /// Stale reports refused.
    pub stale_reports: u64,
    /// Environments asked to grant, by jobs next in order.
    pub grants_tried: u64,
    /// Scheduled starts that came due.
    pub starts_due: u64,
    /// Time-outs of jobs and nodes, and revocations, that came due.
    pub timeouts_due: u64,
    /// Retry waits that ended.
    pub retries_due: u64,
    /// Nodes offered.
    pub ready: u64,
    /// Requests for work that wait.
    pub waiting_polls: u64,
    /// Queues where work and somebody who wants it wait for each other: none, but inside a turn.
    pub stalled_queues: u64,
    /// Subjects that left memory until they are due, or something is asked of them.
    pub parked: u64,
    /// Subjects that left memory because they are over and shown.
    pub retired: u64,
    /// How far the view is behind, milliseconds.
    pub view_lag_ms: Millis,
    /// Since when the oldest change waits that the view does not durably show; none: it shows everything.
    pub unshown_since: Option<Millis>,
    /// Since when the oldest subject came into memory that the view may still show as it was before; none: there is none.
    pub unread_since: Option<Millis>,
}

impl Core {
    /// Numbers for metrics and tests.
    pub fn counts(&self) -> CoreCounts {
        CoreCounts {
            subjects: self.slots.len(),
            queued: self.queued,
            appends_in_flight: self.in_flight,
            view_lag_ms: self.projection.lag(self.now),
            unshown_since: self.projection.unshown_since(),
            unread_since: self.projection.unread_since(),
            ready: self.dispatch.ready(),
            waiting_polls: self.dispatch.waiting_polls(),
            running_attempts: self.dispatch.running(),
            stalled_queues: self.dispatch.stalled_queues(),
            live_jobs: self.tenants.live_jobs(),
            ..self.counts
        }
    }

    /// Queues in use, at most `max`, in the order of their names: what a few counters say of each.
    pub fn queues_in_use(&self, max: usize) -> Vec<(Namespace, QueueFacts)> {
        self.dispatch.queues_in_use(max)
    }

    /// Subjects in memory of each group, by its index.
    pub fn subjects_by_group(&self) -> &[u32] {
        self.slots.by_group()
    }

    /// A subject's state as this engine has it, with the seq it shows; none while an append of it is under way. For
    /// tests and checks: replay must give the same.
    pub fn committed_state(&self, subject: &SubjectId) -> Option<(u64, &entity::Entity)> {
        let slot = self.slots.find(subject).and_then(|ix| self.slots.get(ix))?;
        let entity = slot.entity.as_ref().filter(|_| slot.is_settled())?;
        Some((slot.seq, entity))
    }

    /// Whether a subject is in memory with everything volatile that its driver keeps of it: offers, lease times. For
    /// tests and checks.
    pub fn tends(&self, subject: &SubjectId) -> bool {
        let slot = self.slots.find(subject).and_then(|ix| self.slots.get(ix));
        slot.is_some_and(|slot| !slot.transient)
    }

    /// The sizes of what is kept for a while: lease requests under way, claims, timers, commands sent to other engines.
    pub fn kept(&self) -> [usize; 4] {
        let leases = self.pending_leases.len() + self.reports.len() + self.follows.len();
        let leases = leases + self.no_forward.len() + self.pending_claims.len();
        [leases, self.claims.len(), self.armed.len(), self.sent.len()]
    }
}
