//! Jobs from submission to their end, and what is left of them afterwards.

use domain::job::status::JobStatus;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Failure, Request, Response};

use crate::harness::history;
use crate::harness::jobs::{diamond, fan, poll, single};
use crate::harness::lab::{Lab, recorded};

#[test]
fn a_diamond_runs_to_its_end_and_leaves_memory() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    assert_eq!(lab.work(0), 4);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
    assert_eq!(lab.core_of(0).counts().subjects, 0, "a finished job is retired");
    assert_eq!(jobs_mark(&lab, &job), None, "its wake-up is gone");
    assert_eq!(lab.status(&job), JobStatus::Completed, "it is read from its stream");
}

fn jobs_mark(lab: &Lab, job: &domain::ids::SubjectId) -> Option<i64> {
    use orrery::event_store::contract::EventStore as _;
    let mark = crate::harness::lab::wait(lab.store.mark(job)).expect("a store");
    mark.map(|mark| mark.due)
}

#[test]
fn a_thousand_nodes_fan_out_and_join() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, fan(1_000));
    assert_eq!(lab.work(0), 1_002);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
    let leased = history::check(lab.store.as_ref(), &job);
    assert!(leased.values().all(|times| *times == 1));
}

#[test]
fn many_jobs_share_batches() {
    let mut lab = Lab::new();
    lab.holds_appends = true;
    for number in 1..=100 {
        let (_, request) = lab.submission(number, single());
        lab.send(0, request);
    }
    assert_eq!(lab.held(), 2, "no more appends are under way than allowed");
    lab.release_appends();
    assert!(lab.store.appends() <= 4, "what gathered meanwhile went together");
    assert_eq!(lab.work(0), 100);
    lab.check_at_rest();
}

#[test]
fn an_idle_engine_only_looks_every_few_seconds() {
    let mut lab = Lab::new();
    lab.define(0, "pool", 1);
    for number in 1..=20 {
        let mut job = diamond();
        job.timeout_ms = Some(3_600_000);
        lab.submit(0, number, job);
    }
    let held = lab.lease(0, poll("worker", 3));
    for one in &held {
        assert!(recorded(&lab.complete(0, one)));
    }
    lab.advance(30_000);
    let before = lab.turns;
    lab.advance(600_000);
    assert!(lab.turns - before <= 600, "{} turns in ten minutes", lab.turns - before);
}

#[test]
fn overload_refuses_submissions_and_takes_reports() {
    let settings = CoreSettings { queue_max: 20, ..CoreSettings::default() };
    let mut lab = Lab::of(1, settings);
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.holds_appends = true;
    let mut refused = 0;
    for number in 2..=40 {
        let (subject, request) = lab.submission(number, single());
        let ticket = lab.send(0, request);
        if let Some(answer) = lab.heard(ticket) {
            assert!(matches!(answer, Response::Failed(Failure::Overloaded)), "{answer:?}");
            lab.subjects.remove(&subject);
            refused += 1;
        }
    }
    assert!(refused > 0);
    let outcome = domain::job::command::Outcome::Complete {
        output: None,
        warnings: Vec::new(),
        artifacts: Vec::new(),
    };
    let report = crate::harness::lab::report_of(&held[0], outcome, b"done");
    let ticket = lab.send(0, report);
    assert!(lab.heard(ticket).is_none(), "it waits for its append");
    lab.release_appends();
    assert!(recorded(&lab.heard(ticket).expect("an answer")));
    assert_eq!(lab.status(&job), JobStatus::Completed);
}

#[test]
fn a_view_that_falls_behind_holds_up_submissions_and_nothing_else() {
    let mut lab = Lab::new();
    lab.submit(0, 1, single());
    lab.view_fails = true;
    assert_eq!(lab.work(0), 1);
    lab.advance(10_000);
    let (subject, request) = lab.submission(2, single());
    let answer = lab.ask(0, request);
    assert!(matches!(answer, Response::Failed(Failure::ViewBehind)), "{answer:?}");
    lab.subjects.remove(&subject);
    assert!(lab.core_of(0).counts().subjects > 0, "nothing is retired that the view does not show");
    lab.view_fails = false;
    lab.advance(1_000);
    lab.submit(0, 3, single());
    assert_eq!(lab.work(0), 1);
    lab.check_at_rest();
}

#[test]
fn a_damaged_stream_parks_its_subject_and_no_other() {
    use orrery::event_store::contract::{AppendItem, EventStore as _, Record};
    let mut lab = Lab::new();
    let (damaged, _) = lab.submission(1, single());
    lab.subjects.clear();
    let body: std::sync::Arc<[u8]> = std::sync::Arc::from(&b"{\"not\":\"an event\"}"[..]);
    let record = Record { first: 1, count: 1, nonce: 1, at: lab.now, body, hash: [0; 32] };
    let item = AppendItem {
        subject: damaged.clone(),
        record,
        payloads: Vec::new(),
        wake: Some(lab.now),
        may_use_reserve: true,
    };
    crate::harness::lab::wait(lab.store.append(vec![item])).expect("a store");
    lab.advance(6_000);
    let answer = lab.ask(0, Request::Read { subject: damaged });
    assert!(matches!(answer, Response::Failed(Failure::Damaged(_))), "{answer:?}");
    let other = lab.submit(0, 2, diamond());
    assert_eq!(lab.work(0), 4);
    assert_eq!(lab.status(&other), JobStatus::Completed);
}

#[test]
fn events_that_do_not_fit_their_chain_are_never_applied() {
    use orrery::event_store::contract::{AppendItem, EventStore as _, EventStoreError, Record};
    let mut lab = Lab::new();
    let (small, large) = (lab.submit(0, 1, single()), lab.submit(0, 2, fan(5)));
    assert_eq!(lab.work(0), 8);
    let lines = |subject: &domain::ids::SubjectId| -> Vec<Vec<u8>> {
        let part =
            crate::harness::lab::wait(lab.store.read(subject, 1, usize::MAX)).expect("a stream");
        let bodies = part.records.iter().map(|record| record.body.split(|byte| *byte == b'\n'));
        bodies.flatten().map(<[u8]>::to_vec).collect()
    };
    // A job of one node, and then what happened to the nodes of another: no state can take that.
    let mut events = vec![lines(&small).remove(0)];
    events.extend(lines(&large).into_iter().skip(1));
    let record = Record {
        first: 1,
        count: u32::try_from(events.len()).expect("few"),
        nonce: 1,
        at: lab.now,
        body: events.join(&b'\n').into(),
        hash: [0; 32],
    };
    let mixed = domain::ids::SubjectId { id: uuid::Uuid::from_u128(3), ..small };
    let item = AppendItem {
        subject: mixed.clone(),
        record,
        payloads: Vec::new(),
        wake: Some(lab.now),
        may_use_reserve: true,
    };
    crate::harness::lab::wait(lab.store.append(vec![item])).expect("a store");
    let loaded =
        crate::harness::lab::wait(orrery::engine::loader::load(lab.store.as_ref(), &mixed));
    assert!(matches!(loaded, Err(EventStoreError::Damaged { .. })), "{loaded:?}");
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let mut lab = Lab::new();
        for number in 1..=20 {
            lab.submit(0, number, fan(5));
        }
        lab.work(0);
        lab.check_at_rest();
        let digest = |subject: &domain::ids::SubjectId| {
            let stream = crate::harness::lab::wait(orrery::engine::loader::load(
                lab.store.as_ref(),
                subject,
            ));
            stream.expect("a stream").chain
        };
        lab.subjects.iter().map(digest).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
