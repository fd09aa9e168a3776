//! Work that is leased by the very append that makes it ready: together with a report, and to a poll that waits while a
//! job is submitted. Whatever becomes of that append, nothing leaves before it and nobody keeps what it did not grant.

use domain::ids::SubjectId;
use domain::job::command::{JobCommand, Outcome};
use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{
    Caller, Command, Failure, Granted, Input, LeaseRequest, Request, Response, Ticket,
};
use orrery_testing::event_store::AppendFault;

use crate::harness::jobs::{self, diamond, poll, single};
use crate::harness::lab::{Lab, recorded, replayed, report_of};

fn completion(granted: &Granted) -> Request {
    let outcome = Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
    report_of(granted, outcome, b"done")
}

/// Completes, and asks for the next work in the same breath: the tickets of both.
fn complete_and_lease(lab: &mut Lab, at: usize, held: &Granted, next: LeaseRequest) -> [Ticket; 2] {
    let next = Request::NextWork { request: next, reports: 1 };
    let tickets = lab.send_all(at, vec![next, completion(held)]);
    [tickets[1], tickets[0]]
}

fn long_poll(worker: &str, wait_ms: i64) -> Request {
    Request::Lease(LeaseRequest { wait_until: jobs::START + wait_ms, ..poll(worker, 10) })
}

fn leases(lab: &mut Lab, ticket: Ticket) -> Vec<Granted> {
    match lab.heard(ticket) {
        Some(Response::Leases(granted)) => granted,
        other => panic!("no leases but {other:?}"),
    }
}

fn records(lab: &Lab) -> u64 {
    lab.core_of(0).counts().appends
}

fn ask(subject: &SubjectId, command: JobCommand) -> Request {
    let command = Command::Job(command);
    Request::Command { subject: subject.clone(), command, caller: Caller::engine() }
}

#[test]
fn a_completion_and_the_lease_of_what_it_makes_ready_share_one_append() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    let before = records(&lab);
    lab.holds_appends = true;
    let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
    assert_eq!(lab.held(), 1, "one append carries both");
    assert!(lab.heard(done).is_none() && lab.heard(next).is_none(), "and both wait for it");
    lab.release_appends();
    assert!(recorded(&lab.heard(done).expect("an answer")));
    assert_eq!(leases(&mut lab, next).len(), 2);
    assert_eq!(records(&lab), before + 1);
    assert_eq!(lab.work(0), 0, "what is leased is not offered");
    assert_eq!(lab.job(0, &job).expect("the job").head.seq, 4);
}

#[test]
fn a_poll_that_waits_gets_its_lease_with_the_append_of_the_submission() {
    let mut lab = Lab::new();
    let waits = lab.send(0, long_poll("worker", 30_000));
    lab.holds_appends = true;
    let (job, request) = lab.submission(1, single());
    let submitted = lab.send(0, request);
    assert_eq!(lab.held(), 1);
    assert!(lab.heard(submitted).is_none() && lab.heard(waits).is_none());
    lab.release_appends();
    assert!(matches!(lab.heard(submitted), Some(Response::Command { .. })));
    let held = leases(&mut lab, waits);
    assert_eq!((held.len(), records(&lab)), (1, 1));
    assert!(recorded(&lab.complete(0, &held[0])));
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}

#[test]
fn a_lease_whose_completion_meets_a_rival_is_decided_again_without_it() {
    let mut lab = Lab::of(2, CoreSettings::default());
    let all = |engine| vec![Some(engine); 64];
    lab.route(0, all(0));
    lab.route(1, all(1));
    // What one has is not asked for by the other.
    lab.hears(0, Input::Peers { engines: vec![0] });
    let job = lab.submit(0, 1, diamond());
    lab.advance(6_000);
    let held = lab.lease(0, poll("worker", 1));
    // Engine 1 pauses the job while what engine 0 decided is under way.
    lab.holds_appends = true;
    let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
    lab.holds_appends = false;
    assert!(matches!(
        lab.ask(1, ask(&job, JobCommand::Pause { reason: None })),
        Response::Command { .. }
    ));
    lab.release_appends();
    assert_eq!(lab.core_of(0).counts().conflicts, 1);
    assert!(recorded(&lab.heard(done).expect("an answer")), "the completion counts");
    assert!(leases(&mut lab, next).is_empty(), "a paused job leases nothing");
    lab.command(0, &job, JobCommand::Resume { reason: None });
    assert_eq!(lab.work(0), 3, "and nothing of the first try is left");
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.restart(0);
    lab.restart(1);
    lab.check_at_rest();
}

