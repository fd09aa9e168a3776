//! What policies say, seen at a job: rules that count for themselves, classes that are derived, conditions that read the
//! job's input, executions that are used up and left to a person.

use domain::job::command::{JobCommand, Outcome};
use domain::job::outcome::PauseCause;
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::attempt::AttemptError;
use domain::node::hold::Hold;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;
use domain::payload::Payload;
use domain::retry::policy::{OnExhausted, RetryPolicy};
use domain::retry::rules::RetryRule;
use domain::subject::answer::Answer;

use crate::build::{T0, job, node, retry};
use crate::live::Live;
use crate::trees::{group, raw};

fn fails_as(live: &mut Live, key: &str, error: AttemptError) {
    let attempt = live.lease(key);
    let answer = live.report(attempt, Outcome::Fail { error, details: None });
    assert!(matches!(answer, Ok(Answer::Recorded)), "{answer:?}");
}

fn of_type(error_type: &str) -> AttemptError {
    AttemptError { error_type: error_type.to_owned(), ..AttemptError::default() }
}

fn with(policy: RetryPolicy) -> Live {
    Live::submit(job(vec![NodeSpec { retry: Some(policy.into()), ..node("a", &[]) }]))
}

fn again(live: &mut Live) {
    assert_eq!(live.status("a"), NodeStatus::Retrying, "{}", live.stand());
    live.wake_at(live.now + 100_000);
}

#[test]
fn failures_that_a_rule_decides_are_counted_apart_from_the_others() {
    let rule =
        RetryRule { types: vec!["Slow".to_owned()], max_attempts: Some(3), ..RetryRule::default() };
    let mut live = with(RetryPolicy { rules: vec![rule], ..retry(2, 100) });
    fails_as(&mut live, "a", of_type("Slow"));
    again(&mut live);
    fails_as(&mut live, "a", of_type("Slow"));
    again(&mut live);
    fails_as(&mut live, "a", of_type("Other"));
    again(&mut live);
    fails_as(&mut live, "a", of_type("Slow"));
    assert_eq!(live.status("a"), NodeStatus::Failed, "the rule gave two retries");
}

#[test]
fn the_class_follows_from_what_the_reporter_gives_and_its_own_word_counts_first() {
    let mut live = with(retry(5, 100));
    fails_as(&mut live, "a", AttemptError { status: Some(503), ..of_type("Mine") });
    again(&mut live);
    let throttled = AttemptError {
        code: Some("RESOURCE_EXHAUSTED".to_owned()),
        status: Some(400),
        ..of_type("Mine")
    };
    fails_as(&mut live, "a", throttled);
    again(&mut live);
    let named =
        AttemptError { class: "network.connect".to_owned(), status: Some(404), ..of_type("Mine") };
    fails_as(&mut live, "a", named);
    again(&mut live);
    fails_as(&mut live, "a", AttemptError { status: Some(404), ..of_type("Mine") });
    assert_eq!(live.status("a"), NodeStatus::Failed);
    assert_eq!(live.error(), (Some("a"), "not_found"));
}

#[test]
fn a_condition_reads_an_input_of_any_length() {
    let long = format!("{{\"tier\": \"gold\", \"rest\": \"{}\"}}", "x".repeat(5_000));
    let when = Some("${{ job.input.tier == 'gold' && attempt < 2 }}".to_owned());
    let nodes = vec![NodeSpec {
        retry: Some(RetryPolicy { when, ..retry(5, 100) }.into()),
        ..node("a", &[])
    }];
    let mut live = Live::submit(JobSpec { input: Some(raw(&long)), ..job(nodes) });
    assert!(matches!(live.state.plan.input, Some(Payload::Inline(_))));
    fails_as(&mut live, "a", of_type("E"));
    again(&mut live);
    fails_as(&mut live, "a", of_type("E"));
    assert_eq!(live.status("a"), NodeStatus::Failed);
}

#[test]
fn who_resumes_a_job_whose_retries_are_used_up_gives_the_node_as_many_again() {
    let mut live = with(RetryPolicy { on_exhausted: OnExhausted::Pause, ..retry(2, 100) });
    fails_as(&mut live, "a", of_type("E"));
    again(&mut live);
    fails_as(&mut live, "a", of_type("E"));
    assert_eq!(live.state.head.status, JobStatus::Paused);
    assert_eq!(live.state.head.pause_cause, Some(PauseCause::RetriesExhausted));
    assert_eq!((live.status("a"), live.hold("a")), (NodeStatus::Waiting, Some(Hold::Exhausted)));
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    assert_eq!(live.status("a"), NodeStatus::Ready);
    fails_as(&mut live, "a", of_type("E"));
    again(&mut live);
    assert_eq!(live.state.nodes[0].attempt, 3);
    live.complete("a");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_failure_that_no_policy_would_repeat_is_not_left_to_a_person() {
    let mut live = with(RetryPolicy { on_exhausted: OnExhausted::Pause, ..retry(2, 100) });
    let final_one = AttemptError { class: "validation".to_owned(), ..of_type("E") };
    fails_as(&mut live, "a", final_one);
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn an_exhausted_node_of_a_job_that_ends_fails() {
    let policy = RetryPolicy { on_exhausted: OnExhausted::Pause, ..retry(1, 100) };
    let nodes = vec![NodeSpec { retry: Some(policy.into()), ..node("a", &[]) }, node("b", &[])];
    let mut live = Live::submit(job(nodes));
    let attempt = live.lease("a");
    let _other = live.lease("b");
    live.cancel();
    let answer = live.report(attempt, Outcome::Fail { error: of_type("E"), details: None });
    assert!(answer.is_ok());
    assert_eq!(live.status("a"), NodeStatus::Failed);
}

#[test]
fn the_rules_of_a_member_count_anew_when_its_group_is_tried_again() {
    let rule = RetryRule { types: vec!["Slow".to_owned()], ..RetryRule::default() };
    let policy = RetryPolicy { rules: vec![rule], ..retry(2, 100) };
    let member = NodeSpec { retry: Some(policy.into()), ..node("m", &[]) };
    let outer = NodeSpec { retry: Some(retry(2, 100).into()), ..group("g", &[], vec![member]) };
    let mut live = Live::submit(job(vec![outer]));
    for run in 1..=2 {
        for execution in 1..=2 {
            fails_as(&mut live, "g/m", of_type("Slow"));
            let last = execution == 2 && run == 2;
            assert_eq!(live.state.head.status == JobStatus::Failed, last, "{}", live.stand());
            if !last {
                live.wake_at(live.now + 100_000);
            }
        }
    }
    assert!(live.now > T0);
}
