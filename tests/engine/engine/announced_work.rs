//! Work that one engine offers and another one's workers wait for: told, asked for, merged, and never believed.

use domain::ids::{ActionType, SubjectId};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Announced, Granted, Input, LeaseRequest, Request, Response};

use crate::harness::jobs::{START, claim, diamond, fan, namespace, poll, single};
use crate::harness::lab::{Lab, Way, recorded};

fn two() -> Lab {
    Lab::of(2, CoreSettings::default())
}

/// Waits up to 10 s from the beginning of the test on.
fn waiting(worker: &str, max: usize) -> LeaseRequest {
    LeaseRequest { wait_until: START + 10_000, ..poll(worker, max) }
}

fn leases(response: Option<Response>) -> Vec<Granted> {
    match response {
        Some(Response::Leases(granted)) => granted,
        other => panic!("no leases but {other:?}"),
    }
}

/// A job that this engine drives.
fn driven_by(lab: &Lab, at: usize) -> u128 {
    let driven = |number: &u128| lab.driver_of(&crate::harness::jobs::subject(*number)) == at;
    let free = |number: &u128| !lab.subjects.contains(&crate::harness::jobs::subject(*number));
    (1..1_000).filter(free).find(driven).expect("a job of this engine")
}

fn submit_at(lab: &mut Lab, at: usize, job: domain::job::spec::JobSpec) -> SubjectId {
    let number = driven_by(lab, at);
    lab.submit(at, number, job)
}

fn attempt(lab: &mut Lab, job: &SubjectId) -> u32 {
    let granted = lab.lease(lab.driver_of(job), poll("somebody", 1));
    granted.first().expect("it is ready again").attempt
}

fn told() -> Announced {
    Announced {
        namespace: namespace(),
        queue: poll("worker", 1).queue,
        kinds: Vec::new(),
        ready: 5,
    }
}

#[test]
fn work_made_ready_on_one_engine_reaches_at_once_who_waits_at_another() {
    let mut lab = two();
    let ticket = lab.send(1, Request::Lease(waiting("worker", 1)));
    assert!(lab.heard(ticket).is_none());
    submit_at(&mut lab, 0, diamond());
    let held = leases(lab.heard(ticket));
    assert_eq!(held.len(), 1, "without a millisecond passing");
    let ticket = lab.send(1, Request::Lease(waiting("worker", 2)));
    assert!(recorded(&lab.complete(1, &held[0])));
    assert_eq!(leases(lab.heard(ticket)).len(), 2);
    assert_eq!(lab.core_of(1).counts().waiting_polls, 0);
}

#[test]
fn what_is_missing_at_home_is_asked_for_elsewhere_and_comes_in_one_answer() {
    let mut lab = Lab::of(3, CoreSettings::default());
    for at in [0, 0, 1, 2, 2, 2] {
        submit_at(&mut lab, at, single());
    }
    let held = lab.lease(0, poll("worker", 5));
    assert_eq!(held.len(), 5);
    let at_home =
        held.iter().filter(|one| lab.driver_of(&SubjectId::job(namespace(), one.lease.job)) == 0);
    assert_eq!(at_home.count(), 2);
    for one in &held {
        assert!(recorded(&lab.complete(1, one)));
    }
    assert_eq!(lab.lease(1, poll("worker", 5)).len(), 1, "no more was taken than was asked for");
}

#[test]
fn a_request_that_was_passed_on_is_never_passed_on_again() {
    let mut lab = Lab::of(3, CoreSettings::default());
    submit_at(&mut lab, 2, single());
    let before = lab.forwarded;
    let ticket = lab.give(1, Request::Lease(waiting("worker", 1)), true);
    lab.settle();
    assert!(leases(lab.heard(ticket)).is_empty(), "and it never waits");
    assert_eq!(lab.forwarded, before);
}

#[test]
fn a_hint_that_is_wrong_costs_a_question_and_nothing_else() {
    let mut lab = two();
    let ticket = lab.send(0, Request::Lease(waiting("worker", 1)));
    for _ in 0..3 {
        lab.hears(0, Input::Announced { from: 1, queues: vec![told()] });
    }
    assert_eq!(lab.forwarded, 3, "each word is asked about once");
    assert!(lab.heard(ticket).is_none());
    lab.advance(9_000);
    assert_eq!(lab.forwarded, 3);
    submit_at(&mut lab, 0, single());
    assert_eq!(leases(lab.heard(ticket)).len(), 1, "what is at home is found as ever");
}

