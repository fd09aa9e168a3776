//! Conditions: which branch is taken, what becomes of the others, and joins behind them.

use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::spec::{DependencyCondition, NodeSpec};
use domain::node::status::NodeStatus;

use crate::build::{job, node, retry};
use crate::live::Live;
use crate::trees::{checkpoint, condition, group, raw, when};

/// A condition on the job's number with two branches and a default, each with a node, and a join behind them.
fn by_number(n: u32) -> Live {
    let branches = [("${{ job.input.n > 10 }}", "big"), ("job.input.n > 5", "middle")];
    let nodes = vec![
        node("before", &[]),
        condition("c", &["before"], &branches, "small"),
        node("big", &["c"]),
        node("middle", &["c"]),
        node("small", &["c"]),
        node("always", &["c"]),
        node("join", &["big", "middle", "small"]),
    ];
    let input = Some(raw(&format!("{{\"n\": {n}}}")));
    Live::submit(JobSpec { input, ..job(nodes) })
}

#[test]
fn the_first_branch_that_holds_is_taken_and_the_join_behind_it_runs() {
    for (n, taken) in [(11, "big"), (7, "middle"), (1, "small")] {
        let mut live = by_number(n);
        assert_eq!(live.stand(), "before ready");
        live.complete("before");
        assert_eq!(live.those(NodeStatus::Ready), [taken, "always"], "{}", live.stand());
        assert_eq!(live.state.count(NodeStatus::Skipped), 2);
        live.complete(taken);
        live.complete("always");
        live.complete("join");
        assert_eq!(live.state.head.status, JobStatus::Completed);
    }
}

