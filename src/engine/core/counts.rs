//! What the core counts, for metrics, health and tests. Absent: any decision that rests on a count.

use domain::ids::Millis;
use domain::job::event::JobEvent;
use domain::job::fact::{AdmissionFact, JobFact};
use domain::job::status::JobStatus;

use super::retry_counts::RetryCounts;

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
    pub cancelled: u64,
    pub aborted: u64,
}

impl JobCounts {
    /// Counts what one event says of its job.
    pub(crate) fn count(&mut self, event: &JobEvent) {
        self.submitted +=
            u64::from(matches!(event.fact, JobFact::Admission(AdmissionFact::Submitted(_))));
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
    pub appends: u64,
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
    /// Heartbeats whose details were not kept, because too much is kept already.
    pub details_dropped: u64,
    /// Environments asked to grant, by jobs next in order.
    pub grants_tried: u64,
    /// Scheduled starts that came due.
    pub starts_due: u64,
    /// Time-outs of jobs and nodes, and revocations, that came due.
    pub timeouts_due: u64,
    /// Retry waits that ended.
    pub retries_due: u64,
    /// What became of retries, by class.
    pub retries: RetryCounts,
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
