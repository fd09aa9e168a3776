//! Environments: admission in order, and grants that are exactly those of live jobs.

use std::collections::BTreeSet;

use domain::environment::command::EnvironmentCommand;
use domain::ids::SubjectId;
use domain::job::command::JobCommand;
use domain::job::status::JobStatus;
use orrery::engine::core::message::{Caller, Command, Request, Response};

use crate::harness::jobs::{in_environment, poll, single};
use crate::harness::lab::Lab;

fn holders(lab: &mut Lab, environment: &SubjectId) -> BTreeSet<u128> {
    lab.environment(environment).grants.keys().map(|(job, _)| job.0.as_u128()).collect()
}

/// Grants are those of the jobs that were admitted and are not over.
fn grants_match(lab: &mut Lab, environment: &SubjectId) {
    let mut admitted = BTreeSet::new();
    for subject in lab.subjects.clone() {
        if subject == *environment {
            continue;
        }
        let job = lab.job(0, &subject).expect("the job");
        if job.head.grant.is_some() && !job.head.status.is_over() {
            admitted.insert(subject.id.as_u128());
        }
    }
    assert_eq!(holders(lab, environment), admitted);
}

#[test]
fn jobs_are_admitted_in_order_and_places_are_freed() {
    let mut lab = Lab::new();
    let pool = lab.define(0, "pool", 2);
    for number in 1..=6 {
        let mut job = in_environment(single(), "pool");
        job.priority = Some(if number == 6 { 1 } else { 5 });
        lab.submit(0, number, job);
        lab.advance(10);
    }
    assert_eq!(holders(&mut lab, &pool), BTreeSet::from([1, 2]));
    let mut order = Vec::new();
    for _ in 0..6 {
        let held = lab.lease(0, poll("worker", 1));
        order.push(held[0].lease.job.0.as_u128());
        lab.complete(0, &held[0]);
        grants_match(&mut lab, &pool);
    }
    assert_eq!(order[1], 6, "the most urgent is next: {order:?}");
    lab.advance(20_000);
    assert!(holders(&mut lab, &pool).is_empty());
    lab.check_at_rest();
}

#[test]
fn a_job_cancelled_or_paused_in_the_queue_holds_nothing() {
    let mut lab = Lab::new();
    let pool = lab.define(0, "pool", 1);
    let first = lab.submit(0, 1, in_environment(single(), "pool"));
    let cancelled = lab.submit(0, 2, in_environment(single(), "pool"));
    let paused = lab.submit(0, 3, in_environment(single(), "pool"));
    assert_eq!(lab.status(&first), JobStatus::Scheduled);
    assert_eq!(lab.status(&cancelled), JobStatus::Queued);
    lab.command(0, &cancelled, JobCommand::Cancel { reason: None });
    lab.command(0, &paused, JobCommand::Pause { reason: None });
    assert_eq!(lab.work(0), 1);
    lab.advance(20_000);
    grants_match(&mut lab, &pool);
    assert!(holders(&mut lab, &pool).is_empty(), "what was granted in vain is free again");
    lab.command(0, &paused, JobCommand::Resume { reason: None });
    lab.advance(6_000);
    assert_eq!(lab.work(0), 1);
    lab.advance(20_000);
    assert!(holders(&mut lab, &pool).is_empty());
    lab.check_at_rest();
}

#[test]
fn no_grant_leaks_when_the_engine_dies_at_any_moment() {
    for appends_before in 1..12 {
        let mut lab = Lab::new();
        let pool = lab.define(0, "pool", 1);
        let (_, first) = lab.submission(1, in_environment(single(), "pool"));
        let (_, second) = lab.submission(2, in_environment(single(), "pool"));
        lab.send(0, first);
        lab.send(0, second);
        let until = lab.store.appends() + appends_before;
        for _ in 0..8 {
            if lab.store.appends() >= until {
                break;
            }
            let held = lab.lease(0, poll("worker", 1));
            for one in &held {
                lab.complete(0, one);
            }
            lab.advance(500);
        }
        lab.holds_appends = true;
        lab.advance(1_000);
        lab.holds_appends = false;
        lab.restart(0);
        for _ in 0..10 {
            lab.work(0);
            lab.advance(6_000);
        }
        for subject in lab.subjects.clone().into_iter().filter(|subject| *subject != pool) {
            assert_eq!(lab.status(&subject), JobStatus::Completed);
        }
        assert!(holders(&mut lab, &pool).is_empty(), "after {appends_before}");
        lab.check_at_rest();
    }
}

#[test]
fn no_grant_leaks_when_the_engine_dies_between_grant_and_take() {
    let mut lab = Lab::new();
    let pool = lab.define(0, "pool", 1);
    let (job, request) = lab.submission(1, in_environment(single(), "pool"));
    lab.holds_appends = true;
    lab.send(0, request);
    // One append at a time: the submission, then the grant; the taking never lands.
    for _ in 0..2 {
        lab.release_append();
    }
    assert_eq!(holders_of_stream(&lab, &pool), 1, "granted");
    lab.holds_appends = false;
    lab.restart(0);
    lab.advance(20_000);
    assert_eq!(lab.status(&job), JobStatus::Scheduled, "the grant is still owed, and taken");
    grants_match(&mut lab, &pool);
    assert_eq!(lab.work(0), 1);
    lab.advance(20_000);
    assert!(holders(&mut lab, &pool).is_empty());
}

fn holders_of_stream(lab: &Lab, pool: &SubjectId) -> usize {
    use orrery::engine::core::kinds::Entity;
    let stream = crate::harness::lab::wait(orrery::engine::loader::load(lab.store.as_ref(), pool));
    match stream.expect("a stream").entity {
        Some(Entity::Environment(environment)) => environment.grants.len(),
        _ => 0,
    }
}

#[test]
fn a_deleted_environment_leaves_memory_and_its_name_can_be_taken_again() {
    let mut lab = Lab::new();
    let pool = lab.define(0, "pool", 2);
    let delete = Command::Environment(EnvironmentCommand::Delete { waiting: 0 });
    let request =
        Request::Command { subject: pool.clone(), command: delete, caller: Caller::engine() };
    assert!(matches!(lab.ask(0, request), Response::Command { .. }));
    lab.advance(20_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    assert_eq!(lab.define(0, "pool", 3), pool);
    assert!(!lab.environment(&pool).deleted);
}
