//! Answers and their appends: nothing leaves before its append, whatever becomes of that.

use domain::ids::CommandId;
use domain::job::command::{JobCommand, Outcome};
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::payload::Hash;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::message::{Caller, Command, Failure, Request, Response};
use orrery_testing::event_store::{AppendFault, Faults};

use crate::harness::history;
use crate::harness::jobs::{diamond, fan, poll, single};
use crate::harness::lab::{Lab, recorded, replayed, report_of};

fn completion() -> Outcome {
    Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() }
}

#[test]
fn nothing_is_answered_or_offered_before_its_append() {
    let mut lab = Lab::new();
    lab.holds_appends = true;
    let (job, request) = lab.submission(1, diamond());
    let submitted = lab.send(0, request);
    let read = lab.send(0, Request::Read { subject: job.clone() });
    assert!(lab.heard(submitted).is_none() && lab.heard(read).is_none());
    let early = lab.send(0, Request::Lease(poll("early", 10)));
    assert!(lab.heard(early).is_none(), "a lease of what is not durable waits for it");
    lab.release_appends();
    let Some(Response::Leases(granted)) = lab.heard(early) else { panic!("no leases") };
    let released =
        lab.send(0, report_of(&granted[0], Outcome::Release { undelivered: false }, b"not now"));
    assert!(recorded(&lab.heard(released).expect("an answer")));
    assert!(matches!(lab.heard(submitted), Some(Response::Command { .. })));
    assert!(matches!(lab.heard(read), Some(Response::Read(Some(_)))));

    lab.holds_appends = true;
    let leasing = lab.send(0, Request::Lease(poll("worker", 10)));
    assert!(lab.heard(leasing).is_none(), "a lease waits for its append");
    lab.release_appends();
    let Some(Response::Leases(granted)) = lab.heard(leasing) else { panic!("no leases") };
    lab.holds_appends = true;
    let done = lab.send(0, report_of(&granted[0], completion(), b"done"));
    let again = lab.send(0, report_of(&granted[0], completion(), b"done"));
    assert!(lab.heard(done).is_none(), "a report waits for its append");
    assert!(lab.heard(again).is_none(), "an answer that rests on it waits with it");
    lab.release_appends();
    assert!(recorded(&lab.heard(done).expect("an answer")));
    assert!(replayed(&lab.heard(again).expect("an answer")));
}

#[test]
fn an_append_that_fails_or_is_lost_is_settled_and_nothing_is_doubled() {
    let faults = [
        AppendFault::FailsBefore,
        AppendFault::ReplyLost,
        AppendFault::LandsInPart,
        AppendFault::UnknownBefore,
        AppendFault::UnknownAfter,
    ];
    for fault in faults {
        let mut lab = Lab::new();
        lab.store.lay_down([fault, fault]);
        let (job, request) = lab.submission(1, diamond());
        assert!(matches!(lab.ask(0, request), Response::Failed(Failure::OutcomeUnknown)));
        lab.advance(2_000);
        let held = lab.lease(0, poll("worker", 10));
        assert_eq!(held.len(), 1, "{fault:?}");
        lab.store.lay_down([fault]);
        let answer = lab.complete(0, &held[0]);
        assert!(matches!(answer, Response::Failed(Failure::OutcomeUnknown)), "{answer:?}");
        lab.advance(1_000);
        assert!(replayed(&lab.complete(0, &held[0])), "the first answer comes again");
        assert_eq!(lab.work(0), 3);
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}

#[test]
fn a_lease_whose_append_is_not_known_is_given_back_uncounted() {
    for fault in [AppendFault::FailsBefore, AppendFault::ReplyLost] {
        let mut lab = Lab::new();
        let job = lab.submit(0, 1, single());
        lab.store.lay_down([fault]);
        let answer = lab.ask(0, Request::Lease(poll("worker", 10)));
        assert!(matches!(answer, Response::Failed(Failure::OutcomeUnknown)), "{answer:?}");
        lab.advance(1_000);
        let held = lab.lease(0, poll("worker", 10));
        assert_eq!(held.len(), 1, "it is offered again at once");
        assert_eq!(held[0].attempt, 1, "and was not counted");
        assert!(recorded(&lab.complete(0, &held[0])));
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}

#[test]
fn a_full_store_refuses_submissions_and_lets_work_finish() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, single());
    let held = lab.lease(0, poll("worker", 1));
    lab.store.lay_down([AppendFault::Full, AppendFault::Full]);
    let (refused, request) = lab.submission(2, single());
    assert!(matches!(lab.ask(0, request), Response::Failed(Failure::Full)));
    lab.subjects.remove(&refused);
    assert!(recorded(&lab.complete(0, &held[0])));
    assert_eq!(lab.status(&job), JobStatus::Completed);
    assert!(lab.job(0, &refused).is_none());
    lab.check_at_rest();
}

