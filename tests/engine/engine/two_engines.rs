//! Two engines over one store: forwarding, deciding for one another, and both believing that they drive.

use domain::ids::{GroupId, Millis, SubjectId};
use domain::job::command::{JobCommand, Outcome};
use domain::job::fact::Patch;
use domain::job::status::JobStatus;
use domain::subject::answer::Answer;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, Failure, Input, Request, Response};
use orrery::event_store::contract::{AppendNotice, EventStore as _};

use crate::harness::history;
use crate::harness::jobs::{diamond, fan, in_environment, poll, single};
use crate::harness::lab::{Lab, Way, heartbeat, recorded, replayed, report_of, wait};

fn two() -> Lab {
    Lab::of(2, CoreSettings::default())
}

fn completes() -> Outcome {
    Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() }
}

fn notices(lab: &Lab) -> usize {
    GroupId::all().map(|group| wait(lab.store.notices(group)).expect("a store").len()).sum()
}

/// The engine that does not drive it.
fn other(lab: &Lab, subject: &SubjectId) -> usize {
    1 - lab.driver_of(subject)
}

#[test]
fn any_engine_takes_any_request() {
    let mut lab = two();
    for number in 1..=20 {
        lab.submit(0, number, diamond());
    }
    for subject in lab.subjects.clone() {
        let (driver, other) = (lab.driver_of(&subject), other(&lab, &subject));
        assert!(lab.job(other, &subject).is_some());
        let held = lab.lease(driver, poll("worker", 1));
        assert!(recorded(&lab.complete(other, &held[0])), "reported to the wrong engine");
        assert!(replayed(&lab.complete(driver, &held[0])));
    }
    lab.work(0);
    lab.work(1);
    for subject in lab.subjects.clone() {
        assert_eq!(lab.status(&subject), JobStatus::Completed);
    }
    assert_eq!(notices(&lab), 0);
    lab.check_at_rest();
}

#[test]
fn an_engine_decides_for_a_driver_that_does_not_answer() {
    for way in [Way::Cut, Way::AnswersLost] {
        let mut lab = two();
        let job = lab.submit(0, 1, diamond());
        let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
        let held = lab.lease(driver, poll("worker", 1));
        lab.way = way;
        let answer = lab.complete(other, &held[0]);
        assert!(recorded(&answer) || replayed(&answer), "{answer:?}");
        let cancelled = lab.command(other, &job, JobCommand::Pause { reason: None });
        assert!(matches!(cancelled, Response::Command { .. }), "{cancelled:?}");
        let resumed = lab.command(other, &job, JobCommand::Resume { reason: None });
        assert!(matches!(resumed, Response::Command { .. }), "{resumed:?}");
        lab.advance(6_000);
        assert_eq!(notices(&lab), 0, "the driver has read what was written for it");
        assert_eq!(lab.work(driver), 3);
        assert_eq!(lab.core_of(other).counts().subjects, 0, "a transient subject leaves");
        lab.way = Way::Works;
        assert_eq!(lab.status(&job), JobStatus::Completed);
        lab.check_at_rest();
    }
}

#[test]
fn what_reaches_a_slow_driver_after_it_was_decided_elsewhere_gets_its_first_answer() {
    let described = |text: &str| {
        JobCommand::Patch(Box::new(Patch {
            description: Some(Some(text.to_owned())),
            ..Patch::default()
        }))
    };
    let done = |response: &Response| match response {
        Response::Command { answer: Answer::Done { seq }, .. } => Some(*seq),
        _ => None,
    };
    let mut lab = two();
    let job = lab.submit(0, 1, diamond());
    let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
    lab.way = Way::Late;
    let first = lab.command_by(other, &job, described("one"), Caller::engine());
    assert_eq!(done(&first), Some(2), "{first:?}");
    lab.way = Way::Works;
    let second = lab.command_by(driver, &job, described("two"), Caller::engine());
    assert_eq!(done(&second), Some(3), "{second:?}");
    let late = lab.late_arrive();
    let again = [Answer::Replayed { seq: 2 }].map(|answer| format!("{answer:?}"));
    let said: Vec<_> = late
        .iter()
        .map(|response| match response {
            Response::Command { answer, .. } => format!("{answer:?}"),
            other => panic!("no answer but {other:?}"),
        })
        .collect();
    assert_eq!(said, again);
    let shown = lab.job(driver, &job).expect("the job");
    assert_eq!((shown.head.seq, shown.head.about.description.as_deref()), (3, Some("two")));
    lab.work(driver);
    lab.check_at_rest();
}

