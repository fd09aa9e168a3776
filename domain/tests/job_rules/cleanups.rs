//! Cleanups: after which ends they run, one after another, tried again, within their time, and what they may read.

use domain::job::command::JobCommand;
use domain::job::outcome::EndingStage;
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::spec::{NodeKind, NodeSpec, RunOn};
use domain::node::status::NodeStatus;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::build::{GRACE_MS, T0, completes, fails, job, node, retry};
use crate::live::Live;
use crate::trees::{cleanup, gets, group, in_order, when};

fn affects(mut node: NodeSpec) -> NodeSpec {
    if let NodeKind::Cleanup { affects_outcome, .. } = &mut node.kind {
        *affects_outcome = true;
    }
    node
}

/// One cleanup for each end, and one for all.
fn every_kind() -> JobSpec {
    let nodes = vec![
        node("a", &[]),
        cleanup("always", &[], &[]),
        cleanup("success", &[], &[RunOn::Success]),
        cleanup("failure", &[], &[RunOn::Failure]),
        cleanup("cancel", &[], &[RunOn::Cancel]),
        cleanup("both", &[], &[RunOn::Cancel, RunOn::Failure]),
    ];
    JobSpec { timeout_ms: Some(60_000), ..job(nodes) }
}

/// How a job is ended, what it is then, and which cleanups run.
type End<'a> = (fn(&mut Live), JobStatus, &'a [&'a str]);

#[test]
fn run_on_selects_the_cleanups_of_each_end() {
    let ends: [End<'_>; 4] = [
        (|live| live.complete("a"), JobStatus::Completed, &["always", "success"]),
        (|live| live.fail("a"), JobStatus::Failed, &["always", "failure", "both"]),
        (|live| live.cancel(), JobStatus::Cancelled, &["always", "cancel", "both"]),
        (|live| live.wake_at(T0 + 60_000), JobStatus::Timeout, &["always", "failure", "both"]),
    ];
    for (end, status, run) in ends {
        let mut live = Live::submit(every_kind());
        assert_eq!(live.those(NodeStatus::Ready), ["a"]);
        end(&mut live);
        assert_eq!(live.those(NodeStatus::Ready), run, "{status}");
        assert_eq!(
            (live.state.head.ending, live.state.head.stage),
            (Some(status), EndingStage::Cleaning)
        );
        assert_eq!(
            live.state.count(NodeStatus::Skipped),
            5 - u32::try_from(run.len()).unwrap_or(0)
        );
        for key in run {
            live.complete(key);
        }
        assert_eq!(live.state.head.status, status);
    }
}

#[test]
fn without_a_cleanup_for_its_end_a_job_is_over_at_once() {
    let mut live = Live::submit(job(vec![node("a", &[]), cleanup("c", &[], &[RunOn::Cancel])]));
    live.complete("a");
    assert_eq!(live.stand(), "a completed, c ~skipped");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn cleanups_wait_for_what_runs_and_for_the_grace() {
    let mut live = Live::submit(job(vec![node("a", &[]), cleanup("c", &[], &[])]));
    let a = live.lease("a");
    live.cancel();
    assert_eq!(live.stand(), "a running");
    assert_eq!(live.state.head.stage, EndingStage::Stopping);
    live.wake_at(T0 + GRACE_MS);
    assert_eq!(live.stand(), "a cancelled, c ready");
    assert!(matches!(live.report(a, completes(None)), Ok(Answer::Refused(Refusal::LeaseLost))));
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}

#[test]
fn a_paused_job_that_ends_cleans_up_all_the_same() {
    let mut live = Live::submit(job(vec![node("a", &[]), cleanup("c", &[], &[])]));
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    live.cancel();
    assert_eq!(live.state.head.status, JobStatus::Paused);
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_err(), "it ends");
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);

    let nodes = vec![node("a", &[]), node("b", &[]), cleanup("c", &[], &[])];
    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes) });
    let a = live.lease("a");
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    assert!(live.report(a, fails(false)).is_ok());
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_job_that_was_never_admitted_has_nothing_to_clean_up() {
    let spec = || JobSpec {
        environment: Some("pool".to_owned()),
        timeout_ms: Some(5_000),
        ..job(vec![node("a", &[]), cleanup("c", &[], &[])])
    };
    let mut live = Live::submit(spec());
    live.cancel();
    assert_eq!(live.stand(), "a cancelled, c cancelled");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
    let mut live = Live::submit(spec());
    live.wake_at(T0 + 5_000);
    assert_eq!(live.state.head.status, JobStatus::Timeout);
    let mut live = Live::submit(JobSpec { scheduled_at: Some(T0 + 9_000), ..spec() });
    live.cancel();
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
    // Admitted, and nothing of it has run yet: what it got may have to be given back.
    let mut live = Live::submit(spec());
    assert!(live.ask(&JobCommand::TakeGrant { number: 1 }).is_ok());
    live.cancel();
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}