#[test]
fn without_a_branch_that_holds_and_a_default_all_that_are_named_are_bypassed() {
    let nodes = vec![
        condition("c", &[], &[("${{ false }}", "a"), ("${{ false }}", "b")], ""),
        node("a", &["c"]),
        node("b", &["c"]),
        node("join", &["a", "b"]),
        node("other", &["c"]),
    ];
    let mut live = Live::submit(job(nodes));
    assert_eq!(live.stand(), "c completed, a ~skipped, b ~skipped, join ~skipped, other ready");
    live.complete("other");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_node_that_a_taken_and_an_untaken_branch_name_runs() {
    let nodes = vec![
        condition("c", &[], &[("${{ true }}", "a both"), ("${{ true }}", "both b")], "b"),
        node("a", &["c"]),
        node("b", &["c"]),
        node("both", &["c"]),
    ];
    let live = Live::submit(job(nodes));
    assert_eq!(live.stand(), "c completed, a ready, b ~skipped, both ready");
}

#[test]
fn a_node_of_an_untaken_branch_runs_when_the_taken_one_leads_to_it_and_not_for_other_parents() {
    let branches = [("${{ true }}", "a"), ("${{ true }}", "b")];
    let nodes = vec![
        node("other", &[]),
        condition("c", &["other"], &branches, "join lone"),
        node("a", &["c"]),
        node("b", &["c", "other"]),
        node("between", &["a"]),
        node("join", &["c", "between"]),
        node("lone", &["c", "other"]),
    ];
    let mut live = Live::submit(job(nodes));
    live.complete("other");
    assert_eq!(
        live.stand(),
        "other completed, c completed, a ready, b ~skipped, lone ~skipped",
        "what else they depend on has completed, and does not count"
    );
    live.complete("a");
    live.complete("between");
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_node_with_another_parent_is_bypassed_whichever_of_the_two_ends_first() {
    let nodes = || {
        let any = DependencyCondition::Any;
        vec![
            node("x", &[]),
            node("y", &[]),
            condition("c", &["x"], &[("${{ true }}", "a")], "b later"),
            node("a", &["c"]),
            node("b", &["c", "y"]),
            NodeSpec { dependency_condition: any, ..node("later", &["c", "y"]) },
        ]
    };
    let mut live = Live::submit(job(nodes()));
    live.complete("x");
    assert_eq!(
        live.stand(),
        "x completed, y ready, c completed, a ready, b ~skipped, later ~skipped"
    );
    // One parent was enough for one of them: it runs already.
    let mut live = Live::submit(job(nodes()));
    live.complete("y");
    assert_eq!(live.stand(), "x ready, y completed, later ready");
    live.complete("x");
    assert_eq!(live.status("later"), NodeStatus::Ready);
    assert_eq!(live.status("b"), NodeStatus::Skipped);
}

#[test]
fn a_condition_is_one_step_and_says_which_branch_it_took() {
    let branches = [("${{ nodes.a.output.n == 1 }}", "x")];
    let mut live = Live::submit(job(vec![
        node("a", &[]),
        condition("c", &["a"], &branches, "y"),
        crate::trees::gets("\"${{ nodes.c.output }}\"", node("x", &["c"])),
        crate::trees::gets("\"${{ nodes.c.output.then[0] }}\"", node("y", &["c"])),
    ]));
    let events = live.events.len();
    live.complete_with("a", "{\"n\": 1}");
    assert_eq!(live.events.len(), events + 2, "one for the lease, one for the rest");
    assert_eq!(live.input("x"), "{\"branch\":0,\"then\":[\"x\"]}");
}

#[test]
fn a_condition_behind_a_failure_is_blocked_skipped_or_asked_as_any_node() {
    let behind = |set: fn(&mut NodeSpec)| {
        let mut c = condition("c", &["a"], &[("${{ true }}", "b")], "");
        set(&mut c);
        let mut live = Live::submit(job(vec![node("a", &[]), c, node("b", &["c"])]));
        live.fail("a");
        live.stand()
    };
    assert_eq!(behind(|_| {}), "a failed");
    assert_eq!(behind(|c| c.skip_on_failure = true), "a failed, c skipped");
    let asked = behind(|c| {
        c.dependency_condition = DependencyCondition::Conditional;
        c.when = Some("${{ nodes.a.status == 'failed' }}".to_owned());
    });
    assert_eq!(asked, "a failed, c completed, b ready");
}

#[test]
fn an_untaken_branch_takes_whole_groups_and_their_joins_with_it() {
    let nodes = vec![
        condition("c", &[], &[("${{ false }}", "g")], "a"),
        group("g", &["c"], vec![node("m", &[]), node("n", &["m"])]),
        node("a", &["c"]),
        node("join", &["g", "a"]),
        node("behind", &["g"]),
    ];
    let mut live = Live::submit(job(nodes));
    let taken = "c completed, g ~skipped, g/m ~skipped, g/n ~skipped, a ready, behind ~skipped";
    assert_eq!(live.stand(), taken);
    live.complete("a");
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.state.count(NodeStatus::Pending), 0);
}

#[test]
fn a_branch_within_a_group_stays_within_it() {
    let members = vec![
        condition("c", &[], &[("${{ item > 1 }}", "big")], "small"),
        node("big", &["c"]),
        node("small", &["c"]),
    ];
    let each = crate::trees::for_each("e", &[], "[1, 2]", group("", &[], members));
    let mut live = Live::submit(job(vec![each]));
    assert_eq!(live.those(NodeStatus::Ready), ["e[0]/small", "e[1]/big"]);
    live.complete("e[0]/small");
    live.complete("e[1]/big");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_conditional_node_is_asked_when_all_have_settled_also_when_all_were_bypassed() {
    let nodes = vec![
        when("off", &[], "${{ false }}"),
        node("a", &[]),
        when(
            "x",
            &["off", "a"],
            "${{ nodes.off.status == 'skipped' && nodes.a.status == 'failed' }}",
        ),
        when("y", &["off"], "${{ nodes.off.status == 'skipped' }}"),
        when("z", &["y"], "${{ nodes.y.status == 'failed' }}"),
    ];
    let mut live = Live::submit(job(nodes));
    assert_eq!(live.stand(), "off ~skipped, a ready, y ready");
    live.complete("y");
    assert_eq!(live.status("z"), NodeStatus::Skipped);
    live.fail("a");
    assert_eq!(live.status("x"), NodeStatus::Ready);
    live.complete("x");
    assert_eq!(live.state.head.status, JobStatus::Completed, "the failure was handled");
}

#[test]
fn a_conditional_node_behind_one_that_is_blocked_stays_blocked() {
    let nodes = vec![
        node("a", &[]),
        node("b", &["a"]),
        when("x", &["b"], "${{ true }}"),
        node("runs_on", &[]),
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("a");
    live.complete("runs_on");
    assert_eq!(live.stand(), "a failed, runs_on completed");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn checkpoints_are_reached_at_once_and_kept_with_their_time() {
    let nodes = vec![
        node("a", &[]),
        checkpoint("here", &["a"], "{\"got\": \"${{ nodes.a.output }}\", \"as\": \"it is\"}"),
        crate::trees::gets("\"${{ nodes.here.output.got }}\"", node("b", &["here"])),
        checkpoint("end", &["b"], "null"),
    ];
    let mut live = Live::submit(JobSpec { retry: Some(retry(1, 0).into()), ..job(nodes) });
    live.now += 700;
    live.complete_with("a", "[1]");
    let here = live.at("here");
    assert_eq!(live.state.checkpoints.get(&here), Some(&live.now));
    assert_eq!(live.input("b"), "[1]");
    live.complete("b");
    assert_eq!(live.state.checkpoints.len(), 2);
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.output(), "null");
}
