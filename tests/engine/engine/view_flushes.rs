//! What the view shows when: everything soon when little changes; when much does, first what is over, and what still
//! runs no later than a bound.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::SubjectId;
use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::executor;
use orrery::view::contract::Columns;
use orrery_testing::view::MemoryView;

use crate::harness::jobs::{self, poll, single};
use crate::harness::lab::{Lab, wait};
use crate::harness::view_document::One as _;

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

fn with_pages() -> Lab {
    Lab::of(1, CoreSettings { node_pages: true, ..CoreSettings::default() })
}

fn page_numbers(lab: &mut Lab) -> Vec<Vec<u32>> {
    std::mem::take(&mut lab.pages).into_iter().map(|(_, numbers)| numbers).collect()
}

/// A moment longer than the nodes of a running job wait.
const FOLDED: i64 = 2_200;

#[test]
fn of_a_large_job_only_the_pages_with_changed_nodes_are_shown_again() {
    let mut lab = with_pages();
    let job = lab.submit(0, 1, jobs::fan(298));
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[0, 1, 2]], "a new job is shown whole");
    let first = lab.lease(0, poll("worker", 1));
    lab.complete(0, &first[0]);
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[0, 1, 2]], "all of them became ready");
    let granted = lab.lease(0, poll("worker", 150));
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[0, 1]]);
    lab.complete(0, &granted[120]);
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[1]]);
    lab.advance(FOLDED);
    assert!(lab.pages.is_empty(), "nothing changed");

    lab.view_fails = true;
    lab.complete(0, &granted[3]);
    lab.advance(FOLDED);
    lab.view_fails = false;
    lab.pages.clear();
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[0, 1, 2]], "what was lost may have been any");
    lab.restart(0);
    lab.advance(FOLDED);
    assert_eq!(page_numbers(&mut lab), [[0, 1, 2]], "nobody knows what the view shows");
    assert!(shown(&lab, &job).is_some());
}

#[test]
fn a_job_that_is_over_is_shown_with_its_nodes_at_once_and_a_short_one_once() {
    let mut lab = with_pages();
    lab.submit(0, 1, jobs::diamond());
    lab.advance(100);
    lab.work(0);
    assert!(lab.pages.is_empty(), "they change again in a moment");
    lab.advance(100);
    assert_eq!(page_numbers(&mut lab), [[0]]);
    lab.advance(FOLDED);
    assert!(lab.pages.is_empty());
    assert_eq!(lab.core_of(0).counts().subjects, 0, "then it leaves memory");
}

#[test]
fn many_pages_are_shown_in_parts_and_a_busy_job_less_often() {
    let mut lab = with_pages();
    for number in 1..=6 {
        lab.submit(0, number, jobs::fan(4_898));
    }
    lab.advance(FOLDED);
    let shown = page_numbers(&mut lab);
    assert_eq!(shown.iter().map(Vec::len).sum::<usize>(), 6 * 49);
    let mut busy = with_pages();
    busy.submit(0, 1, jobs::fan(900));
    let first = busy.lease(0, poll("worker", 1));
    busy.complete(0, &first[0]);
    busy.advance(FOLDED);
    busy.pages.clear();
    // Work all over the job, a node of each page each 100 ms for four seconds.
    let granted = busy.lease(0, poll("worker", 900));
    for round in 0..40 {
        for one in granted.iter().skip(round).step_by(100) {
            busy.complete(0, one);
        }
        busy.advance(100);
    }
    let times = page_numbers(&mut busy).len();
    assert!((1..=3).contains(&times), "{times}");
    assert!(busy.core_of(0).counts().view_lag_ms < 500, "its own document is not held up");
}

#[test]
fn a_view_without_readers_of_pages_gets_none() {
    let mut lab = Lab::new();
    lab.submit(0, 1, jobs::fan(298));
    lab.advance(100);
    assert_eq!(page_numbers(&mut lab), Vec::<Vec<u32>>::new());
}

#[test]
fn of_many_changes_those_of_ended_jobs_are_shown_first_and_no_job_twice_without_need() {
    let mut lab = Lab::new();
    let jobs: Vec<_> = (1..=800).map(|number| lab.submit(0, number, single())).collect();
    lab.advance(100);
    assert!(jobs.iter().all(|job| shown(&lab, job).is_none()), "they may change again at once");
    for granted in lab.lease(0, poll("worker", 100)) {
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
        let (surroundings, _clock) = orrery_testing::simulated(jobs::START, 7);
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
            engine.views().is_whole()
        });
        assert_eq!(whole, lives);
    }
    assert!(wait(view.get(&jobs::subject(1))).expect("a view").is_some());
}
