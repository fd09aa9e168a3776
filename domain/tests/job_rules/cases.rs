//! Named cases: joins, skips, limits, the four time-outs, pausing, what a patch may change.

use domain::job::command::{JobCommand, Outcome};
use domain::job::fact::{FailureFact, JobFact, Patch};
use domain::job::outcome::PauseCause;
use domain::job::spec::{CompleteWhen, JobSpec};
use domain::job::status::JobStatus;
use domain::node::spec::{DependencyCondition, NodeSpec};
use domain::node::status::NodeStatus;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::build::{GRACE_MS, T0, completes, fails, job, node, retry};
use crate::live::Live;

fn any(key: &str, depends_on: &[&str]) -> NodeSpec {
    NodeSpec { dependency_condition: DependencyCondition::Any, ..node(key, depends_on) }
}

fn skipping(key: &str, depends_on: &[&str]) -> NodeSpec {
    NodeSpec { skip_on_failure: true, ..node(key, depends_on) }
}

#[test]
fn any_starts_at_the_first_completed_parent_and_all_at_the_last() {
    let nodes = vec![node("a", &[]), node("b", &[]), any("x", &["a", "b"]), node("y", &["a", "b"])];
    let mut live = Live::submit(job(nodes));
    live.complete("a");
    assert_eq!((live.status("x"), live.status("y")), (NodeStatus::Ready, NodeStatus::Pending));
    live.complete("b");
    assert_eq!(live.status("y"), NodeStatus::Ready);
}

