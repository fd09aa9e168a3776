//! Failures that are handled: by whom, what becomes of what else depended on them, what waits for that, and which error is
//! shown.

use domain::job::spec::{CompleteWhen, JobSpec};
use domain::job::status::JobStatus;
use domain::node::spec::{DependencyCondition, NodeSpec};
use domain::node::status::NodeStatus;

use crate::build::{GRACE_MS, T0, job, node, retry};
use crate::live::Live;
use crate::trees::{checkpoint, ends_when, gets, group, when};

const FAILED: &str = "${{ nodes.a.status == 'failed' }}";

fn catch(key: &str) -> NodeSpec {
    when(key, &["a"], FAILED)
}

#[test]
fn a_failure_is_handled_when_a_node_that_ran_because_of_it_completed() {
    let by_status = catch("catch");
    let by_error =
        when("catch", &["a"], "${{ has(nodes.a.error.class) && nodes.a.error.type == 'E' }}");
    for catch in [by_status, by_error] {
        let mut live = Live::submit(job(vec![node("a", &[]), catch]));
        live.fail("a");
        assert_eq!(live.stand(), "a failed, catch ready");
        live.complete("catch");
        assert_eq!(live.state.head.status, JobStatus::Completed);
        assert_eq!(live.error(), (None, ""));
    }
}

#[test]
fn a_time_out_is_handled_like_a_failure() {
    let mut a = node("a", &[]);
    a.timeouts.queue_ms = Some(1_000);
    let mut live =
        Live::submit(job(vec![a, when("catch", &["a"], "${{ nodes.a.status == 'timeout' }}")]));
    live.wake_at(T0 + 1_000);
    live.complete("catch");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn who_runs_whatever_happened_or_runs_and_fails_handles_nothing() {
    // It reads an output only.
    let mut live =
        Live::submit(job(vec![node("a", &[]), when("x", &["a"], "${{ nodes.a.output == null }}")]));
    live.fail("a");
    live.complete("x");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().0, Some("a"));
    // It fails itself.
    let mut live = Live::submit(job(vec![node("a", &[]), catch("catch")]));
    live.fail("a");
    live.fail("catch");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().0, Some("a"), "the first that nobody handled");
    // Its expression does not hold.
    let not = when("catch", &["a"], "${{ nodes.a.error.type == 'other' }}");
    let mut live = Live::submit(job(vec![node("a", &[]), not]));
    live.fail("a");
    assert_eq!(live.stand(), "a failed, catch ~skipped");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn one_of_several_handlers_is_enough() {
    let nodes = vec![node("a", &[]), catch("first"), catch("second")];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    live.complete("second");
    live.fail("first");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().0, Some("first"), "that of `a` is handled");
}

