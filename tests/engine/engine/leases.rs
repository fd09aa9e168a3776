//! Leases: expiry, heartbeats, claims, long polls, order.

use domain::job::fact::{FailureFact, JobFact};
use domain::job::status::JobStatus;
use domain::refusal::Refusal;
use orrery::engine::core::message::{Request, Response};

use crate::harness::jobs::{claim, diamond, fan, node, poll, single, spec};
use crate::harness::lab::{Lab, heartbeat, recorded};
use crate::harness::{history, jobs};

fn expiries(lab: &Lab, job: &domain::ids::SubjectId) -> usize {
    let events = history::events(lab.store.as_ref(), job);
    events
        .iter()
        .filter(|event| matches!(event.fact, JobFact::Failure(FailureFact::LeaseExpired(_))))
        .count()
}

#[test]
fn a_lease_runs_out_when_heartbeats_stop_and_not_before() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    for _ in 0..20 {
        lab.advance(20_000);
        assert!(matches!(lab.heartbeat(0, &held[0]), Response::Heartbeat { .. }));
    }
    assert_eq!(expiries(&lab, &job), 0);
    lab.advance(29_999);
    assert_eq!(expiries(&lab, &job), 0);
    lab.advance(2);
    assert_eq!(expiries(&lab, &job), 1);
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Refused(Refusal::LeaseLost)));
    assert!(!recorded(&lab.complete(0, &held[0])), "a stale report does not count");
    lab.advance(10_000);
    assert_eq!(lab.lease(0, poll("other", 1)).len(), 1);
    history::check(lab.store.as_ref(), &job);
}

#[test]
fn a_heartbeat_that_has_arrived_keeps_its_lease() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    // Something of the job is in the middle of an append as its heartbeat comes and its time goes by.
    lab.advance(29_000);
    lab.holds_appends = true;
    let command = domain::job::command::JobCommand::Pause { reason: None };
    let request = Request::Command {
        subject: job.clone(),
        command: orrery::engine::core::message::Command::Job(command),
        caller: orrery::engine::core::message::Caller::engine(),
    };
    lab.send(0, request);
    let kept = lab.send(0, heartbeat(&held[0]));
    lab.now += 1_500;
    lab.release_appends();
    assert!(matches!(lab.heard(kept), Some(Response::Heartbeat { .. })));
    lab.advance(5_000);
    assert_eq!(expiries(&lab, &job), 0);
    assert!(recorded(&lab.complete(0, &held[0])));
}

#[test]
fn a_lease_is_good_for_a_full_period_after_a_restart() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.advance(25_000);
    lab.restart(0);
    lab.advance(29_000);
    assert_eq!(expiries(&lab, &job), 0);
    assert!(recorded(&lab.complete(0, &held[0])));
}

#[test]
fn a_poll_that_waits_is_served_when_work_appears() {
    let mut lab = Lab::new();
    let waits = jobs::START + 30_000;
    let waits = Request::Lease(orrery::engine::core::message::LeaseRequest {
        wait_until: waits,
        ..poll("worker", 1)
    });
    let first = lab.send(0, waits.clone());
    let second = lab.send(0, waits);
    lab.advance(1_000);
    assert!(lab.heard(first).is_none());
    lab.submit(0, 1, single());
    let Some(Response::Leases(granted)) = lab.heard(first) else { panic!("the first is served") };
    assert_eq!(granted.len(), 1);
    assert!(lab.heard(second).is_none(), "the second goes on waiting");
    lab.advance(30_000);
    assert!(matches!(lab.heard(second), Some(Response::Leases(none)) if none.is_empty()));
}