#[test]
fn a_job_with_a_blocked_node_fails_whatever_its_success_condition() {
    let conditions = [
        CompleteWhen::All,
        CompleteWhen::Any,
        CompleteWhen::AtLeast(1),
        CompleteWhen::TolerateCount(5),
        CompleteWhen::TolerateAtMostPercent(100),
    ];
    for complete_when in conditions {
        let nodes = vec![node("a", &[]), node("b", &["a"]), node("c", &[])];
        let mut live = Live::submit(JobSpec { complete_when, ..job(nodes) });
        live.complete("c");
        live.fail("a");
        assert_eq!(live.status("b"), NodeStatus::Pending);
        assert_eq!(live.state.head.status, JobStatus::Failed, "{complete_when:?}");
    }
    let nodes = vec![node("a", &[]), skipping("b", &["a"]), node("c", &[])];
    let mut live =
        Live::submit(JobSpec { complete_when: CompleteWhen::TolerateCount(1), ..job(nodes) });
    live.complete("c");
    live.fail("a");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn an_optional_failure_lets_its_children_run_and_the_job_complete() {
    let optional = NodeSpec { optional: true, ..node("a", &[]) };
    let mut live = Live::submit(job(vec![optional, node("b", &["a"])]));
    live.fail("a");
    live.complete("b");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_release_gives_the_attempt_back_and_undelivered_ones_do_so_three_times() {
    let mut live = Live::submit(job(vec![node("a", &[])]));
    for _ in 0..3 {
        let attempt = live.lease("a");
        assert_eq!(attempt.attempt, 1);
        let released = live.report(attempt, Outcome::Release { undelivered: true });
        assert!(matches!(released, Ok(Answer::Recorded)));
    }
    let attempt = live.lease("a");
    let released = live.report(attempt, Outcome::Release { undelivered: true });
    assert!(matches!(released, Ok(Answer::Nothing)), "the fourth runs out and counts");
    assert_eq!(live.status("a"), NodeStatus::Running);
}

#[test]
fn the_queue_time_out_waits_while_a_job_is_paused_and_starts_anew() {
    let mut slow = node("a", &[]);
    slow.timeouts.queue_ms = Some(5_000);
    let mut live = Live::submit(job(vec![slow]));
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    live.wake_at(T0 + 60_000);
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    live.wake_at(T0 + 64_999);
    assert_eq!(live.status("a"), NodeStatus::Ready);
    live.wake_at(T0 + 65_000);
    assert_eq!(live.status("a"), NodeStatus::Timeout);
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn attempt_and_total_time_outs_end_attempts_at_their_time() {
    let mut short = NodeSpec { retry: Some(retry(2, 0).into()), ..node("a", &[]) };
    short.timeouts.attempt_ms = Some(2_000);
    short.timeouts.total_ms = Some(3_000);
    let mut live = Live::submit(job(vec![short]));
    live.lease("a");
    live.wake_at(T0 + 1_999);
    assert_eq!(live.status("a"), NodeStatus::Running);
    live.wake_at(T0 + 2_000);
    assert_eq!(live.status("a"), NodeStatus::Ready, "it may run again");
    live.lease("a");
    live.now = T0 + 3_000;
    let decision = live.decide(&JobCommand::Wake { nodes: vec![live.at("a")] }).ok();
    let fact = decision.and_then(|decision| decision.event).map(|event| event.fact);
    let Some(JobFact::Failure(FailureFact::AttemptTimedOut(failure))) = fact else {
        panic!("it timed out: {fact:?}")
    };
    assert_eq!(failure.error.class, "timeout.total", "it says which time-out it was");
    live.wake_at(T0 + 3_000);
    assert_eq!(live.status("a"), NodeStatus::Timeout, "but not beyond its total time");
}

#[test]
fn the_deadline_counts_from_queued_and_runs_on_while_paused() {
    let spec = JobSpec {
        timeout_ms: Some(10_000),
        scheduled_at: Some(T0 + 1_000),
        ..job(vec![node("a", &[])])
    };
    let mut live = Live::submit(spec);
    live.wake_at(T0 + 1_000);
    live.lease("a");
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    live.wake_at(T0 + 10_999);
    assert_eq!(live.state.head.ending, None);
    live.wake_at(T0 + 11_000);
    assert_eq!(live.state.head.ending, Some(JobStatus::Timeout));
    live.wake_at(T0 + 11_000 + GRACE_MS);
    assert_eq!(live.state.head.status, JobStatus::Timeout);
    assert_eq!(live.status("a"), NodeStatus::Cancelled);
}

#[test]
fn an_unknown_outcome_of_an_at_most_once_node_waits_for_a_person() {
    let once = NodeSpec { at_most_once: true, ..node("a", &[]) };
    let mut live = Live::submit(JobSpec { retry: Some(retry(5, 0).into()), ..job(vec![once]) });
    let attempt = live.lease("a");
    let expired = JobCommand::ExpireLease { node: attempt.node, epoch: attempt.epoch };
    assert!(live.ask(&expired).is_ok());
    assert_eq!(live.status("a"), NodeStatus::Waiting);
    assert_eq!(live.state.head.pause_cause, Some(PauseCause::OutcomeUnknown));
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    live.complete("a");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn fail_fast_cancels_the_rest_and_lets_what_runs_finish() {
    let nodes = vec![node("a", &[]), node("b", &[]), node("c", &[])];
    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes) });
    let (a, b) = (live.lease("a"), live.lease("b"));
    assert!(live.report(a, fails(false)).is_ok());
    assert_eq!(live.status("c"), NodeStatus::Cancelled);
    assert_eq!(live.state.head.ending, Some(JobStatus::Failed));
    assert!(matches!(live.report(b, completes(None)), Ok(Answer::Recorded)));
    assert_eq!(live.status("b"), NodeStatus::Completed);
    assert_eq!(live.state.head.status, JobStatus::Failed);
    let culprit = live.state.head.error.as_ref().and_then(|error| error.node.clone());
    assert_eq!(culprit.as_deref(), Some("a"));
}

#[test]
fn places_go_to_the_highest_priority_first() {
    let nodes = vec![
        node("low", &[]),
        NodeSpec { priority: Some(9), ..node("lowest", &[]) },
        NodeSpec { priority: Some(1), ..node("high", &[]) },
    ];
    let mut live = Live::submit(JobSpec { max_parallel: Some(1), ..job(nodes) });
    for key in ["high", "low", "lowest"] {
        assert_eq!(live.state.count(NodeStatus::Ready), 1);
        live.complete(key);
    }
}

#[test]
fn what_starts_a_job_cannot_be_patched_once_it_left_pending() {
    let mut live = Live::submit(job(vec![node("a", &[])]));
    let patch = Patch { scheduled_at: Some(Some(T0 + 5)), ..Patch::default() };
    let refused = live.ask(&JobCommand::Patch(Box::new(patch)));
    assert_eq!(refused.err(), Some(Refusal::AlreadyStarted { field: "scheduled_at".into() }));
    let patch = Patch { tags: Some(vec![" a ".to_owned()]), ..Patch::default() };
    assert!(live.ask(&JobCommand::Patch(Box::new(patch))).is_ok());
    assert_eq!(live.state.head.about.tags, ["a"]);
}

#[test]
fn made_up_tokens_leave_no_evidence_and_old_ones_leave_it_once() {
    let nodes = vec![node("a", &[])];
    let mut live = Live::submit(JobSpec { retry: Some(retry(3, 0).into()), ..job(nodes) });
    let first = live.lease("a");
    let expired = JobCommand::ExpireLease { node: first.node, epoch: first.epoch };
    assert!(live.ask(&expired).is_ok());
    live.wake_at(live.now + 1);
    live.lease("a");
    let seq = live.state.head.seq;
    assert!(matches!(live.report(first, completes(None)), Ok(Answer::Refused(_))));
    assert_eq!(live.report(first, completes(None)).err(), Some(Refusal::LeaseLost));
    assert_eq!(live.state.head.seq, seq + 1);
    for number in 1..200 {
        let made_up =
            domain::node::attempt::AttemptRef { epoch: domain::ids::Epoch(number), ..first };
        assert!(!matches!(live.report(made_up, completes(None)), Ok(Answer::Recorded)));
    }
    assert!(live.state.head.seq <= seq + 1 + 16, "evidence has a bound");
}

#[test]
fn an_output_that_is_too_large_in_all_is_absent_rather_than_a_part() {
    let text = format!("\"{}\"", "x".repeat(2_000));
    let nodes = (0..140).map(|ix| node(&format!("n{ix}"), &[])).collect();
    let mut live = Live::submit(job(nodes));
    for ix in 0..140 {
        let attempt = live.lease(&format!("n{ix}"));
        assert!(live.report(attempt, completes(Some(&text))).is_ok());
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert!(live.state.head.output.is_none());
}

#[test]
fn fail_fast_ends_a_paused_job_by_rows_of_the_table() {
    let nodes = vec![node("a", &[]), node("b", &[])];
    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes) });
    let a = live.lease("a");
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    assert!(live.report(a, fails(false)).is_ok());
    assert_eq!(live.status("b"), NodeStatus::Cancelled);
    let rows = live.events.iter().flat_map(|event| &event.job);
    assert!(rows.into_iter().all(|(from, to)| from.may_become(*to)));
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_grant_that_was_declined_is_never_taken_however_late_it_is_offered_again() {
    let mut spec = job(vec![node("a", &[])]);
    spec.environment = Some("pool".to_owned());
    let mut live = Live::submit(spec);
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    let declined = live.ask(&JobCommand::TakeGrant { number: 4 });
    assert!(matches!(declined, Ok(Answer::Nothing)), "{declined:?}");
    let seq = live.state.head.seq;
    assert!(matches!(live.ask(&JobCommand::TakeGrant { number: 4 }), Ok(Answer::Nothing)));
    assert_eq!(live.state.head.seq, seq, "said once");
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    assert!(matches!(live.ask(&JobCommand::TakeGrant { number: 4 }), Ok(Answer::Nothing)));
    assert_eq!(live.state.head.status, JobStatus::Queued);
    assert!(matches!(live.ask(&JobCommand::TakeGrant { number: 5 }), Ok(Answer::Done { .. })));
    assert_eq!(live.state.head.status, JobStatus::Scheduled);
}

#[test]
fn outputs_of_several_ends_are_one_output_while_they_are_small_and_none_otherwise() {
    let output_of = |first: usize, second: usize| {
        let mut live = Live::submit(job(vec![node("a", &[]), node("b", &[])]));
        for (key, bytes) in [("a", first), ("b", second)] {
            let attempt = live.lease(key);
            let text = format!("\"{}\"", "x".repeat(bytes));
            assert!(live.report(attempt, completes(Some(&text))).is_ok());
            assert_eq!(live.state.contradictions(), Vec::<String>::new());
        }
        assert_eq!(live.state.head.sink_bytes, (first + second + 4) as u64);
        live.state.head.output.is_some()
    };
    assert!(output_of(10, 20));
    assert!(!output_of(200_000, 100_000));
    assert!(!output_of(300_000, 10));
}