#[test]
fn what_else_depended_on_a_handled_failure_is_bypassed_and_the_join_runs() {
    let nodes = || {
        vec![
            node("a", &[]),
            node("normal", &["a"]),
            node("more", &["normal"]),
            catch("catch"),
            node("join", &["more", "catch"]),
        ]
    };
    let mut live = Live::submit(job(nodes()));
    live.fail("a");
    assert_eq!(live.stand(), "a failed, catch ready");
    live.complete("catch");
    assert_eq!(
        live.stand(),
        "a failed, normal ~skipped, more ~skipped, catch completed, join ready"
    );
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    // And on the normal way it is the catch that is bypassed.
    let mut live = Live::submit(job(nodes()));
    live.complete("a");
    assert_eq!(live.stand(), "a completed, normal ready, catch ~skipped");
    for key in ["normal", "more", "join"] {
        live.complete(key);
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn what_skips_on_failure_is_bypassed_where_the_failure_was_handled_before() {
    let nodes = vec![
        node("a", &[]),
        catch("catch"),
        when("off", &["catch"], "${{ false }}"),
        NodeSpec {
            dependency_condition: DependencyCondition::Any,
            skip_on_failure: true,
            ..node("any", &["a", "off"])
        },
        node("join", &["any", "catch"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    live.complete("catch");
    assert_eq!(live.stand(), "a failed, catch completed, off ~skipped, any ~skipped, join ready");
}

#[test]
fn what_was_skipped_because_of_a_failure_counts_as_nothing_once_it_is_handled() {
    let skips =
        |key: &str, parents: &[&str]| NodeSpec { skip_on_failure: true, ..node(key, parents) };
    let nodes = vec![
        node("a", &[]),
        skips("normal", &["a"]),
        skips("more", &["normal"]),
        catch("catch"),
        node("join", &["more", "catch"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    assert_eq!(live.stand(), "a failed, normal skipped, more skipped, catch ready");
    live.complete("catch");
    assert_eq!(live.status("join"), NodeStatus::Ready);
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn what_depended_on_another_failure_too_stays_blocked() {
    let nodes = vec![node("a", &[]), node("b", &[]), node("x", &["a", "b"]), catch("catch")];
    let mut live = Live::submit(job(nodes));
    live.fail("b");
    live.fail("a");
    live.complete("catch");
    assert_eq!(live.stand(), "a failed, b failed, catch completed");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error().0, Some("b"));
}

#[test]
fn the_error_of_a_job_is_the_first_failure_that_nobody_handled() {
    let nodes = || vec![node("a", &[]), node("b", &[]), node("c", &[]), catch("catch")];
    // The first is handled, after the second has failed.
    let mut live = Live::submit(job(nodes()));
    live.fail("a");
    live.now += 1;
    live.fail("b");
    live.now += 1;
    live.fail("c");
    live.complete("catch");
    assert_eq!(live.error().0, Some("b"));
    // The first could have been handled, and was not.
    let mut live = Live::submit(job(nodes()));
    live.fail("a");
    live.now += 1;
    live.fail("b");
    live.complete("c");
    live.fail("catch");
    assert_eq!(live.error().0, Some("a"));
}

#[test]
fn the_error_of_a_group_is_the_first_failure_in_it_that_nobody_handled() {
    let members = vec![node("a", &[]), node("b", &[]), catch("catch")];
    let mut live = Live::submit(job(vec![
        ends_when(group("g", &[], members), CompleteWhen::TolerateCount(0)),
        gets(
            "\"${{ nodes.g.error.node }}\"",
            when("tells", &["g"], "${{ nodes.g.status == 'failed' }}"),
        ),
    ]));
    live.fail("g/a");
    live.complete("g/catch");
    assert_eq!(live.status("g"), NodeStatus::Waiting);
    live.fail("g/b");
    assert_eq!(live.stand(), "g failed, g/a failed, g/b failed, g/catch completed, tells ready");
    assert_eq!(live.input("tells"), "\"g/b\"");
    live.complete("tells");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn fail_fast_waits_for_the_handler() {
    let nodes = || vec![node("a", &[]), node("b", &[]), catch("catch")];
    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes()) });
    live.fail("a");
    assert_eq!(live.state.head.ending, None);
    live.complete("catch");
    live.complete("b");
    assert_eq!(live.state.head.status, JobStatus::Completed);

    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes()) });
    live.fail("a");
    live.fail("catch");
    assert_eq!(live.stand(), "a failed, b cancelled, catch failed");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_group_waits_for_the_handler_before_it_ends_early() {
    let members = || vec![node("a", &[]), node("b", &[]), catch("catch")];
    let mut live = Live::submit(job(vec![group("g", &[], members())]));
    live.fail("g/a");
    assert_eq!(live.stand(), "g waiting, g/a failed, g/b ready, g/catch ready");
    live.complete("g/b");
    live.complete("g/catch");
    assert_eq!(live.state.head.status, JobStatus::Completed);

    let mut live = Live::submit(job(vec![group("g", &[], members())]));
    live.fail("g/a");
    live.fail("g/catch");
    assert_eq!(live.stand(), "g failed, g/a failed, g/b cancelled, g/catch failed");
}

#[test]
fn a_failed_member_fails_nothing_beyond_its_group() {
    let tolerant = ends_when(
        group("g", &[], vec![node("a", &[]), node("b", &[])]),
        CompleteWhen::TolerateCount(1),
    );
    let mut live =
        Live::submit(JobSpec { fail_fast: true, ..job(vec![tolerant, node("y", &["g"])]) });
    live.fail("g/a");
    live.complete("g/b");
    live.complete("y");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.error(), (None, ""));
}

#[test]
fn the_failure_of_a_group_is_handled_like_that_of_any_node() {
    let nodes = vec![
        group("a", &[], vec![node("m", &[])]),
        node("normal", &["a"]),
        catch("catch"),
        node("join", &["normal", "catch"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("a/m");
    assert_eq!(live.stand(), "a failed, a/m failed, catch ready");
    live.complete("catch");
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_catch_that_the_engine_does_itself_handles_in_the_same_event() {
    let record = "{\"why\": \"${{ nodes.a.error.message }}\"}";
    let mut caught = checkpoint("catch", &["a"], record);
    caught.dependency_condition = DependencyCondition::Conditional;
    caught.when = Some(FAILED.to_owned());
    let mut live = Live::submit(job(vec![node("a", &[]), node("x", &["a"]), caught]));
    live.fail("a");
    assert_eq!(live.stand(), "a failed, x ~skipped, catch completed");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_node_that_is_tried_again_is_caught_when_it_fails_for_good() {
    let a = NodeSpec { retry: Some(retry(2, 0).into()), ..node("a", &[]) };
    let reads = gets("\"${{ nodes.a.attempts }}\"", catch("catch"));
    let mut live = Live::submit(job(vec![a, reads]));
    live.fail_once("a");
    live.wake_at(live.now);
    assert_eq!(live.stand(), "a ready");
    live.fail_once("a");
    assert_eq!(live.input("catch"), "2");
}

#[test]
fn a_running_handler_of_a_job_that_ends_handles_still() {
    let nodes = vec![node("a", &[]), node("b", &[]), catch("catch")];
    let mut live = Live::submit(JobSpec { fail_fast: true, ..job(nodes) });
    live.fail("a");
    let caught = live.lease("catch");
    live.fail("b");
    assert_eq!(live.state.head.ending, Some(JobStatus::Failed));
    assert!(live.report(caught, crate::build::completes(None)).is_ok());
    assert_eq!(live.error().0, Some("b"));
    live.wake_at(T0 + GRACE_MS);
    assert_eq!(live.state.head.status, JobStatus::Failed);
}
