//! What the view shows when: everything soon when little changes; when much does, first what is over, and what still
//! runs no later than a bound.

use domain::ids::SubjectId;
use domain::job::status::JobStatus;
use orrery::view::contract::{Columns, View as _};

use crate::harness::jobs::{single, wish};
use crate::harness::lab::{Lab, wait};

fn shown(lab: &Lab, job: &SubjectId) -> Option<&'static str> {
    match wait(lab.view.get(job)).expect("a view")?.columns {
        Columns::Job(job) => Some(job.status),
        Columns::Named { .. } | Columns::Deleted { .. } => None,
    }
}

#[test]
fn a_few_changes_are_shown_by_the_next_flush() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, single());
    lab.advance(100);
    assert_eq!(shown(&lab, &job), Some(JobStatus::Scheduled.as_str()));
}

#[test]
fn of_many_changes_those_of_ended_jobs_are_shown_first_and_no_job_twice_without_need() {
    let mut lab = Lab::new();
    let jobs: Vec<_> = (1..=800).map(|number| lab.submit(0, number, single())).collect();
    lab.advance(100);
    assert!(jobs.iter().all(|job| shown(&lab, job).is_none()), "they may change again at once");
    for granted in lab.lease(0, wish("worker", 100)) {
        lab.complete(0, &granted);
    }
    lab.advance(100);
    let ended = Some(JobStatus::Completed.as_str());
    assert_eq!(jobs.iter().filter(|job| shown(&lab, job) == ended).count(), 100);
    assert_eq!(jobs.iter().filter(|job| shown(&lab, job).is_some()).count(), 100);
    lab.advance(300);
    assert!(jobs.iter().all(|job| shown(&lab, job).is_some()), "none is behind for longer");
    assert!(lab.core_of(0).counts().view_lag_ms < 500);
}
