//! Jobs that wait for something far away leave memory and come back when it is time, or when somebody asks.

use domain::job::command::JobCommand;
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use orrery::engine::core::message::Response;
use orrery::event_store::contract::EventStore as _;
use orrery_testing::event_store::Faults;

use crate::harness::jobs::{self, diamond, poll, single};
use crate::harness::lab::{Lab, recorded, wait};

#[test]
fn a_job_scheduled_far_away_is_dropped_and_comes_back_in_time() {
    let mut lab = Lab::new();
    let mut later = single();
    later.scheduled_at = Some(jobs::START + 3_600_000);
    let job = lab.submit(0, 1, later);
    lab.advance(1_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    lab.restart(0);
    lab.advance(3_600_000 - 1_001);
    assert!(lab.lease(0, poll("worker", 1)).is_empty());
    lab.advance(2);
    assert_eq!(lab.work(0), 1);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}

#[test]
fn a_job_started_by_hand_waits_outside_memory() {
    let mut lab = Lab::new();
    let mut by_hand = diamond();
    by_hand.start = Start::Manual;
    let job = lab.submit(0, 1, by_hand);
    lab.advance(1_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    assert!(matches!(lab.command(0, &job, JobCommand::Start), Response::Command { .. }));
    let mark = wait(lab.store.mark(&job)).expect("a store").expect("a mark");
    assert!(mark.due <= lab.now, "the mark was moved first: an engine that dies now is followed");
    lab.restart(0);
    assert_eq!(lab.work(0), 4);
    lab.check_at_rest();
}

#[test]
fn a_paused_job_waits_outside_memory_and_goes_on() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    lab.command(0, &job, JobCommand::Pause { reason: None });
    assert!(recorded(&lab.complete(0, &held[0])), "what runs may finish");
    assert!(lab.lease(0, poll("worker", 1)).is_empty());
    lab.advance(1_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    lab.command(0, &job, JobCommand::Resume { reason: None });
    assert_eq!(lab.work(0), 3);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}

#[test]
fn marks_that_cannot_be_moved_are_tried_again_without_haste() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    lab.work(0);
    lab.store.set_faults(Faults { seed: 3, call_fails_per_mille: 1_000, ..Default::default() });
    lab.advance(1_000);
    let before = lab.turns;
    lab.advance(20_000);
    assert!(lab.turns - before < 300, "{} turns", lab.turns - before);
    lab.store.set_faults(Faults::default());
    lab.check_at_rest();
    assert_eq!(lab.core_of(0).counts().subjects, 0);
}

#[test]
fn a_cancelled_job_ends_when_its_attempts_do() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    lab.command(0, &job, JobCommand::Cancel { reason: None });
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Heartbeat { cancel: true, .. }));
    lab.advance(29_000);
    lab.heartbeat(0, &held[0]);
    lab.advance(2_000);
    assert_eq!(lab.status(&job), JobStatus::Cancelled, "the grace is over");
    assert!(!recorded(&lab.complete(0, &held[0])));
    lab.check_at_rest();
}

#[test]
fn ten_thousand_jobs_that_wait_for_far_things_leave_memory_and_are_found_when_due() {
    const JOBS: u128 = 10_000;
    const FAR_MS: i64 = 180_000;
    let mut lab = Lab::new();
    for number in 1..=JOBS {
        let mut later = single();
        // Two kinds of far things: a time, and a person.
        if number % 10 == 0 {
            later.start = Start::Manual;
        } else {
            later.scheduled_at = Some(jobs::START + FAR_MS);
        }
        lab.submit(0, number, later);
        lab.subjects.clear();
        // Time to be shown: only then may they leave.
        if number % 1_000 == 0 {
            lab.advance(2_000);
            let kept = lab.core_of(0).counts().subjects;
            assert!(kept < 1_000, "{kept} jobs in memory after {number}");
        }
    }
    lab.advance(2_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    lab.advance(FAR_MS / 2);
    assert_eq!(lab.core_of(0).counts().subjects, 0, "nobody is loaded before it is time");
    lab.advance(jobs::START + FAR_MS - lab.now + 1);
    assert_eq!(lab.core_of(0).counts().ready, 9_000, "each is offered in time");
    assert_eq!(lab.core_of(0).counts().subjects, 9_000);
    assert_eq!(lab.work(0), 9_000);
    lab.advance(10_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0, "and leaves again when it is over");
}

#[test]
fn a_job_whose_mark_may_have_moved_is_found_again_after_it_was_started() {
    for seed in 0..8 {
        let mut lab = Lab::new();
        let mut by_hand = single();
        by_hand.start = Start::Manual;
        let job = lab.submit(0, 1, by_hand);
        // The move of its mark fails, having been made or not.
        let fails = Faults { seed, call_fails_per_mille: 1_000, ..Faults::default() };
        lab.store.set_faults(fails);
        lab.advance(1_000);
        lab.store.set_faults(Faults::default());
        let started = lab.command(0, &job, JobCommand::Start);
        assert!(matches!(started, Response::Command { .. }), "{started:?}");
        lab.restart(0);
        assert_eq!(lab.work(0), 1, "seed {seed}");
    }
}
