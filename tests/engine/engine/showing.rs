//! What the view shows when: everything soon when little changes; when much does, first what is over, and what still
//! runs no later than a bound.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::SubjectId;
use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::executor;
use orrery::environment::Surroundings;
use orrery::view::contract::{Columns, View as _};
use orrery::view::memory::MemoryView;

use crate::harness::jobs::{self, single, wish};
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

#[test]
fn a_view_that_no_engine_lived_to_make_is_made_by_the_next() {
    let store = {
        let mut lab = Lab::new();
        lab.submit(0, 1, single());
        lab.store
    };
    let view = Arc::new(MemoryView::default());
    for lives in [false, false, true] {
        // A view that does not move keeps the engine from making it whole before it dies.
        if lives {
            view.resume();
        } else {
            view.stall();
        }
        let (surroundings, _clock) = Surroundings::simulated(jobs::START, 7);
        let parts = executor::Parts {
            settings: CoreSettings::default(),
            me: 1,
            drivers: vec![None; 64],
            store: Arc::clone(&store) as _,
            view: Arc::clone(&view) as _,
            surroundings,
            append_deadline: Duration::from_secs(10),
            forward: None,
        };
        // Whatever it was about to do dies with its runtime.
        let life = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let whole = life.block_on(async {
            let (engine, _running) = executor::start(parts).await.expect("an engine");
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            engine.view_is_whole()
        });
        assert_eq!(whole, lives);
    }
    assert!(wait(view.get(&jobs::subject(1))).expect("a view").is_some());
}
