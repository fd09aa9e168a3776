//! Jobs that are over are let go of: whole, once, and without coming back through anything that is late.

use std::sync::Arc;

use domain::ids::{CommandId, JobId, Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::status::JobStatus;
use domain::payload::Hash;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::message::{Caller, Command, Request, Response};
use orrery::event_store::contract::EventStore as _;
use orrery::view::contract::View as _;
use orrery_testing::event_store::Faults;

use crate::harness::jobs::{self, diamond, in_environment, poll, single};
use crate::harness::lab::{Lab, recorded, wait};
use crate::harness::view_document::One as _;

const DAY_MS: Millis = 24 * 3_600 * 1_000;

fn keyed(body: &[u8]) -> Caller {
    let id = CommandId::parse("POST /jobs key").expect("an id");
    let mark = Some(CommandMark { id, body: Hash::of(body), keyed: true });
    Caller { mark, ..Caller::engine() }
}

/// Submits the job of a key.
fn submit(lab: &mut Lab, number: u128, body: &[u8]) -> Response {
    let subject = jobs::subject(number);
    let submission = jobs::submission(JobId(subject.id), single(), lab.now);
    lab.command_by(0, &subject, JobCommand::Submit(Arc::new(submission)), keyed(body))
}

fn delete(lab: &mut Lab, subject: &SubjectId) -> Response {
    let command = Command::Job(JobCommand::Delete { unchanged_since: lab.now });
    let request = Request::Command { subject: subject.clone(), command, caller: Caller::engine() };
    lab.ask(0, request)
}

fn is_done(response: &Response) -> bool {
    matches!(response, Response::Command { answer: Answer::Done { .. }, .. })
}

/// One that is over, deleted, and of which only the tombstone is left.
fn gone(lab: &mut Lab) -> SubjectId {
    assert!(is_done(&submit(lab, 1, b"body")));
    assert_eq!(lab.work(0), 1);
    lab.advance(1_000);
    let subject = jobs::subject(1);
    assert!(is_done(&delete(lab, &subject)));
    lab.advance(1_000);
    assert!(is_tombstone(lab, &subject));
    subject
}

fn is_tombstone(lab: &Lab, subject: &SubjectId) -> bool {
    wait(lab.store.read(subject, 1, usize::MAX)).expect("a store").tombstone.is_some()
}

#[test]
fn only_what_is_over_and_unchanged_goes() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    assert!(matches!(delete(&mut lab, &job), Response::Refused(Refusal::JobState { .. })));
    lab.work(0);
    assert_eq!(lab.status(&job), JobStatus::Completed);
    let too_early = JobCommand::Delete { unchanged_since: lab.now - 1 };
    let kept = lab.command_by(0, &job, too_early, Caller::engine());
    assert!(matches!(kept, Response::Command { answer: Answer::Nothing, .. }), "{kept:?}");
    lab.check_at_rest();
    assert!(!is_tombstone(&lab, &job));
}

#[test]
fn a_repeated_submission_gets_its_first_answer_for_a_day_and_then_makes_a_job() {
    let mut lab = Lab::new();
    let subject = gone(&mut lab);
    assert_eq!(lab.core_of(0).counts().subjects, 0, "and it has left memory");
    for _ in 0..2 {
        match submit(&mut lab, 1, b"body") {
            Response::Command { answer: Answer::AsFirst(first), .. } => {
                let shown: serde_json::Value = serde_json::from_str(first.job.get()).expect("JSON");
                assert_eq!((&shown["version"], &shown["status"]), (&1.into(), &"scheduled".into()));
                assert_eq!(shown["id"], subject.id.to_string());
            }
            other => panic!("{other:?}"),
        }
        let other = submit(&mut lab, 1, b"another body");
        assert!(matches!(other, Response::Refused(Refusal::IdempotencyKeyReused)), "{other:?}");
        let conflicts = lab.core_of(0).counts().conflicts;
        assert!(conflicts <= 2, "{conflicts}: one look each, not a try after the other");
        lab.restart(0);
    }
    let read = lab.ask(0, Request::Read { subject: subject.clone() });
    assert!(matches!(read, Response::Refused(Refusal::JobDeleted)), "{read:?}");
    let cancel = lab.command(0, &subject, JobCommand::Cancel { reason: None });
    assert!(matches!(cancel, Response::Refused(Refusal::JobDeleted)), "{cancel:?}");
    assert!(wait(lab.view.get(&subject)).expect("a view").is_none());

    lab.advance(DAY_MS);
    assert!(is_done(&submit(&mut lab, 1, b"another body")), "the key is free again");
    assert_eq!(lab.work(0), 1);
    assert_eq!(lab.status(&subject), JobStatus::Completed);
    lab.subjects.insert(subject);
    lab.check_at_rest();
}