#[test]
fn a_word_of_an_engine_that_is_not_there_is_not_heard() {
    let mut lab = two();
    lab.hears(0, Input::Announced { from: 7, queues: vec![told()] });
    lab.hears(0, Input::Announced { from: 1, queues: vec![told()] });
    lab.hears(0, Input::Peers { engines: vec![0] });
    assert!(lab.lease(0, poll("worker", 1)).is_empty());
    assert_eq!(lab.forwarded, 0);
}

#[test]
fn an_engine_that_does_not_answer_is_not_asked_for_the_same_again() {
    let mut lab = two();
    let job = submit_at(&mut lab, 0, fan(3));
    lab.way = Way::AnswersLost;
    let poll = LeaseRequest { claim: Some(claim("one")), ..poll("worker", 1) };
    assert!(lab.lease(1, poll.clone()).is_empty());
    let asked = lab.forwarded;
    assert!(lab.lease(1, LeaseRequest { claim: None, ..poll.clone() }).is_empty());
    assert_eq!(lab.forwarded, asked, "its hints are forgotten");
    lab.way = Way::Works;
    // What it leased all the same is under the claim.
    let held = lab.lease(1, poll);
    assert_eq!((held.len(), held[0].attempt), (1, 1));
    assert!(recorded(&lab.complete(1, &held[0])));
    assert_eq!(attempt(&mut lab, &job), 1);
}

#[test]
fn what_was_leased_elsewhere_for_an_asker_who_is_gone_is_given_back_uncounted() {
    for noticed in [true, false] {
        let mut lab = two();
        let ticket = lab.send(1, Request::Lease(waiting("worker", 1)));
        lab.holds_appends = true;
        let number = driven_by(&lab, 0);
        let (job, request) = lab.submission(number, single());
        lab.send(0, request);
        lab.leave(1, ticket, noticed);
        lab.release_appends();
        assert_eq!(attempt(&mut lab, &job), 1, "it was not counted");
        let [pending, ..] = lab.core_of(1).kept();
        assert_eq!(pending, 0);
    }
}

#[test]
fn work_is_told_of_once_and_again_each_second_while_it_stays() {
    let mut lab = two();
    submit_at(&mut lab, 0, fan(50));
    assert_eq!(lab.announcements, 1);
    let held = lab.lease(0, poll("worker", 1));
    lab.complete(0, &held[0]);
    assert_eq!(lab.announcements, 1, "what was told of still holds");
    lab.advance(3_500);
    assert!((4..=5).contains(&lab.announcements), "{}", lab.announcements);
    // Another engine takes all there is, and more comes.
    let held = lab.lease(1, poll("worker", 100));
    assert_eq!(held.len(), 50);
    let before = lab.announcements;
    for one in &held {
        lab.complete(1, one);
    }
    assert_eq!(lab.announcements, before + 1);
}

#[test]
fn an_engine_that_joins_hears_of_what_is_there() {
    let mut lab = two();
    lab.hears(0, Input::Peers { engines: vec![0] });
    submit_at(&mut lab, 0, single());
    assert!(lab.lease(1, poll("worker", 1)).is_empty());
    lab.hears(0, Input::Peers { engines: vec![0, 1] });
    assert_eq!(lab.lease(1, poll("worker", 1)).len(), 1);
}

#[test]
fn work_of_other_kinds_than_those_asked_for_is_still_told_of() {
    let mut lab = two();
    let kind = |word| ActionType::parse(word).expect("a kind");
    let mut job = single();
    job.nodes[0].action_type = Some("wash".to_owned());
    submit_at(&mut lab, 0, job);
    // Another engine passes on a request for something else.
    let cooks = LeaseRequest { action_types: vec![kind("cook")], ..poll("worker", 1) };
    let ticket = lab.give(0, Request::Lease(cooks), true);
    lab.settle();
    assert!(leases(lab.heard(ticket)).is_empty());
    // The hint of the beginning is long forgotten when somebody comes who washes.
    lab.advance(20_000);
    let washes = LeaseRequest { action_types: vec![kind("wash")], ..poll("worker", 1) };
    assert_eq!(lab.lease(1, washes).len(), 1);
}
