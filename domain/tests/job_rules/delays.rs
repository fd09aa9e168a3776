//! Attempts that are given back for a time.

use domain::bounds::RELEASE_AFTER_MS_MAX;
use domain::job::command::{JobCommand, Outcome};
use domain::job::explain::WaitCode;
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::{NodeSpec, Timeouts};
use domain::node::status::NodeStatus;
use domain::subject::answer::Answer;

use crate::build::{T0, completes, fails, job, node, retry};
use crate::live::Live;

fn given_back(live: &mut Live, key: &str, after_ms: u64) {
    let attempt = live.lease(key);
    let answer = live.report(attempt, Outcome::ReleaseFor { after_ms });
    assert!(matches!(answer, Ok(Answer::Recorded)), "{answer:?}");
}

#[test]
fn it_waits_for_its_time_and_then_for_a_place() {
    let nodes = vec![node("a", &[]), node("b", &[])];
    let mut live = Live::submit(JobSpec { max_parallel: Some(1), ..job(nodes) });
    given_back(&mut live, "a", 1_000);
    let held = live.state.nodes[0].hold;
    assert_eq!((live.status("a"), held), (NodeStatus::Waiting, Some(Hold::Delay)));
    assert_eq!((live.status("b"), live.state.next_due()), (NodeStatus::Ready, Some(T0 + 1_000)));
    live.wake_at(T0 + 999);
    assert_eq!(live.state.nodes[0].hold, Some(Hold::Delay));
    live.wake_at(T0 + 1_000);
    assert_eq!(
        (live.status("a"), live.state.nodes[0].hold),
        (NodeStatus::Waiting, Some(Hold::Limit))
    );
    assert_eq!(live.state.next_due(), None);
    live.complete("b");
    assert_eq!((live.status("a"), live.state.nodes[0].attempt), (NodeStatus::Ready, 0));
    live.complete("a");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn it_counts_no_attempt_however_often_and_keeps_what_went_wrong_before() {
    let mut live =
        Live::submit(JobSpec { retry: Some(retry(2, 0).into()), ..job(vec![node("a", &[])]) });
    let attempt = live.lease("a");
    assert!(live.report(attempt, fails(true)).is_ok());
    live.wake_at(T0 + 1);
    for _ in 0..50 {
        given_back(&mut live, "a", 10);
        let told = live.state.handed_on.get(&0).and_then(|handed| handed.error.as_ref());
        assert_eq!(told.map(|error| error.error_type.as_str()), Some("E"));
        live.wake_at(live.now + 10);
    }
    let last = live.lease("a");
    assert_eq!(last.attempt, 2);
    assert!(live.report(last, fails(true)).is_ok());
    assert_eq!((live.status("a"), live.state.handed_on.len()), (NodeStatus::Failed, 0));
}

#[test]
fn no_time_is_longer_than_a_day() {
    let mut live = Live::submit(job(vec![node("a", &[])]));
    given_back(&mut live, "a", u64::MAX);
    let day = i64::try_from(RELEASE_AFTER_MS_MAX).unwrap_or(0);
    assert_eq!(live.state.next_due(), Some(T0 + day));
}

#[test]
fn the_total_time_of_its_node_runs_on() {
    let timeouts = Timeouts { total_ms: Some(5_000), ..Timeouts::default() };
    let mut live = Live::submit(job(vec![NodeSpec { timeouts, ..node("a", &[]) }]));
    given_back(&mut live, "a", 60_000);
    let said = live.state.explain(None);
    assert_eq!((said.waits[0].code, said.waits[0].wakes_at), (WaitCode::Delay, Some(T0 + 60_000)));
    assert_eq!(said.waits[0].times_out_at, Some(T0 + 5_000));
    live.wake_at(T0 + 5_000);
    assert_eq!(
        (live.status("a"), live.state.head.status),
        (NodeStatus::Timeout, JobStatus::Failed)
    );
}

#[test]
fn a_pause_does_not_stop_the_time_and_an_end_does() {
    let nodes = vec![node("a", &[]), node("b", &[])];
    let mut live = Live::submit(job(nodes.clone()));
    given_back(&mut live, "a", 1_000);
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    live.wake_at(T0 + 1_000);
    assert_eq!(live.status("a"), NodeStatus::Ready, "and nobody is offered it");
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    live.complete("a");

    let mut live = Live::submit(job(nodes));
    let running = live.lease("b");
    given_back(&mut live, "a", 1_000);
    assert!(live.ask(&JobCommand::Cancel { reason: None }).is_ok());
    assert_eq!(live.status("a"), NodeStatus::Cancelled);
    // What is given back while the job ends is not offered again, at no time.
    let answer = live.report(running, Outcome::ReleaseFor { after_ms: 1_000 });
    assert!(matches!(answer, Ok(Answer::Recorded)));
    assert_eq!(
        (live.status("b"), live.state.head.status),
        (NodeStatus::Cancelled, JobStatus::Cancelled)
    );
    assert!(live.report(running, completes(None)).is_err());
}