#[test]
fn cleanups_may_depend_on_one_another_and_on_other_nodes_only_in_words() {
    let nodes = vec![
        node("a", &[]),
        cleanup("first", &["a"], &[]),
        cleanup("then", &["first"], &[]),
        cleanup("last", &["first", "then"], &[]),
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    for key in ["first", "then", "last"] {
        assert_eq!(live.those(NodeStatus::Ready), [key]);
        live.complete(key);
    }
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().0, Some("a"));
}

#[test]
fn a_cleanup_behind_one_for_another_end_runs_and_one_behind_a_failed_one_is_skipped() {
    let nodes = || {
        vec![
            node("a", &[]),
            cleanup("undo", &[], &[RunOn::Failure]),
            cleanup("then", &["undo"], &[]),
        ]
    };
    let mut live = Live::submit(job(nodes()));
    live.complete("a");
    assert_eq!(live.stand(), "a completed, undo ~skipped, then ready");
    live.complete("then");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    let mut live = Live::submit(job(nodes()));
    live.fail("a");
    live.fail("undo");
    assert_eq!(live.stand(), "a failed, undo failed, then skipped");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn the_failure_of_a_cleanup_changes_the_outcome_only_where_it_says_so() {
    let mut live = Live::submit(job(vec![node("a", &[]), cleanup("c", &[], &[])]));
    live.complete("a");
    live.fail("c");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.error(), (None, ""));

    let mut live = Live::submit(job(vec![node("a", &[]), affects(cleanup("c", &[], &[]))]));
    live.complete("a");
    live.fail("c");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().1, "cleanup");

    let mut live = Live::submit(job(vec![node("a", &[]), affects(cleanup("c", &[], &[]))]));
    live.fail("a");
    live.fail("c");
    assert_eq!(live.error().0, Some("a"), "it had failed already");
}

