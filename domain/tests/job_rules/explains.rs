//! What a job and its nodes say of themselves, case by case: the word, who ends it, and when.

use domain::ids::Millis;
use domain::job::command::JobCommand;
use domain::job::explain::{EndCode, EndsOn, Explanation, Turn, Wait, WaitCode};
use domain::job::spec::{JobSpec, Start};
use domain::node::spec::{NodeSpec, Timeouts};

use crate::build::{T0, job, node, retry};
use crate::live::Live;
use crate::trees::cleanup;

fn only(said: &Explanation) -> &Wait {
    assert_eq!(said.waits.len(), 1, "{said:#?}");
    &said.waits[0]
}

fn codes(said: &Explanation) -> Vec<WaitCode> {
    said.waits.iter().map(|wait| wait.code).collect()
}

fn of_node(live: &Live, key: &str) -> Explanation {
    live.state.explain_node(live.at(key), None).unwrap_or_else(|| panic!("no node {key}"))
}

fn abc() -> Vec<NodeSpec> {
    vec![node("a", &[]), node("b", &["a"]), node("c", &["b"])]
}

#[test]
fn a_job_that_has_not_started_says_what_starts_it() {
    let later = JobSpec { scheduled_at: Some(T0 + 5_000), ..job(abc()) };
    let said = Live::submit(later).state.explain(None);
    let wait = only(&said);
    assert_eq!((wait.code, wait.ends_on), (WaitCode::ScheduledStart, EndsOn::Time));
    assert_eq!((wait.wakes_at, wait.since), (Some(T0 + 5_000), T0));

    let by_hand = JobSpec { start: Start::Manual, ..job(abc()) };
    let said = Live::submit(by_hand).state.explain(None);
    assert_eq!((only(&said).code, only(&said).ends_on), (WaitCode::ManualStart, EndsOn::Start));
    assert_eq!(only(&said).wakes_at, None);

    let mut queued =
        JobSpec { environment: Some("gpu".to_owned()), timeout_ms: Some(9_000), ..job(abc()) };
    queued.resources.insert("slots".to_owned(), 2);
    let live = Live::submit(queued);
    let said = live.state.explain(None);
    let wait = only(&said);
    assert_eq!((wait.code, wait.ends_on), (WaitCode::Grant, EndsOn::Grant));
    assert_eq!(wait.times_out_at, Some(T0 + 9_000));
    assert!(wait.message.contains("`gpu`") && wait.message.contains("2 slots"), "{wait:?}");
    // Its nodes wait for the same.
    assert_eq!(codes(&of_node(&live, "c")), [WaitCode::Grant]);
}

#[test]
fn work_waits_for_a_worker_then_for_its_report_then_for_its_time() {
    let mut nodes = abc();
    nodes[0].timeouts = Timeouts { queue_ms: Some(2_000), attempt_ms: Some(3_000), total_ms: None };
    let mut live = Live::submit(JobSpec { retry: Some(retry(2, 700).into()), ..job(nodes) });
    let said = live.state.explain(None);
    assert_eq!(codes(&said), [WaitCode::Worker, WaitCode::Parents]);
    let ready = &said.waits[0];
    assert_eq!((ready.ends_on, ready.times_out_at), (EndsOn::Lease, Some(T0 + 2_000)));
    assert_eq!(ready.queue.as_ref().map(domain::ids::QueueName::as_str), Some("default"));
    assert_eq!((said.waits[1].node_count, &said.waits[1].nodes), (2, &vec![1, 2]));

    live.now = T0 + 100;
    let attempt = live.lease("a");
    let said = live.state.explain(None);
    let running = &said.waits[0];
    assert_eq!((running.code, running.ends_on), (WaitCode::Attempt, EndsOn::Report));
    assert_eq!((running.since, running.times_out_at), (T0 + 100, Some(T0 + 3_100)));

    assert!(live.report(attempt, crate::build::fails(true)).is_ok());
    let said = live.state.explain(None);
    let retrying = &said.waits[0];
    assert_eq!((retrying.code, retrying.ends_on), (WaitCode::Retry, EndsOn::Time));
    assert_eq!(retrying.wakes_at, Some(T0 + 800));
    assert_eq!(live.state.next_due(), Some(T0 + 800));
}

#[test]
fn a_node_says_what_it_waits_for_and_what_that_waits_for() {
    let mut live = Live::submit(job(abc()));
    let said = of_node(&live, "c");
    assert_eq!(codes(&said), [WaitCode::Parents, WaitCode::Worker]);
    assert_eq!((&said.waits[0].nodes, &said.waits[0].waits_for), (&vec![2], &vec![1]));
    assert_eq!(said.waits[0].message, "waits for `b`");
    assert_eq!(said.waits[1].nodes, [0]);
    live.complete("a");
    assert_eq!(of_node(&live, "c").waits[1].nodes, [1]);
    assert_eq!(codes(&of_node(&live, "b")), [WaitCode::Worker]);
    let ended = of_node(&live, "a").ended.map(|ended| ended.code);
    assert_eq!(ended, Some(EndCode::Completed));
}

#[test]
fn a_node_that_could_start_waits_for_a_place() {
    let nodes = vec![node("a", &[]), node("b", &[])];
    let live = Live::submit(JobSpec { max_parallel: Some(1), ..job(nodes) });
    let said = of_node(&live, "b");
    assert_eq!((only(&said).code, only(&said).ends_on), (WaitCode::Place, EndsOn::Place));
    assert!(only(&said).message.contains("max_parallel lets 1"), "{said:?}");
}