#[test]
fn a_completion_repeated_later_or_after_a_restart_gets_its_first_answer() {
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    let held = lab.lease(0, poll("worker", 1));
    assert!(recorded(&lab.complete(0, &held[0])));
    lab.advance(10_000);
    assert!(replayed(&lab.complete(0, &held[0])));
    lab.restart(0);
    assert!(replayed(&lab.complete(0, &held[0])));
    lab.work(0);
    lab.advance(10_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    assert!(replayed(&lab.complete(0, &held[0])), "also after the job has left memory");
    let other = lab.ask(0, report_of(&held[0], completion(), b"another result"));
    assert!(matches!(other, Response::Refused(Refusal::ReportedDifferently)), "{other:?}");
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}

fn keyed(lab: &mut Lab, job: JobSpec, body: &[u8]) -> Response {
    let (subject, request) = lab.submission(7, job);
    let Request::Command { command, .. } = request else { panic!("a command") };
    let id = CommandId::parse("POST /jobs key").expect("an id");
    let mark = Some(CommandMark { id, body: Hash::of(body), keyed: true });
    let caller = Caller { mark, ..Caller::engine() };
    lab.ask(0, Request::Command { subject, command, caller })
}

#[test]
fn a_keyed_submission_is_answered_once_also_after_restart_and_retirement() {
    let mut lab = Lab::new();
    let first = keyed(&mut lab, diamond(), b"body");
    assert!(matches!(first, Response::Command { answer: Answer::Done { seq: 1 }, .. }));
    let check = |lab: &mut Lab| {
        let again = keyed(lab, diamond(), b"body");
        assert!(matches!(again, Response::Command { answer: Answer::Replayed { seq: 1 }, .. }));
        let other = keyed(lab, single(), b"other");
        assert!(matches!(other, Response::Refused(Refusal::IdempotencyKeyReused)), "{other:?}");
    };
    check(&mut lab);
    lab.restart(0);
    check(&mut lab);
    lab.work(0);
    lab.advance(10_000);
    assert_eq!(lab.core_of(0).counts().subjects, 0);
    check(&mut lab);
    lab.check_at_rest();
}

#[test]
fn a_store_that_misbehaves_at_random_changes_nothing_but_the_pace() {
    for seed in 1..=20 {
        let mut lab = Lab::new();
        lab.store.set_faults(Faults {
            seed,
            append_fails_per_mille: 150,
            append_reply_lost_per_mille: 150,
            call_fails_per_mille: 100,
            ..Default::default()
        });
        let mut subjects = Vec::new();
        for number in 1..=5 {
            let (subject, request) = lab.submission(number, fan(6));
            lab.send(0, request);
            subjects.push(subject);
        }
        for round in 0..400 {
            let ticket = lab.send(0, Request::Lease(poll("worker", 3)));
            if let Some(Response::Leases(granted)) = lab.heard(ticket) {
                for one in granted {
                    lab.send(0, report_of(&one, completion(), b"done"));
                }
            }
            lab.advance(1_000);
            if round % 37 == 36 {
                lab.restart(0);
            }
        }
        lab.store.set_faults(Faults::default());
        lab.advance(120_000);
        for _ in 0..5 {
            lab.work(0);
            lab.advance(60_000);
        }
        for subject in subjects {
            if lab.job(0, &subject).is_none() {
                // Nobody was promised this one: its submission was lost with an engine.
                lab.subjects.remove(&subject);
                continue;
            }
            let status = lab.status(&subject);
            assert!(status.is_over(), "seed {seed}: {subject} is {status}");
            history::check(lab.store.as_ref(), &subject);
        }
        lab.check_at_rest();
    }
}

#[test]
fn a_command_to_what_does_not_exist_is_refused() {
    let mut lab = Lab::new();
    let (job, _) = lab.submission(1, single());
    lab.subjects.clear();
    let command = Command::Job(JobCommand::Start);
    let request = Request::Command { subject: job, command, caller: Caller::engine() };
    assert!(matches!(lab.ask(0, request), Response::Refused(Refusal::JobNotFound)));
    assert_eq!(lab.core_of(0).counts().subjects, 0);
}

#[test]
fn no_append_is_sent_an_hour_after_it_was_built() {
    const HOUR_MS: i64 = 3_600_000;
    let mut lab = Lab::new();
    let job = lab.submit(0, 1, diamond());
    // Nobody knows for hours, and nothing lands.
    lab.store.lay_down(std::iter::repeat_n(AppendFault::UnknownBefore, 100_000));
    let answer = lab.command(0, &job, JobCommand::Pause { reason: None });
    assert!(matches!(answer, Response::Failed(Failure::OutcomeUnknown)), "{answer:?}");
    lab.advance(HOUR_MS - 10_000);
    let before = lab.store.appends();
    lab.advance(1_000);
    assert!(lab.store.appends() > before, "it is written again and again");
    lab.advance(10_000);
    let given_up = lab.store.appends();
    lab.advance(10_000);
    assert_eq!(lab.store.appends(), given_up, "and then never more");
    lab.store.set_faults(Faults::default());
    assert_eq!(lab.work(0), 4, "the job goes on as if nobody had asked");
    assert_eq!(lab.status(&job), JobStatus::Completed);
    lab.check_at_rest();
}
