//! The books of a run: which jobs are open, since when, how many of their steps are left; how many steps were
//! recorded and how long jobs took while the run is measured. A step is a node whose completion the engine recorded.
//! Invariant: a job is open from before its submission is sent until its last step is recorded.
//! Absent: requests, and whatever the server says about itself.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::spread::Spread;

#[derive(Debug, Clone)]
struct Unit {
    sent: Instant,
    left: usize,
    started: bool,
}

/// What was counted since `measure`.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    pub(super) steps: u64,
    /// From a submission's being sent (with a rate: being due) to the first lease of the job.
    pub(super) to_start: Spread,
    /// The same to the job's last recorded step.
    pub(super) to_end: Spread,
    /// Requests for work, where the shape measures them.
    pub(super) requests: Spread,
    /// Submissions sent later than their schedule.
    pub(super) late: u64,
    /// Jobs that the engine shed (429, 503, 507). On a schedule they are not sent again.
    pub(super) shed: u64,
    /// How long answers took that put something off.
    pub(super) shed_times: Spread,
    /// How long answers to reports took.
    pub(super) reports: Spread,
    /// Requests and reports of workers that the engine shed and that were sent again.
    pub(super) work_shed: u64,
    /// Attempts reported as failed.
    pub(super) failed: u64,
    /// Reports that did not count.
    pub(super) refused: u64,
    /// What was said about the first of them.
    pub(super) refusal: Option<String>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    units: VecDeque<Unit>,
    /// The number of `units[0]`.
    first: u64,
    open: usize,
    steps_each: usize,
    counted: Counted,
}

impl Ledger {
    /// Books of jobs of so many steps each.
    pub(super) fn new(steps_each: usize) -> Self {
        Self { units: VecDeque::new(), first: 0, open: 0, steps_each, counted: Counted::default() }
    }

    /// Opens jobs that are sent together; the number of the first.
    pub(super) fn open(&mut self, jobs: usize, sent: Instant) -> u64 {
        let number = self.first + self.units.len() as u64;
        let unit = Unit { sent, left: self.steps_each, started: false };
        self.units.extend(std::iter::repeat_n(unit, jobs));
        self.open += jobs;
        number
    }

    /// A step of a job was handed to a worker.
    pub(super) fn started(&mut self, number: u64, now: Instant) {
        if let Some(unit) = unit(&mut self.units, self.first, number)
            && !unit.started
        {
            unit.started = true;
            self.counted.to_start.record(now.saturating_duration_since(unit.sent));
        }
    }

    /// A step of a job is recorded. True when it was the job's last one.
    pub(super) fn recorded(&mut self, number: u64, now: Instant) -> bool {
        self.counted.steps += 1;
        let Some(unit) = unit(&mut self.units, self.first, number) else { return false };
        if unit.left == 0 {
            return false;
        }
        unit.left -= 1;
        if unit.left > 0 {
            return false;
        }
        self.counted.to_end.record(now.saturating_duration_since(unit.sent));
        self.close_one();
        true
    }

    /// A job was not taken and is not sent again. True when it was open.
    pub(super) fn forget(&mut self, number: u64) -> bool {
        let open = unit(&mut self.units, self.first, number).filter(|unit| unit.left > 0);
        let Some(unit) = open else { return false };
        unit.left = 0;
        self.close_one();
        true
    }

    fn close_one(&mut self) {
        self.open -= 1;
        while self.units.front().is_some_and(|unit| unit.left == 0) {
            self.units.pop_front();
            self.first += 1;
        }
    }

    /// What is counted now.
    pub(super) fn counted(&mut self) -> &mut Counted {
        &mut self.counted
    }

    /// Forgets what was counted so far: the warm-up is over. Gives what it was.
    pub(super) fn measure(&mut self) -> Counted {
        std::mem::take(&mut self.counted)
    }

    /// Jobs that are open.
    pub(super) fn jobs_open(&self) -> usize {
        self.open
    }
}

fn unit(units: &mut VecDeque<Unit>, first: u64, number: u64) -> Option<&mut Unit> {
    units.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_job_is_open_until_its_last_step_and_each_is_counted_once() {
        let now = Instant::now();
        let mut ledger = Ledger::new(2);
        assert_eq!(ledger.open(2, now), 0);
        assert_eq!(ledger.open(1, now), 2);
        let later = now + Duration::from_millis(5);
        ledger.started(1, later);
        ledger.started(1, later + Duration::from_millis(9));
        assert!(!ledger.recorded(1, later));
        assert!(ledger.recorded(1, later));
        assert_eq!(ledger.jobs_open(), 2);
        for number in [0, 2] {
            assert!(!ledger.recorded(number, later));
            assert!(ledger.recorded(number, later), "{number}");
        }
        assert_eq!((ledger.jobs_open(), ledger.first, ledger.units.len()), (0, 3, 0));
        let counted = ledger.measure();
        assert_eq!((counted.steps, counted.to_end.total(), counted.to_start.total()), (6, 3, 1));
        assert_eq!(ledger.counted().steps, 0);
    }

    #[test]
    fn a_job_that_was_not_taken_is_not_open_and_ends_nothing() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1);
        ledger.open(3, now);
        assert!(ledger.forget(1) && !ledger.forget(1) && !ledger.forget(9));
        assert_eq!((ledger.jobs_open(), ledger.units.len()), (2, 3));
        assert!(ledger.forget(0));
        assert_eq!((ledger.jobs_open(), ledger.first), (1, 2));
        assert!(!ledger.recorded(1, now), "its step ends nothing");
        assert_eq!(ledger.measure().to_end.total(), 0);
    }

    #[test]
    fn steps_of_unknown_jobs_are_steps_but_end_nothing() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1);
        ledger.open(1, now);
        assert!(ledger.recorded(0, now));
        assert!(!ledger.recorded(0, now) && !ledger.recorded(7, now));
        assert_eq!((ledger.jobs_open(), ledger.measure().steps), (0, 3));
    }
}