#[test]
fn late_reports_of_a_deleted_job_change_nothing() {
    let mut lab = Lab::new();
    assert!(is_done(&submit(&mut lab, 1, b"body")));
    let held = lab.lease(0, poll("worker", 1));
    assert!(recorded(&lab.complete(0, &held[0])));
    lab.advance(1_000);
    assert!(is_done(&delete(&mut lab, &jobs::subject(1))));
    for _ in 0..2 {
        let late = lab.complete(0, &held[0]);
        assert!(matches!(late, Response::Refused(Refusal::LeaseLost)), "{late:?}");
        assert!(matches!(lab.heartbeat(0, &held[0]), Response::Refused(Refusal::LeaseLost)));
        lab.advance(1_000);
    }
    assert!(is_tombstone(&lab, &jobs::subject(1)));
}

#[test]
fn an_engine_that_dies_at_any_step_of_a_deletion_is_followed() {
    // The view does not follow; the store does not answer; the engine dies right after the event.
    for broken in 0..3 {
        let mut lab = Lab::new();
        assert!(is_done(&submit(&mut lab, 1, b"body")));
        lab.work(0);
        lab.advance(1_000);
        let subject = jobs::subject(1);
        match broken {
            0 => lab.view_fails = true,
            1 => lab.holds_appends = true,
            _ => {}
        }
        let command = Command::Job(JobCommand::Delete { unchanged_since: lab.now });
        let request =
            Request::Command { subject: subject.clone(), command, caller: Caller::engine() };
        lab.send(0, request);
        if broken == 2 {
            let fails = Faults { seed: 1, call_fails_per_mille: 1_000, ..Faults::default() };
            lab.store.set_faults(fails);
            lab.advance(3_000);
            lab.store.set_faults(Faults::default());
        }
        assert!(!is_tombstone(&lab, &subject), "{broken}");
        lab.restart(0);
        (lab.view_fails, lab.holds_appends) = (false, false);
        lab.advance(10_000);
        // Where the event was not durable, nothing has happened and it is asked again.
        assert_eq!(is_tombstone(&lab, &subject), broken != 1, "{broken}");
        if broken == 1 {
            assert!(is_done(&delete(&mut lab, &subject)));
            lab.advance(1_000);
        }
        assert!(is_tombstone(&lab, &subject));
        let again = submit(&mut lab, 1, b"body");
        assert!(
            matches!(again, Response::Command { answer: Answer::AsFirst(_), .. }),
            "{broken}: {again:?}"
        );
        assert!(wait(lab.view.get(&subject)).expect("a view").is_none(), "{broken}");
    }
}

#[test]
fn a_late_flush_brings_nothing_back() {
    let mut lab = Lab::new();
    let subject = jobs::subject(1);
    assert!(is_done(&submit(&mut lab, 1, b"body")));
    lab.work(0);
    lab.advance(1_000);
    let late = wait(lab.view.get(&subject)).expect("a view").expect("a document");
    assert!(is_done(&delete(&mut lab, &subject)));
    lab.advance(1_000);
    wait(lab.view.flush(vec![late])).expect("flushed");
    assert!(wait(lab.view.get(&subject)).expect("a view").is_none());
}

#[test]
fn a_deleted_job_leaves_no_grant_behind() {
    let mut lab = Lab::new();
    let environment = lab.define(0, "pool", 1);
    lab.advance(3_000);
    let job = lab.submit(0, 1, in_environment(single(), "pool"));
    lab.advance(3_000);
    assert_eq!(lab.work(0), 1);
    assert!(is_done(&delete(&mut lab, &job)));
    lab.subjects.remove(&job);
    lab.advance(30_000);
    assert!(is_tombstone(&lab, &job));
    assert!(lab.environment(&environment).grants.is_empty());
    let next = lab.submit(0, 2, in_environment(single(), "pool"));
    lab.advance(3_000);
    assert_eq!(lab.work(0), 1);
    assert_eq!(lab.status(&next), JobStatus::Completed);
    lab.check_at_rest();
}