#[test]
fn what_can_no_longer_start_names_what_keeps_it() {
    let nodes = vec![node("a", &[]), node("b", &["a"]), node("c", &["b"]), node("d", &[])];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    let said = of_node(&live, "c");
    assert_eq!((only(&said).code, only(&said).ends_on), (WaitCode::Blocked, EndsOn::JobEnd));
    assert_eq!(only(&said).waits_for, [0]);
    assert_eq!(codes(&live.state.explain(None)), [WaitCode::Worker, WaitCode::Blocked]);
    live.complete("d");
    let said = live.state.explain(None);
    let ended = said.ended.as_ref().unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!((ended.code, &ended.because_of), (EndCode::Failed, &vec![0]));
    assert!(ended.message.contains("2 nodes could not start"), "{ended:?}");
    assert_eq!(ended.error.as_ref().and_then(|error| error.node.clone()).as_deref(), Some("a"));
    let left = of_node(&live, "c").ended.unwrap_or_else(|| panic!("the job is over"));
    assert_eq!((left.code, left.because_of), (EndCode::Blocked, vec![0]));
}

#[test]
fn a_paused_job_waits_for_a_person_and_for_what_still_runs() {
    let nodes = vec![node("a", &[]), node("b", &[])];
    let mut live = Live::submit(job(nodes));
    live.lease("a");
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    let turn = Turn { at: T0 + 7, actor: "client".into(), reason: Some("lunch".to_owned()) };
    let said = live.state.explain(Some(&turn));
    assert_eq!(codes(&said), [WaitCode::Paused, WaitCode::Attempt]);
    assert_eq!((said.waits[0].ends_on, said.waits[0].since), (EndsOn::Resume, T0 + 7));
    assert!(said.waits[0].message.contains("by client (lunch)"), "{said:?}");
    assert_eq!(codes(&of_node(&live, "b")), [WaitCode::Paused]);
}

#[test]
fn an_unknown_outcome_waits_for_a_person() {
    let once = NodeSpec { at_most_once: true, ..node("a", &[]) };
    let mut live = Live::submit(job(vec![once]));
    let attempt = live.lease("a");
    let expired = JobCommand::ExpireLease { node: attempt.node, epoch: attempt.epoch };
    assert!(live.ask(&expired).is_ok());
    let said = live.state.explain(None);
    assert_eq!(codes(&said), [WaitCode::Paused, WaitCode::OutcomeUnknown]);
    assert!(said.waits.iter().all(|wait| wait.ends_on == EndsOn::Resume));
}

#[test]
fn an_ending_job_waits_for_reports_until_its_grace_is_over() {
    let mut live = Live::submit(job(abc()));
    let attempt = live.lease("a");
    assert!(live.ask(&JobCommand::Cancel { reason: None }).is_ok());
    let said = live.state.explain(None);
    let wait = only(&said);
    let grace: Millis = crate::build::GRACE_MS;
    assert_eq!((wait.code, wait.ends_on), (WaitCode::Ending, EndsOn::Report));
    assert_eq!((wait.wakes_at, &wait.nodes), (Some(T0 + grace), &vec![0]));
    assert!(live.report(attempt, crate::build::completes(None)).is_ok());
    let ended = live.state.explain(None).ended.map(|ended| ended.code);
    assert_eq!(ended, Some(EndCode::Cancelled));
    let node = of_node(&live, "b").ended.map(|ended| ended.code);
    assert_eq!(node, Some(EndCode::Cancelled));
}

#[test]
fn a_job_that_is_over_says_why() {
    let mut completed = Live::submit(job(vec![node("a", &[])]));
    completed.complete("a");
    let mut failed_fast = Live::submit(JobSpec { fail_fast: true, ..job(abc()) });
    failed_fast.fail("a");
    let mut late = Live::submit(JobSpec { timeout_ms: Some(1_000), ..job(abc()) });
    late.wake_at(T0 + 1_000);
    let skips = NodeSpec { skip_on_failure: true, ..node("b", &["a"]) };
    let mut skipped = Live::submit(job(vec![node("a", &[]), skips]));
    skipped.fail("a");
    for (live, code) in [
        (&completed, EndCode::Completed),
        (&failed_fast, EndCode::FailFast),
        (&late, EndCode::TimedOut),
        (&skipped, EndCode::Failed),
    ] {
        let said = live.state.explain(None);
        let ended = said.ended.unwrap_or_else(|| panic!("{:?}", live.state.head));
        assert_eq!((ended.code, said.wait_count), (code, 0));
        assert_eq!(Some(ended.at), live.state.head.completed_at);
    }
    let node = of_node(&skipped, "b").ended.unwrap_or_else(|| panic!("it is settled"));
    assert_eq!((node.code, node.because_of), (EndCode::Skipped, vec![0]));
}

#[test]
fn a_cleanup_that_runs_is_named_by_its_own_wait_alone() {
    let mut live = Live::submit(job(vec![node("a", &[]), cleanup("c", &[], &[])]));
    live.complete("a");
    live.lease("c");
    let said = live.state.explain(None);
    assert_eq!(codes(&said), [WaitCode::Ending, WaitCode::Attempt]);
    assert_eq!((said.waits[0].node_count, said.waits[1].node_count), (0, 1));
}
