//! What an engine may do only while its groups are surely its own, commands that are passed on, and environments whose
//! driver changes.

use domain::ids::{Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::fact::Patch;
use domain::job::spec::Start;
use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, Failure, Input, Response};
use orrery::event_store::contract::EventStore as _;

use crate::harness::jobs::{fan, in_environment, poll, single};
use crate::harness::lab::{Lab, Way, recorded, wait};

fn two() -> Lab {
    Lab::of(2, CoreSettings::default())
}

fn until(lab: &mut Lab, at: usize, until: Millis) {
    lab.hears(at, Input::Drives { until });
}

fn head(lab: &Lab, subject: &SubjectId) -> u64 {
    let part = wait(lab.store.read(subject, 1, usize::MAX)).expect("a store");
    part.records.last().map_or(0, |last| last.first + u64::from(last.count) - 1)
}

#[test]
fn a_heartbeat_is_kept_only_while_the_groups_are_surely_its_own() {
    let mut lab = two();
    let job = lab.submit(0, 1, single());
    let driver = lab.driver_of(&job);
    let held = lab.lease(driver, poll("worker", 1));
    let end = lab.now + 10_000;
    until(&mut lab, driver, end);
    lab.advance(7_900);
    assert!(matches!(lab.heartbeat(driver, &held[0]), Response::Heartbeat { .. }));
    lab.advance(200);
    let late = lab.heartbeat(driver, &held[0]);
    assert!(matches!(late, Response::Failed(Failure::Unavailable)), "{late:?}");
    assert!(recorded(&lab.complete(driver, &held[0])), "the append says who is right about this");
}

#[test]
fn no_lease_runs_out_while_somebody_else_may_have_heard_its_heartbeats() {
    let mut lab = two();
    let job = lab.submit(0, 1, single());
    let driver = lab.driver_of(&job);
    let held = lab.lease(driver, poll("worker", 1));
    let now = lab.now;
    until(&mut lab, driver, now);
    lab.advance(120_000);
    let leased = head(&lab, &job);
    until(&mut lab, driver, Millis::MAX);
    lab.advance(29_000);
    assert_eq!(head(&lab, &job), leased, "good for one full period more");
    assert!(matches!(lab.heartbeat(driver, &held[0]), Response::Heartbeat { .. }));
    lab.advance(40_000);
    assert!(head(&lab, &job) > leased, "then it runs out");
}

#[test]
fn no_subject_is_parked_by_an_engine_that_may_not_drive_it_any_more() {
    let mut lab = two();
    let mut by_hand = single();
    by_hand.start = Start::Manual;
    let job = lab.submit(0, 1, by_hand);
    let driver = lab.driver_of(&job);
    let now = lab.now;
    until(&mut lab, driver, now);
    lab.advance(20_000);
    assert_eq!(lab.core_of(driver).counts().subjects, 1);
    until(&mut lab, driver, Millis::MAX);
    lab.advance(20_000);
    assert_eq!(lab.core_of(driver).counts().subjects, 0);
}

#[test]
fn a_command_that_was_passed_on_is_decided_once_also_when_its_answer_is_lost() {
    let mut lab = two();
    let job = lab.submit(0, 1, fan(2));
    let other = 1 - lab.driver_of(&job);
    lab.way = Way::AnswersLost;
    for number in 0..5 {
        let before = head(&lab, &job);
        let patch = Patch { description: Some(Some(format!("{number}"))), ..Patch::default() };
        let command = JobCommand::Patch(Box::new(patch));
        let answer = lab.command_by(other, &job, command, Caller::engine());
        assert!(matches!(answer, Response::Command { .. }), "{answer:?}");
        assert_eq!(head(&lab, &job), before + 1);
    }
}

#[test]
fn a_look_shows_what_another_engine_acknowledged() {
    let mut lab = two();
    let job = lab.submit(0, 1, fan(2));
    let (driver, other) = (lab.driver_of(&job), 1 - lab.driver_of(&job));
    lab.way = Way::Cut;
    let paused = lab.command(other, &job, JobCommand::Pause { reason: None });
    assert!(matches!(paused, Response::Command { .. }), "{paused:?}");
    for at in [driver, other] {
        let shown = lab.job(at, &job).expect("the job");
        assert_eq!(shown.head.status, JobStatus::Paused, "on engine {at}");
    }
}

#[test]
fn grants_stay_whole_when_the_driver_of_their_environment_changes() {
    let mut lab = two();
    let pool = lab.define(0, "pool", 2);
    for number in 1..=8 {
        lab.submit(0, number, in_environment(single(), "pool"));
    }
    lab.advance(100);
    for round in 0..40_u32 {
        assert!(lab.environment(&pool).grants.len() <= 2);
        let all = vec![Some(round % 2); 64];
        lab.route(0, all.clone());
        if round % 3 == 0 {
            // The other engine learns of it later, with grants under way.
            lab.work(0);
            lab.advance(1_000);
        }
        lab.route(1, all);
        lab.advance(6_000);
        lab.work(0);
        lab.work(1);
    }
    for subject in lab.subjects.clone().into_iter().filter(|subject| *subject != pool) {
        assert_eq!(lab.status(&subject), JobStatus::Completed);
    }
    lab.advance(20_000);
    assert!(lab.environment(&pool).grants.is_empty());
    lab.check_at_rest();
}

#[test]
fn a_job_whose_engine_is_silent_keeps_its_grant() {
    let mut lab = two();
    let pool = lab.define(0, "pool", 1);
    let driver = lab.driver_of(&pool);
    let elsewhere = (1..100).find(|n| lab.driver_of(&crate::harness::jobs::subject(*n)) != driver);
    let job = lab.submit(0, elsewhere.expect("a job"), in_environment(single(), "pool"));
    lab.advance(3_000);
    assert_eq!(lab.environment(&pool).grants.len(), 1);
    lab.way = Way::Cut;
    lab.advance(60_000);
    lab.way = Way::Works;
    assert_eq!(lab.environment(&pool).grants.len(), 1, "silence frees nothing");
    assert!(!lab.status(&job).is_over());
    // Its engine tells of its work again.
    lab.advance(1_100);
    assert_eq!(lab.work(0), 1);
    lab.advance(12_000);
    assert!(lab.environment(&pool).grants.is_empty());
}

#[test]
fn a_group_that_comes_back_while_a_document_is_on_its_way_is_driven_at_once() {
    let mut lab = Lab::of(2, CoreSettings::default());
    lab.holds_flushes = true;
    let drivers = |engine| vec![Some(engine); 64];
    lab.route(0, drivers(0));
    let job = lab.submit(0, 1, single());
    lab.advance(1_000);
    assert_eq!(lab.held(), 1, "its document is on its way");
    lab.route(0, drivers(1));
    assert!(lab.core_of(0).committed_state(&job).is_some(), "it stays for that");
    lab.route(0, drivers(0));
    assert_eq!(lab.core_of(0).counts().ready, 1);
    assert_eq!(lab.lease(0, poll("worker", 1)).len(), 1);
    lab.release_appends();
    lab.check_at_rest();
}