#[test]
fn a_cleanup_is_tried_again_by_its_policy_within_the_time_of_all() {
    let again = NodeSpec { retry: Some(retry(3, 2_000).into()), ..cleanup("c", &[], &[]) };
    let nodes = vec![node("a", &[]), again];
    let mut live = Live::submit(JobSpec { cleanup_timeout_ms: Some(3_000), ..job(nodes) });
    live.complete("a");
    live.fail_once("c");
    assert_eq!(live.status("c"), NodeStatus::Retrying);
    live.wake_at(T0 + 2_000);
    live.fail_once("c");
    assert_eq!(live.status("c"), NodeStatus::Failed, "another try would come too late");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn the_time_of_all_cleanups_ends_them_and_touches_nothing_else() {
    let nodes = vec![
        node("a", &[]),
        node("blocked", &["a"]),
        cleanup("runs", &[], &[]),
        cleanup("waits", &[], &[]),
        cleanup("behind", &["runs"], &[]),
    ];
    let mut live = Live::submit(JobSpec { cleanup_timeout_ms: Some(5_000), ..job(nodes) });
    live.fail("a");
    live.lease("runs");
    live.wake_at(T0 + 4_999);
    assert_eq!(live.stand(), "a failed, runs running, waits ready");
    live.wake_at(T0 + 5_000);
    assert_eq!(live.stand(), "a failed, runs timeout, waits timeout, behind cancelled");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_cleanup_has_time_outs_of_its_own() {
    let mut slow = cleanup("c", &[], &[]);
    slow.timeouts.queue_ms = Some(2_000);
    let mut long = cleanup("d", &[], &[]);
    long.timeouts.attempt_ms = Some(3_000);
    let mut live = Live::submit(job(vec![node("a", &[]), slow, long]));
    live.complete("a");
    live.lease("d");
    live.wake_at(T0 + 2_000);
    assert_eq!(live.stand(), "a completed, c timeout, d running");
    live.wake_at(T0 + 3_000);
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn nobody_is_asked_about_a_cleanup_whose_outcome_is_unknown() {
    let once =
        NodeSpec { at_most_once: true, retry: Some(retry(5, 0).into()), ..cleanup("c", &[], &[]) };
    let mut live = Live::submit(job(vec![node("a", &[]), once]));
    live.complete("a");
    let attempt = live.lease("c");
    let expired = JobCommand::ExpireLease { node: attempt.node, epoch: attempt.epoch };
    assert!(live.ask(&expired).is_ok());
    assert_eq!(live.status("c"), NodeStatus::Failed);
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_job_that_is_cancelled_while_it_cleans_up_goes_on_doing_so() {
    let mut live = Live::submit(every_kind());
    live.complete("a");
    let until = live.state.head.ending_until;
    live.now += 100;
    live.cancel();
    assert_eq!(live.those(NodeStatus::Ready), ["always", "success"], "they were chosen before");
    assert_eq!(live.state.head.ending_until, until);
    live.complete("always");
    live.complete("success");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}

#[test]
fn a_job_that_is_cancelled_while_it_cleans_up_leaves_no_blocked_node_behind() {
    let inner = group("g", &["a"], vec![node("m", &[])]);
    let nodes = vec![node("a", &[]), node("b", &["a"]), inner, cleanup("c", &[], &[])];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    assert_eq!(live.stand(), "a failed, c ready", "what is blocked is pending");
    live.cancel();
    assert_eq!(live.stand(), "a failed, b cancelled, g cancelled, g/m cancelled, c ready");
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}

#[test]
fn a_cleanup_reads_how_its_job_ends_and_why_and_what_its_nodes_gave() {
    let input = "{\"status\": \"${{ job.status }}\", \"error\": \"${{ job.error }}\", \"gave\": \"${{ nodes.a.output }}\", \"b\": \"${{ nodes.b.status }}\"}";
    let spec = || {
        let nodes = vec![
            node("a", &[]),
            node("b", &[]),
            when("catch", &["b"], "${{ nodes.b.status == 'failed' && nodes.b.error.type == 'E' }}"),
            gets(input, cleanup("c", &[], &[])),
        ];
        JobSpec { timeout_ms: Some(9_000), ..job(nodes) }
    };
    let mut live = Live::submit(spec());
    live.complete_with("a", "1");
    live.fail("b");
    live.complete("catch");
    let told = "{\"status\":\"completed\",\"error\":null,\"gave\":1,\"b\":\"failed\"}";
    assert_eq!(live.input("c"), told, "what was handled is no error of the job");

    let mut live = Live::submit(spec());
    live.fail("a");
    live.complete("b");
    let told = live.input("c");
    assert!(told.contains("\"status\":\"failed\"") && told.contains("\"node\":\"a\""), "{told}");
    assert!(told.contains("\"gave\":null"), "{told}");

    let mut live = Live::submit(spec());
    live.cancel();
    assert!(live.input("c").contains("\"status\":\"cancelled\",\"error\":null"));

    let mut live = Live::submit(spec());
    live.wake_at(T0 + 9_000);
    let told = live.input("c");
    assert!(told.contains("timeout.job") && told.contains("\"status\":\"timeout\""), "{told}");
}

#[test]
fn a_cleanup_whose_input_is_evaluated_beside_the_committer_waits_for_it() {
    let large = format!("\"{}\"", "x".repeat(5_000));
    let reads = gets("\"${{ size(nodes.a.output) }} ${{ job.status }}\"", cleanup("c", &[], &[]));
    let mut live = Live::submit(job(vec![node("a", &[]), reads]));
    live.complete_with("a", &large);
    assert_eq!(live.status("c"), NodeStatus::Waiting);
    assert_eq!(live.evaluate(), 1);
    assert_eq!(live.input("c"), "\"5000 completed\"");
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn cleanups_run_behind_groups_that_a_cancel_stopped() {
    let nodes = vec![
        group("g", &[], vec![in_order("h", &[], vec![node("m", &[]), node("n", &[])])]),
        gets("\"${{ nodes.g.output }}\"", cleanup("c", &[], &[])),
    ];
    let mut live = Live::submit(job(nodes));
    let attempt = live.lease("g/h/m");
    live.cancel();
    assert!(live.report(attempt, completes(None)).is_ok());
    assert_eq!(live.input("c"), "null", "a group that did not complete gave nothing");
    live.complete("c");
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}