#[test]
fn a_poll_whose_client_is_gone_holds_no_lease() {
    for noticed in [true, false] {
        let mut lab = Lab::new();
        let waits = Request::Lease(orrery::engine::core::message::LeaseRequest {
            wait_until: jobs::START + 30_000,
            ..poll("worker", 1)
        });
        let gone = lab.send(0, waits);
        lab.leave(0, gone, noticed);
        let job = lab.submit(0, 1, single());
        let held = lab.lease(0, poll("other", 1));
        assert_eq!(held.len(), 1, "noticed: {noticed}");
        assert_eq!(held[0].attempt, 1, "it was not counted");
        assert!(recorded(&lab.complete(0, &held[0])));
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}

#[test]
fn the_same_claim_gives_the_same_leases_also_after_a_restart() {
    let mut lab = Lab::new();
    lab.submit(0, 1, fan(3));
    lab.submit(0, 2, fan(3));
    let wanted = orrery::engine::core::message::LeaseRequest {
        claim: Some(claim("the first")),
        ..poll("worker", 10)
    };
    let ids = |granted: &[orrery::engine::core::message::Granted]| {
        let mut ids: Vec<_> = granted.iter().map(|one| one.lease).collect();
        ids.sort();
        ids
    };
    let first = lab.lease(0, wanted.clone());
    assert_eq!(first.len(), 2);
    assert_eq!(ids(&lab.lease(0, wanted.clone())), ids(&first));
    lab.restart(0);
    assert_eq!(ids(&lab.lease(0, wanted.clone())), ids(&first));
    let other =
        orrery::engine::core::message::LeaseRequest { claim: Some(claim("another")), ..wanted };
    assert!(lab.lease(0, other).is_empty());
}

#[test]
fn an_old_claim_never_gives_another_workers_lease() {
    let mut lab = Lab::new();
    let wanted = orrery::engine::core::message::LeaseRequest {
        claim: Some(claim("old")),
        ..poll("worker", 10)
    };
    lab.submit(0, 1, single());
    let first = lab.lease(0, wanted.clone());
    assert!(recorded(&lab.complete(0, &first[0])));
    lab.advance(1_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0, "its place in memory is free");
    lab.submit(0, 2, single());
    let others = orrery::engine::core::message::LeaseRequest {
        claim: Some(claim("new")),
        ..poll("other", 1)
    };
    assert_eq!(lab.lease(0, others).len(), 1);
    assert!(lab.lease(0, wanted).is_empty());
}

#[test]
fn urgent_work_goes_first_and_old_work_is_not_starved() {
    let mut lab = Lab::new();
    let job = |priority| {
        let mut job = single();
        job.priority = Some(priority);
        job
    };
    let low = lab.submit(0, 1, job(10));
    lab.advance(1_000);
    let high = lab.submit(0, 2, job(1));
    let first = lab.lease(0, poll("worker", 1));
    assert_eq!(first[0].lease.job.0, high.id);
    assert!(recorded(&lab.complete(0, &first[0])));
    lab.advance(9 * 30_000);
    let late = lab.submit(0, 3, job(1));
    let second = lab.lease(0, poll("worker", 1));
    assert_eq!(second[0].lease.job.0, low.id, "nine steps of age");
    assert_eq!(lab.lease(0, poll("worker", 1))[0].lease.job.0, late.id);
}

#[test]
fn a_node_with_an_action_type_goes_to_those_who_ask_for_it() {
    let mut lab = Lab::new();
    let mut build = node("build", &[]);
    build.action_type = Some("build".to_owned());
    lab.submit(0, 1, spec(vec![build, node("plain", &[])]));
    let asks = |word: &str| orrery::engine::core::message::LeaseRequest {
        action_types: vec![domain::ids::ActionType::parse(word).expect("an action")],
        ..poll("worker", 10)
    };
    assert!(lab.lease(0, asks("test")).is_empty());
    assert_eq!(lab.lease(0, asks("build")).len(), 1);
    assert_eq!(lab.lease(0, poll("worker", 10)).len(), 1);
}

#[test]
fn one_answer_carries_inputs_up_to_its_bound_and_the_rest_stays_offered() {
    let mut lab = Lab::new();
    let large = format!("\"{}\"", "x".repeat(250 * 1_024));
    let nodes = (0..40).map(|at| {
        let input = serde_json::value::RawValue::from_string(large.clone()).expect("JSON");
        domain::node::spec::NodeSpec { input: Some(input), ..node(&format!("n{at}"), &[]) }
    });
    lab.submit(0, 1, spec(nodes.collect()));
    let first = lab.lease(0, poll("worker", 1_000));
    assert!(first.len() < 40, "{} leases of 250 KiB in one answer", first.len());
    let second = lab.lease(0, poll("worker", 1_000));
    assert_eq!(first.len() + second.len(), 40, "what did not fit is still offered");
}

#[test]
fn a_restore_voids_what_was_leased_before_it() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let mut polled = poll("worker", 1);
    polled.claim = Some(claim("c"));
    let held = lab.lease(0, polled.clone());
    lab.store.raise_incarnation();
    lab.restart(0);
    assert!(matches!(lab.heartbeat(0, &held[0]), Response::Refused(Refusal::LeaseLost)));
    assert!(!recorded(&lab.complete(0, &held[0])), "whoever leased it may have lost it long ago");
    assert!(lab.lease(0, polled).is_empty(), "its claim gives nothing either");
    assert_eq!(expiries(&lab, &job), 1, "and nobody waits until it runs out");
    lab.advance(10_000);
    let again = lab.lease(0, poll("other", 1));
    assert!(again[0].lease.epoch.0 >> 32 == 2 && recorded(&lab.complete(0, &again[0])));
    assert_eq!(lab.work(0), 3);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}
