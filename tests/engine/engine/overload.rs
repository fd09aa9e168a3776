//! More than can be done, and a store that is slow: what finishes work goes first, what brings new work is shed, and
//! no lease pays for the engine's slowness. Appends are held by hand; time passes only when a test says so.

use domain::job::command::Outcome;
use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Failure, Request, Response, Ticket};
use orrery::engine::core::urgency::Urgency;

use crate::harness::jobs::{poll, single};
use crate::harness::lab::{Lab, heartbeat, recorded, report_of};

fn completion() -> Outcome {
    Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() }
}

/// Each record is a batch of its own, so that the order of decisions shows.
fn one_by_one() -> Lab {
    Lab::of(1, CoreSettings { batch_events_max: 1, ..CoreSettings::default() })
}

/// Submits without waiting; the job is never looked at.
fn submit(lab: &mut Lab, number: u128) -> Ticket {
    let (subject, request) = lab.submission(number, single());
    lab.subjects.remove(&subject);
    lab.send(0, request)
}

fn is_shed(lab: &mut Lab, number: u128) -> bool {
    let ticket = submit(lab, number);
    matches!(lab.heard(ticket), Some(Response::Failed(Failure::Overloaded)))
}

#[test]
fn a_report_is_decided_before_submissions_that_came_first() {
    let mut lab = one_by_one();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    let submitted: Vec<Ticket> = (2..8).map(|number| submit(&mut lab, number)).collect();
    lab.advance(5);
    let report = lab.send(0, report_of(&held[0], completion(), b"done"));
    assert_eq!(lab.held(), 2, "as many appends as may be under way");
    // The two that were under way already, then the report.
    lab.release_append();
    lab.release_append();
    lab.release_append();
    assert!(recorded(&lab.heard(report).expect("an answer to the report")));
    let waiting = submitted.iter().filter(|ticket| lab.heard(**ticket).is_none()).count();
    assert_eq!(waiting, 4, "the submissions that came before it wait on");
    lab.release_appends();
    assert_eq!(lab.status(&job), JobStatus::Completed);
}

#[test]
fn heartbeats_and_looks_do_not_wait_for_the_appends_of_others() {
    let mut lab = one_by_one();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    for number in 2..10 {
        submit(&mut lab, number);
    }
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Heartbeat { .. }));
    assert!(matches!(lab.ask(0, Request::Read { subject: job }), Response::Read(Some(_))));
    lab.release_appends();
}

#[test]
fn a_report_that_came_behind_an_expiry_is_heard_first() {
    let mut lab = one_by_one();
    for number in 1..=4 {
        lab.submit(0, number, single());
    }
    let held = lab.lease(0, poll("worker", 4));
    lab.holds_appends = true;
    // All leases run out in one moment, and only two of the expiries get under way.
    lab.advance(30_000);
    assert_eq!((lab.held(), lab.core_of(0).counts().queued), (2, 2));
    let reports: Vec<Ticket> =
        held.iter().map(|one| lab.send(0, report_of(one, completion(), b"done"))).collect();
    lab.release_appends();
    let answers = reports.into_iter().map(|ticket| lab.heard(ticket).expect("an answer"));
    assert_eq!(answers.filter(recorded).count(), 2, "the two whose expiry was not decided yet");
}

#[test]
fn no_lease_runs_out_while_the_store_is_slow() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.advance(29_000);
    lab.holds_appends = true;
    submit(&mut lab, 2);
    lab.advance(25_000);
    assert_eq!(lab.core_of(0).counts().leases_expired, 0, "an append is away for 25 s");
    lab.release_appends();
    lab.advance(200);
    assert_eq!(lab.core_of(0).counts().leases_expired, 0, "what was held up is heard first");
    // The heartbeat that was held up meanwhile.
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Heartbeat { .. }));
    lab.advance(60_000);
    assert_eq!(lab.core_of(0).counts().leases_expired, 1, "but not for ever");
}

#[test]
fn every_lease_is_good_for_a_full_period_after_the_engine_stalled() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.advance(20_000);
    // A stopped process, a suspended machine: the clock went on, nothing was heard.
    lab.now += 60_000;
    lab.stalled(0, 60_000);
    assert_eq!(lab.core_of(0).counts().leases_expired, 0);
    lab.advance(29_000);
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Heartbeat { .. }));
    lab.advance(61_000);
    assert_eq!(lab.core_of(0).counts().leases_expired, 1);
}

#[test]
fn a_slow_store_puts_off_new_jobs_then_requests_for_work_and_never_a_report() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    assert!(!is_shed(&mut lab, 2), "the first one goes its way");
    lab.advance(501);
    assert!(is_shed(&mut lab, 3));
    assert!(lab.core_of(0).refusal(Urgency::Submit).is_some());
    assert!(lab.core_of(0).refusal(Urgency::Lease).is_none());
    lab.advance(4_000);
    let lease = lab.ask(0, Request::Lease(poll("other", 1)));
    assert!(matches!(lease, Response::Failed(Failure::Overloaded)), "{lease:?}");
    assert!(matches!(lab.ask(0, heartbeat(&held[0])), Response::Heartbeat { .. }));
    let report = lab.send(0, report_of(&held[0], completion(), b"done"));
    assert!(lab.heard(report).is_none(), "it is taken and waits for its append");
    lab.release_appends();
    assert!(recorded(&lab.heard(report).expect("an answer")));
}

#[test]
fn a_store_that_has_recovered_takes_new_jobs_within_ten_seconds_by_itself() {
    let mut lab = Lab::new();
    lab.holds_appends = true;
    submit(&mut lab, 1);
    lab.advance(8_000);
    lab.release_appends();
    assert!(is_shed(&mut lab, 2), "it was slow a moment ago");
    // Nobody asks, nothing is written: time alone must do it, and wake whoever publishes it.
    let turns = lab.turns;
    lab.advance(10_000);
    assert!(lab.core_of(0).refusal(Urgency::Submit).is_none());
    let looked = lab.turns - turns;
    assert!(looked > 20, "each 100 ms while it refuses, not when something else is due: {looked}");
    assert!(!is_shed(&mut lab, 3));
    let turns = lab.turns;
    lab.advance(10_000);
    assert!(lab.turns - turns < 20, "and nothing looks again and again afterwards");
}
