//! Queues, action types and job types that are paused: nothing of them is leased, at any engine, and who waits for it gets it
//! when it is resumed.

use std::sync::Arc;

use domain::catalog::command::CatalogCommand;
use domain::catalog::paused::{PauseEnd, PauseTarget};
use domain::ids::{ActionType, QueueName, SubjectId};
use domain::job::spec::JobSpec;
use domain::planted::{self, Planted};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, LeaseRequest, Request, Response};

use crate::harness::jobs::{namespace, node, poll, spec};
use crate::harness::lab::Lab;

fn queue(name: &str) -> PauseTarget {
    PauseTarget::Queue(QueueName::parse(name).expect("a name"))
}

fn kind(name: &str) -> PauseTarget {
    PauseTarget::ActionType(ActionType::parse(name).expect("a name"))
}

fn job_type(name: &str) -> PauseTarget {
    PauseTarget::JobType(Arc::from(name))
}

fn send(lab: &mut Lab, at: usize, command: CatalogCommand) {
    let subject = SubjectId::catalog(namespace());
    let request = Request::Command { subject, command: command.into(), caller: Caller::engine() };
    let answer = lab.ask(at, request);
    assert!(matches!(answer, Response::Command { .. }), "{answer:?}");
}

fn pause(lab: &mut Lab, at: usize, target: PauseTarget, for_ms: Option<u64>) {
    let until = for_ms.map(PauseEnd::After);
    send(lab, at, CatalogCommand::Pause { namespace: namespace(), target, until, reason: None });
}

fn resume(lab: &mut Lab, at: usize, target: PauseTarget) {
    send(lab, at, CatalogCommand::Resume { target, reason: None });
}

fn leased(lab: &mut Lab, at: usize) -> usize {
    lab.lease(at, poll("worker", 100)).len()
}

/// A job of so many nodes of one kind of work.
fn nodes(job_type: Option<&str>, action: Option<&str>, many: usize) -> JobSpec {
    let mut job = spec((0..many).map(|at| node(&format!("n{at}"), &[])).collect());
    job.job_type = job_type.map(str::to_owned);
    for node in &mut job.nodes {
        node.action_type = action.map(str::to_owned);
    }
    job
}

#[test]
fn nothing_of_a_paused_queue_is_leased_until_it_is_resumed() {
    let mut lab = Lab::new();
    lab.submit(0, 1, nodes(None, None, 3));
    assert_eq!(lab.lease(0, poll("worker", 1)).len(), 1);
    pause(&mut lab, 0, queue("default"), None);
    assert_eq!(leased(&mut lab, 0), 0);
    lab.submit(0, 2, nodes(None, None, 3));
    assert_eq!(leased(&mut lab, 0), 0, "also what comes later");
    assert_eq!(lab.core_of(0).counts().stalled_queues, 0);
    resume(&mut lab, 0, queue("default"));
    assert_eq!(leased(&mut lab, 0), 5);
}

#[test]
fn what_is_not_paused_goes_on_beside_it() {
    let mut lab = Lab::new();
    lab.submit(0, 1, nodes(Some("etl"), Some("cook"), 2));
    lab.submit(0, 2, nodes(Some("web"), Some("wash"), 3));
    lab.submit(0, 3, nodes(None, None, 4));
    pause(&mut lab, 0, kind("cook"), None);
    pause(&mut lab, 0, job_type("web"), None);
    pause(&mut lab, 0, queue("other"), None);
    assert_eq!(leased(&mut lab, 0), 4);
    resume(&mut lab, 0, job_type("web"));
    assert_eq!(leased(&mut lab, 0), 3);
    resume(&mut lab, 0, kind("cook"));
    assert_eq!(leased(&mut lab, 0), 2);
}

#[test]
fn a_pause_ends_by_itself_and_wakes_who_waits() {
    for target in [queue("default"), kind("cook"), job_type("etl")] {
        let mut lab = Lab::new();
        pause(&mut lab, 0, target, Some(5_000));
        lab.submit(0, 1, nodes(Some("etl"), Some("cook"), 2));
        let until = lab.now + 20_000;
        let waits = LeaseRequest { wait_until: until, ..poll("worker", 10) };
        let ticket = lab.send(0, Request::Lease(waits));
        lab.advance(4_999);
        assert!(lab.heard(ticket).is_none());
        lab.advance(1);
        let answer = lab.heard(ticket);
        assert!(matches!(answer, Some(Response::Leases(leases)) if leases.len() == 2));
    }
}

#[test]
fn a_pause_holds_after_a_restart_before_anything_is_leased() {
    let mut lab = Lab::new();
    lab.submit(0, 1, nodes(Some("etl"), Some("cook"), 2));
    pause(&mut lab, 0, job_type("etl"), None);
    lab.restart(0);
    assert_eq!(leased(&mut lab, 0), 0);
    lab.advance(2_000);
    assert_eq!(leased(&mut lab, 0), 0);
    resume(&mut lab, 0, job_type("etl"));
    assert_eq!(leased(&mut lab, 0), 2);
}

#[test]
fn the_planted_bug_leases_what_is_paused_after_a_restart() {
    let mut lab = Lab::new();
    lab.submit(0, 1, nodes(None, None, 2));
    pause(&mut lab, 0, queue("default"), None);
    planted::plant(Some(Planted::PausesUnread));
    lab.restart(0);
    lab.advance(2_000);
    let leased = leased(&mut lab, 0);
    planted::plant(None);
    assert_eq!(leased, 2);
}

#[test]
fn a_pause_and_its_end_hold_at_every_engine_within_a_second() {
    for target in [queue("default"), kind("cook"), job_type("etl")] {
        let mut lab = Lab::of(2, CoreSettings { alone: false, ..CoreSettings::default() });
        for number in 1..=20 {
            lab.submit(0, number, nodes(Some("etl"), Some("cook"), 1));
        }
        lab.advance(100);
        assert_eq!(lab.lease(0, poll("worker", 1)).len(), 1);
        assert_eq!(lab.lease(1, poll("worker", 1)).len(), 1);
        pause(&mut lab, 0, target.clone(), None);
        lab.advance(1_000);
        assert_eq!((leased(&mut lab, 0), leased(&mut lab, 1)), (0, 0), "{target}");
        let waits = LeaseRequest { wait_until: lab.now + 20_000, ..poll("worker", 100) };
        let ticket = lab.send(1, Request::Lease(waits));
        lab.advance(3_000);
        assert!(lab.heard(ticket).is_none());
        resume(&mut lab, 0, target.clone());
        lab.advance(1_000);
        let answer = lab.heard(ticket);
        assert!(matches!(answer, Some(Response::Leases(leases)) if !leases.is_empty()), "{target}");
    }
}

#[test]
fn a_poll_does_not_look_at_what_is_paused() {
    let mut lab = Lab::new();
    lab.submit(0, 1, nodes(Some("etl"), Some("cook"), 10_000));
    lab.submit(0, 2, nodes(None, None, 1));
    assert!(
        lab.lease(
            0,
            LeaseRequest { queue: QueueName::parse("x").expect("a name"), ..poll("w", 1) }
        )
        .is_empty()
    );
    pause(&mut lab, 0, job_type("etl"), None);
    let ready = |lab: &Lab| lab.core_of(0).counts().ready;
    assert_eq!(ready(&lab), 1, "they lie in no queue");
    assert_eq!(leased(&mut lab, 0), 1);
    resume(&mut lab, 0, job_type("etl"));
    assert_eq!(ready(&lab), 10_000);
}