#[test]
fn a_lease_in_an_append_of_unknown_outcome_is_nobodys_and_uncounted() {
    let faults = [AppendFault::FailsBefore, AppendFault::ReplyLost, AppendFault::UnknownAfter];
    for fault in faults {
        let mut lab = Lab::new();
        let job = lab.submit(0, 1, diamond());
        let held = lab.lease(0, poll("worker", 1));
        lab.store.lay_down([fault]);
        let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
        for ticket in [done, next] {
            let answer = lab.heard(ticket);
            assert!(matches!(answer, Some(Response::Failed(Failure::OutcomeUnknown))));
        }
        lab.advance(1_000);
        assert!(replayed(&lab.complete(0, &held[0])));
        let again = lab.lease(0, poll("worker", 10));
        let attempts: Vec<u32> = again.iter().map(|granted| granted.attempt).collect();
        assert_eq!(attempts, [1, 1], "{fault:?}: offered again, uncounted");
        for granted in &again {
            assert!(recorded(&lab.complete(0, granted)));
        }
        assert_eq!(lab.work(0), 1);
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}

#[test]
fn a_crash_before_the_append_forgets_the_completion_and_its_lease_together() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
    lab.restart(0);
    lab.holds_appends = false;
    assert_eq!(lab.job(0, &job).expect("the job").head.seq, 2);
    assert!(lab.lease(0, poll("other", 10)).is_empty(), "nothing is ready");
    assert!(recorded(&lab.complete(0, &held[0])), "the report was not counted before");
    assert_eq!(lab.work(0), 3);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}

#[test]
fn a_poll_goes_on_waiting_when_the_submission_it_would_work_for_finds_no_room() {
    let mut lab = Lab::new();
    let waits = lab.send(0, long_poll("worker", 30_000));
    lab.store.lay_down([AppendFault::Full]);
    let (refused, request) = lab.submission(1, single());
    assert!(matches!(lab.ask(0, request), Response::Failed(Failure::Full)));
    lab.subjects.remove(&refused);
    assert!(lab.heard(waits).is_none(), "it was offered work that there is not");
    let job = lab.submit(0, 2, single());
    let held = leases(&mut lab, waits);
    assert_eq!(SubjectId::job(held[0].namespace.clone(), held[0].lease.job), job);
    assert!(recorded(&lab.complete(0, &held[0])));
    lab.check_at_rest();
}

#[test]
fn next_work_waits_for_its_reports_and_no_longer_than_it_wants() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
    lab.advance(1_000);
    assert!(lab.heard(next).is_none(), "the report may make work ready");
    lab.release_appends();
    assert!(recorded(&lab.heard(done).expect("an answer")));
    assert!(leases(&mut lab, next).is_empty(), "it did not");
    // One that wants to wait goes on waiting after its reports.
    lab.submit(0, 2, single());
    let held = lab.lease(0, poll("worker", 1));
    let waits = LeaseRequest { wait_until: lab.now + 5_000, ..poll("worker", 10) };
    let [done, next] = complete_and_lease(&mut lab, 0, &held[0], waits);
    assert!(recorded(&lab.heard(done).expect("an answer")));
    assert!(lab.heard(next).is_none());
    lab.advance(4_999);
    assert!(lab.heard(next).is_none());
    lab.advance(1);
    assert!(leases(&mut lab, next).is_empty());
    lab.check_at_rest();
}

#[test]
fn next_work_comes_after_reports_that_are_refused_too() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.command(0, &job, JobCommand::Cancel { reason: None });
    lab.advance(60_000);
    lab.submit(0, 2, single());
    let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
    assert!(!recorded(&lab.heard(done).expect("an answer")));
    let held = leases(&mut lab, next);
    assert_eq!(held.len(), 1);
    assert!(recorded(&lab.complete(0, &held[0])));
    lab.check_at_rest();
}

#[test]
fn next_work_of_a_client_that_is_gone_is_given_back() {
    for noticed in [true, false] {
        let mut lab = Lab::new();
        let job = lab.submit(0, 1, diamond());
        let held = lab.lease(0, poll("worker", 1));
        lab.holds_appends = true;
        let [done, next] = complete_and_lease(&mut lab, 0, &held[0], poll("worker", 10));
        lab.leave(0, next, false);
        if noticed {
            lab.leave(0, next, true);
        }
        lab.release_appends();
        assert!(recorded(&lab.heard(done).expect("an answer")));
        let again = lab.lease(0, poll("other", 10));
        let attempts: Vec<u32> = again.iter().map(|granted| granted.attempt).collect();
        assert_eq!(attempts, [1, 1], "noticed: {noticed}");
        for granted in &again {
            assert!(recorded(&lab.complete(0, granted)));
        }
        lab.work(0);
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}