#[test]
fn a_parked_job_that_another_engine_changed_is_taken_up_by_its_driver() {
    let mut lab = two();
    let mut by_hand = single();
    by_hand.start = domain::job::spec::Start::Manual;
    let job = lab.submit(0, 1, by_hand);
    let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
    lab.advance(6_000);
    assert_eq!(lab.core_of(driver).counts().subjects, 0);
    lab.way = Way::Cut;
    assert!(matches!(lab.command(other, &job, JobCommand::Start), Response::Command { .. }));
    assert_eq!(notices(&lab), 1);
    lab.advance(6_000);
    assert_eq!(notices(&lab), 0);
    let mark = wait(lab.store.mark(&job)).expect("a store").expect("a mark");
    assert!(mark.due <= lab.now, "the wake-up is right before the append notice goes");
    lab.restart(driver);
    assert_eq!(lab.work(driver), 1);
}

#[test]
fn a_notice_that_could_not_be_written_is_written_with_its_record() {
    let mut lab = two();
    let (job, request) = lab.submission(1, diamond());
    let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
    lab.way = Way::Cut;
    let faults = orrery_testing::event_store::Faults {
        seed: 1,
        call_fails_per_mille: 1_000,
        ..Default::default()
    };
    lab.store.set_faults(faults);
    let unknown = lab.ask(other, request);
    assert!(matches!(unknown, Response::Failed(_)), "{unknown:?}");
    lab.store.set_faults(orrery_testing::event_store::Faults::default());
    wait(lab.store.clear_notices(vec![AppendNotice { subject: job, seq: 100 }])).expect("a store");
    lab.advance(300);
    assert_eq!(notices(&lab), 1);
    lab.advance(6_000);
    assert_eq!(notices(&lab), 0);
    assert_eq!(lab.work(driver), 4);
}

#[test]
fn a_notice_without_its_append_is_forgotten() {
    let mut lab = two();
    let job = lab.submit(0, 1, diamond());
    let driver = lab.driver_of(&job);
    wait(lab.store.write_notices(vec![AppendNotice { subject: job.clone(), seq: 100 }]))
        .expect("a store");
    lab.advance(30_000);
    assert_eq!(notices(&lab), 1);
    lab.advance(45_000);
    assert_eq!(notices(&lab), 0);
    assert_eq!(lab.work(driver), 4);
    lab.check_at_rest();
}

#[test]
fn a_notice_has_its_own_minute_though_one_before_it_has_waited_in_vain() {
    let mut lab = two();
    let job = lab.submit(0, 1, diamond());
    let driver = lab.driver_of(&job);
    wait(lab.store.write_notices(vec![AppendNotice { subject: job.clone(), seq: 100 }]))
        .expect("a store");
    lab.advance(55_000);
    wait(lab.store.write_notices(vec![AppendNotice { subject: job.clone(), seq: 101 }]))
        .expect("a store");
    lab.advance(45_000);
    assert_eq!(notices(&lab), 1, "the newer one has waited for less than a minute");
    lab.advance(30_000);
    assert_eq!(notices(&lab), 0);
    assert_eq!(lab.work(driver), 4);
    lab.check_at_rest();
}

#[test]
fn an_engine_that_may_have_lost_its_groups_notices_for_what_it_appends() {
    let mut lab = two();
    let job = lab.submit(0, 1, single());
    let driver = lab.driver_of(&job);
    lab.hears(driver, Input::Drives { until: lab.now + 1_000 });
    let held = lab.lease(driver, poll("worker", 1));
    assert!(recorded(&lab.complete(driver, &held[0])));
    assert_eq!(notices(&lab), 1, "whoever drives it by now is told");
    lab.hears(driver, Input::Drives { until: Millis::MAX });
    lab.advance(6_000);
    assert_eq!(notices(&lab), 0);
    lab.advance(6_000);
    assert_eq!(lab.core_of(driver).counts().subjects, 0, "it was read, looked at and let go of");
    lab.check_at_rest();
}

#[test]
fn what_began_here_leaves_once_it_is_shown_and_what_was_taken_over_after_a_look() {
    let mut lab = two();
    let born = lab.submit(0, 1, single());
    let driver = lab.driver_of(&born);
    assert_eq!(lab.work(driver), 1);
    lab.advance(1_000);
    assert_eq!(lab.core_of(driver).counts().subjects, 0);

    let taken = (2..).map(|number| lab.submit(0, number, single()));
    let taken = taken.take(20).last().expect("a job");
    let heir = other(&lab, &taken);
    for at in 0..2 {
        lab.route(at, vec![u32::try_from(heir).ok(); 64]);
    }
    assert_eq!(lab.work(heir), 20);
    lab.advance(1_000);
    let there = lab.core_of(heir).counts().subjects;
    assert!((1..20).contains(&there), "those that it took over: {there}");
    lab.advance(6_000);
    assert_eq!(lab.core_of(heir).counts().subjects, 0);
    lab.check_at_rest();
}

#[test]
fn two_drivers_of_one_group_never_double_an_outcome() {
    let mut lab = two();
    let all = |engine| vec![Some(engine); 64];
    lab.route(0, all(0));
    lab.route(1, all(1));
    for number in 1..=10 {
        lab.submit(0, number, fan(4));
    }
    lab.advance(6_000);
    for _ in 0..200 {
        lab.holds_appends = true;
        let both = [0, 1].map(|engine| lab.send(engine, Request::Lease(poll("worker", 2))));
        lab.release_appends();
        for (engine, ticket) in both.into_iter().enumerate() {
            let Some(Response::Leases(held)) = lab.heard(ticket) else { panic!("no answer") };
            for one in &held {
                let answer = lab.complete(1 - engine, one);
                assert!(recorded(&answer), "{answer:?}");
            }
        }
    }
    assert!(lab.core_of(0).counts().conflicts + lab.core_of(1).counts().conflicts > 0);
    // Whoever wins, the streams tell it: each starts anew from them.
    lab.restart(0);
    lab.restart(1);
    for subject in lab.subjects.clone() {
        assert_eq!(lab.status(&subject), JobStatus::Completed);
        let leased = history::check(lab.store.as_ref(), &subject);
        assert!(leased.values().all(|times| *times == 1));
    }
}

#[test]
fn the_groups_of_a_dead_engine_are_taken_over() {
    let mut lab = two();
    for number in 1..=10 {
        lab.submit(0, number, fan(4));
    }
    let mut held = lab.lease(0, poll("worker", 5));
    held.extend(lab.lease(1, poll("worker", 5)));
    let all = vec![Some(0); 64];
    lab.route(0, all.clone());
    lab.route(1, all);
    assert_eq!(lab.core_of(1).counts().subjects, 0, "nothing volatile stays with the old driver");
    lab.advance(1_000);
    for one in &held {
        assert!(recorded(&lab.complete(1, one)), "leases survive a takeover");
    }
    lab.work(0);
    for subject in lab.subjects.clone() {
        assert_eq!(lab.status(&subject), JobStatus::Completed);
    }
    lab.check_at_rest();
}

#[test]
fn an_engine_that_just_lost_a_group_calls_no_lease_of_it_lost() {
    let mut lab = two();
    let job = lab.submit(0, 1, fan(2));
    let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
    let held = lab.lease(driver, poll("worker", 1));
    let drivers = vec![u32::try_from(other).ok(); 64];
    let ticket = lab.send_and_route(driver, heartbeat(&held[0]), drivers.clone());
    let answer = lab.heard(ticket).expect("an answer");
    let kept = matches!(answer, Response::Heartbeat { .. });
    assert!(kept || matches!(answer, Response::Failed(Failure::Unavailable)), "{answer:?}");
    lab.route(other, drivers);
    assert!(matches!(lab.heartbeat(other, &held[0]), Response::Heartbeat { .. }));
}

#[test]
fn an_engine_that_just_lost_a_group_reads_before_it_refuses() {
    let mut lab = two();
    let job = lab.submit(0, 1, fan(2));
    let (driver, other) = (lab.driver_of(&job), other(&lab, &job));
    // The other one takes over first, and leases what the old driver does not know of.
    let drivers = vec![u32::try_from(other).ok(); 64];
    lab.route(other, drivers.clone());
    lab.advance(100);
    let held = lab.lease(other, poll("worker", 1));
    let report = report_of(&held[0], completes(), b"done");
    let ticket = lab.send_and_route(driver, report, drivers);
    let answer = lab.heard(ticket).expect("an answer");
    assert!(recorded(&answer), "{answer:?}");
}

#[test]
fn grants_reach_jobs_of_another_engine_and_come_back() {
    for way in [Way::Works, Way::AnswersLost, Way::Cut] {
        let mut lab = two();
        let pool = lab.define(0, "pool", 2);
        let mut cancelled = Vec::new();
        for number in 1..=12 {
            let job = lab.submit(0, number, in_environment(single(), "pool"));
            if number % 3 == 0 {
                cancelled.push(job);
            }
        }
        for job in cancelled {
            lab.command(0, &job, JobCommand::Cancel { reason: None });
        }
        lab.way = way;
        for _ in 0..20 {
            lab.work(0);
            lab.work(1);
            lab.advance(6_000);
        }
        lab.way = Way::Works;
        for _ in 0..5 {
            lab.work(0);
            lab.work(1);
            lab.advance(6_000);
        }
        for subject in lab.subjects.clone().into_iter().filter(|subject| *subject != pool) {
            assert!(lab.status(&subject).is_over(), "{subject}");
        }
        assert!(lab.environment(&pool).grants.is_empty());
        lab.check_at_rest();
    }
}
