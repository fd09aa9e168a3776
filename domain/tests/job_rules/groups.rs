//! Groups: when they end and what that does to their members, places, order, nesting.

use domain::bounds::Bounds;
use domain::job::check::{CheckSettings, check};
use domain::job::command::{JobCommand, Outcome};
use domain::job::spec::{CompleteWhen, JobSpec};
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;
use domain::subject::answer::Answer;

use crate::build::{GRACE_MS, T0, completes, fails, job, node, retry};
use crate::live::Live;
use crate::trees::{ends_when, group, in_order, places, when};

fn abc() -> Vec<NodeSpec> {
    vec![node("a", &[]), node("b", &[]), node("c", &[])]
}

#[test]
fn a_group_starts_its_members_and_ends_with_the_last_and_what_depends_on_it_runs() {
    let members = vec![node("a", &[]), node("b", &["a"])];
    let mut live =
        Live::submit(job(vec![node("x", &[]), group("g", &["x"], members), node("y", &["g"])]));
    assert_eq!(live.stand(), "x ready");
    live.complete("x");
    assert_eq!(live.stand(), "x completed, g waiting, g/a ready");
    assert_eq!(live.hold("g"), Some(Hold::Members));
    live.complete("g/a");
    live.complete("g/b");
    live.complete("y");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.state.nodes[live.at("g") as usize].attempt, 1);
}

#[test]
fn a_group_of_all_fails_with_the_first_failure_and_cancels_the_rest_with_the_grace() {
    let mut live = Live::submit(job(vec![group("g", &[], abc()), node("y", &[])]));
    let (a, b) = (live.lease("g/a"), live.lease("g/b"));
    assert!(live.report(a, fails(false)).is_ok());
    assert_eq!(live.stand(), "g waiting, g/a failed, g/b running, g/c cancelled, y ready");
    assert!(live.state.groups[&live.at("g")].ending.is_some());
    assert!(!live.state.may_start(b.node), "its worker hears that it is to stop");
    // It may still report, and is recorded as what it was.
    assert!(live.report(b, completes(None)).is_ok());
    assert_eq!(live.stand(), "g failed, g/a failed, g/b completed, g/c cancelled, y ready");
    live.complete("y");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error(), (Some("g/a"), "unclassified"));
}

#[test]
fn what_runs_on_in_a_decided_group_is_revoked_when_the_grace_is_over() {
    let any = ends_when(group("g", &[], abc()), CompleteWhen::Any);
    let mut live = Live::submit(job(vec![any, node("y", &["g"])]));
    let b = live.lease("g/b");
    live.complete("g/a");
    assert_eq!(live.stand(), "g waiting, g/a completed, g/b running, g/c cancelled");
    live.wake_at(T0 + GRACE_MS - 1);
    assert_eq!(live.status("g/b"), NodeStatus::Running);
    live.wake_at(T0 + GRACE_MS);
    assert_eq!(live.stand(), "g completed, g/a completed, g/b cancelled, g/c cancelled, y ready");
    // Too late: kept as evidence, changes nothing.
    assert!(matches!(live.report(b, completes(None)), Ok(Answer::Refused(_))));
    live.complete("y");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_cancelled_report_a_lost_lease_and_a_release_end_what_a_decided_group_leaves_behind() {
    let ends: [fn(&mut Live, domain::node::attempt::AttemptRef); 3] = [
        |live, attempt| {
            let mut outcome = fails(false);
            if let Outcome::Fail { error, .. } = &mut outcome {
                error.class = "cancelled".to_owned();
            }
            assert!(live.report(attempt, outcome).is_ok());
        },
        |live, attempt| {
            let expired = JobCommand::ExpireLease { node: attempt.node, epoch: attempt.epoch };
            assert!(live.ask(&expired).is_ok());
        },
        |live, attempt| {
            assert!(live.report(attempt, Outcome::Release { undelivered: false }).is_ok());
        },
    ];
    for end in ends {
        let any = ends_when(group("g", &[], abc()), CompleteWhen::Any);
        let mut live = Live::submit(JobSpec { retry: Some(retry(5, 0).into()), ..job(vec![any]) });
        let b = live.lease("g/b");
        live.complete("g/a");
        end(&mut live, b);
        assert_eq!(live.stand(), "g completed, g/a completed, g/b cancelled, g/c cancelled");
        assert_eq!(live.state.head.status, JobStatus::Completed);
    }
}

/// Runs five members in order, `+` completes and `-` fails; answers after which the group was over, and how.
fn ends_after(complete_when: CompleteWhen, of: usize, ends: &str) -> (usize, NodeStatus) {
    let members = (0..of).map(|at| node(&format!("m{at}"), &[])).collect();
    let mut live = Live::submit(job(vec![
        ends_when(group("g", &[], members), complete_when),
        node("runs_on", &[]),
    ]));
    for (at, end) in ends.chars().enumerate() {
        let key = format!("g/m{at}");
        if end == '+' {
            live.complete(&key);
        } else {
            live.fail(&key);
        }
        if live.status("g").is_settled() {
            return (at + 1, live.status("g"));
        }
    }
    panic!("it has not ended: {}", live.stand());
}

#[test]
fn a_group_ends_as_soon_as_its_condition_is_decided() {
    use CompleteWhen::{All, Any, AtLeast, TolerateAtMostPercent, TolerateCount};
    use NodeStatus::{Completed, Failed};
    let cases: [(CompleteWhen, &str, (usize, NodeStatus)); 15] = [
        (All, "+++++", (5, Completed)),
        (All, "++-", (3, Failed)),
        (Any, "-+", (2, Completed)),
        (Any, "-----", (5, Failed)),
        (AtLeast(2), "+-+", (3, Completed)),
        (AtLeast(2), "----", (4, Failed)),
        (AtLeast(5), "-", (1, Failed)),
        (TolerateCount(0), "-", (1, Failed)),
        (TolerateCount(1), "-+-", (3, Failed)),
        (TolerateCount(1), "-++++", (5, Completed)),
        (TolerateCount(5), "-----", (5, Completed)),
        (TolerateAtMostPercent(40), "--+++", (5, Completed)),
        (TolerateAtMostPercent(40), "---", (3, Failed)),
        (TolerateAtMostPercent(39), "--", (2, Failed)),
        (TolerateAtMostPercent(100), "-----", (5, Completed)),
    ];
    for (complete_when, ends, wanted) in cases {
        assert_eq!(ends_after(complete_when, 5, ends), wanted, "{complete_when:?} {ends}");
    }
}

#[test]
fn an_optional_member_that_failed_counts_as_completed() {
    let optional = NodeSpec { optional: true, ..node("a", &[]) };
    for complete_when in [CompleteWhen::All, CompleteWhen::Any, CompleteWhen::AtLeast(1)] {
        let one = ends_when(group("g", &[], vec![optional.clone()]), complete_when);
        let mut live = Live::submit(job(vec![one]));
        live.fail("g/a");
        assert_eq!(live.state.head.status, JobStatus::Completed, "{complete_when:?}");
    }
}

#[test]
fn an_optional_group_that_failed_counts_as_completed() {
    let optional = NodeSpec { optional: true, ..group("g", &[], vec![node("a", &[])]) };
    let mut live = Live::submit(job(vec![optional, node("y", &["g"])]));
    live.fail("g/a");
    assert_eq!(live.stand(), "g failed, g/a failed, y ready");
    live.complete("y");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_group_with_a_member_that_can_no_longer_start_fails_whatever_it_tolerates() {
    let members = vec![node("a", &[]), node("b", &["a"]), node("c", &[])];
    let tolerant = ends_when(group("g", &[], members), CompleteWhen::TolerateCount(3));
    let mut live = Live::submit(job(vec![tolerant]));
    live.fail("g/a");
    assert_eq!(live.status("g"), NodeStatus::Waiting, "another one is still at work");
    live.complete("g/c");
    assert_eq!(live.stand(), "g failed, g/a failed, g/b cancelled, g/c completed");
}

#[test]
fn a_group_that_is_skipped_or_bypassed_never_starts_its_members() {
    let nodes = vec![
        when("off", &[], "${{ false }}"),
        group("g", &["off"], abc()),
        node("x", &[]),
        NodeSpec { skip_on_failure: true, ..group("h", &["x"], abc()) },
    ];
    let mut live = Live::submit(job(nodes));
    live.fail("x");
    let off = "off ~skipped, g ~skipped, g/a ~skipped, g/b ~skipped, g/c ~skipped";
    let failed = "x failed, h skipped, h/a skipped, h/b skipped, h/c skipped";
    assert_eq!(live.stand(), format!("{off}, {failed}"));
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn members_of_a_group_that_never_began_end_with_it_and_begin_when_it_is_tried_again() {
    let inner = NodeSpec { skip_on_failure: true, ..group("inner", &["x"], abc()) };
    let outer = NodeSpec {
        retry: Some(retry(2, 100).into()),
        ..group("outer", &[], vec![node("x", &[]), inner])
    };
    let mut live = Live::submit(job(vec![outer]));
    live.fail_once("outer/x");
    assert_eq!(live.status("outer"), NodeStatus::Retrying);
    assert_eq!(live.those(NodeStatus::Skipped).len(), 4, "{}", live.stand());
    live.wake_at(T0 + 100);
    live.complete("outer/x");
    assert_eq!(live.those(NodeStatus::Ready), ["outer/inner/a", "outer/inner/b", "outer/inner/c"]);
}

#[test]
fn max_parallel_of_a_group_gives_places_by_priority_and_then_in_order() {
    let mut members = abc();
    members.push(NodeSpec { priority: Some(1), ..node("first", &[]) });
    let mut live = Live::submit(job(vec![places(group("g", &[], members), 2)]));
    assert_eq!(live.those(NodeStatus::Ready), ["g/a", "g/first"]);
    live.complete("g/first");
    assert_eq!(live.those(NodeStatus::Ready), ["g/a", "g/b"]);
    live.complete("g/a");
    assert_eq!(live.those(NodeStatus::Ready), ["g/b", "g/c"]);
}

#[test]
fn the_limits_of_a_group_and_of_its_job_hold_together() {
    let nodes = vec![places(group("g", &[], abc()), 2), places(group("h", &[], abc()), 2)];
    let mut live = Live::submit(JobSpec { max_parallel: Some(3), ..job(nodes) });
    for _ in 0..6 {
        let ready = live.those(NodeStatus::Ready);
        let of = |group: &str| ready.iter().filter(|path| path.starts_with(group)).count();
        assert!(of("g/") <= 2 && of("h/") <= 2 && ready.len() <= 3, "{ready:?}");
        live.complete(&ready[0]);
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_member_that_is_tried_again_gives_its_place_to_another_meanwhile() {
    let mut members = abc();
    members[0].retry = Some(retry(2, 1_000).into());
    let mut live = Live::submit(job(vec![places(group("g", &[], members), 1)]));
    live.fail_once("g/a");
    assert_eq!(live.stand(), "g waiting, g/a retrying, g/b ready");
    live.wake_at(T0 + 1_000);
    let a = live.at("g/a");
    assert_eq!(live.state.nodes[a as usize].hold, Some(Hold::Limit), "{}", live.stand());
    live.complete("g/b");
    assert_eq!(live.those(NodeStatus::Ready), ["g/a"], "the earlier one goes first");
    live.complete("g/a");
    live.complete("g/c");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_sequential_group_runs_its_members_in_order_and_stops_at_a_failure() {
    let mut live = Live::submit(job(vec![in_order("g", &[], abc())]));
    for key in ["g/a", "g/b", "g/c"] {
        assert_eq!(live.those(NodeStatus::Ready), [key]);
        live.complete(key);
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);

    let mut live = Live::submit(job(vec![in_order("g", &[], abc())]));
    live.complete("g/a");
    live.fail("g/b");
    assert_eq!(live.stand(), "g failed, g/a completed, g/b failed, g/c cancelled");
}

#[test]
fn a_sequential_group_waits_for_a_member_that_is_tried_again() {
    let mut members = abc();
    members[0].retry = Some(retry(2, 1_000).into());
    let mut live = Live::submit(job(vec![in_order("g", &[], members)]));
    live.fail_once("g/a");
    assert_eq!(live.stand(), "g waiting, g/a retrying");
    live.wake_at(T0 + 1_000);
    live.complete("g/a");
    assert_eq!(live.those(NodeStatus::Ready), ["g/b"]);
}

#[test]
fn a_sequential_group_goes_on_behind_what_is_bypassed_and_fails_behind_what_is_blocked() {
    let members = vec![node("a", &[]), when("b", &["a"], "${{ false }}"), node("c", &[])];
    let mut live = Live::submit(job(vec![in_order("g", &[], members)]));
    live.complete("g/a");
    assert_eq!(live.stand(), "g waiting, g/a completed, g/b ~skipped, g/c ready");

    // What is behind a member that never starts never gets its turn.
    let members = vec![node("a", &[]), node("b", &["a"]), node("c", &[])];
    let tolerant = ends_when(in_order("g", &[], members), CompleteWhen::TolerateCount(3));
    let mut live = Live::submit(job(vec![tolerant]));
    live.fail("g/a");
    assert_eq!(live.stand(), "g failed, g/a failed, g/b cancelled, g/c cancelled");
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_member_of_a_sequential_group_cannot_depend_on_a_later_one() {
    let members = vec![node("a", &[]), node("b", &["c"]), node("c", &["a"])];
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: T0 };
    let errors = check(job(vec![in_order("g", &[], members)]), &settings);
    let errors = errors.err().unwrap_or_default();
    let found: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), &*error.code)).collect();
    assert_eq!(found, [("/nodes/0/nodes/1/depends_on/0", "out_of_order")]);
}

#[test]
fn groups_stand_in_groups_eight_deep_and_end_from_the_inside() {
    let mut inner = node("leaf", &[]);
    let mut path = "leaf".to_owned();
    for depth in (0..8).rev() {
        let key = format!("g{depth}");
        path = format!("{key}/{path}");
        inner = if depth % 2 == 0 {
            group(&key, &[], vec![inner])
        } else {
            in_order(&key, &[], vec![inner])
        };
    }
    let mut live = Live::submit(job(vec![inner.clone(), node("y", &["g0"])]));
    assert_eq!(live.those(NodeStatus::Ready), [path.clone()]);
    live.complete(&path);
    assert_eq!(live.those(NodeStatus::Ready), ["y"]);

    let mut live = Live::submit(job(vec![inner]));
    live.fail(&path);
    assert_eq!(live.state.count(NodeStatus::Failed), 9);
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error(), (Some(path.as_str()), "unclassified"));
}

#[test]
fn a_group_within_one_that_ends_is_cancelled_and_its_running_members_have_the_grace() {
    let inner = group("in", &[], abc());
    let outer = ends_when(group("out", &[], vec![inner, node("x", &[])]), CompleteWhen::Any);
    let mut live = Live::submit(job(vec![outer]));
    let a = live.lease("out/in/a");
    live.complete("out/x");
    assert_eq!(
        live.stand(),
        "out waiting, out/in waiting, out/in/a running, out/in/b cancelled, out/in/c cancelled, \
         out/x completed"
    );
    assert!(live.report(a, completes(None)).is_ok());
    assert_eq!(live.status("out/in"), NodeStatus::Cancelled);
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_cancelled_or_timed_out_job_takes_its_groups_with_it() {
    let spec = || JobSpec {
        timeout_ms: Some(10_000),
        ..job(vec![group("g", &[], vec![group("h", &[], abc())]), node("y", &["g"])])
    };
    let mut live = Live::submit(spec());
    live.lease("g/h/a");
    live.cancel();
    assert_eq!(live.those(NodeStatus::Running), ["g/h/a"]);
    assert_eq!(live.state.count(NodeStatus::Cancelled), 5);
    live.wake_at(T0 + GRACE_MS);
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
    assert_eq!(live.state.count(NodeStatus::Cancelled), 6);

    let mut live = Live::submit(spec());
    live.wake_at(T0 + 10_000);
    assert_eq!(live.state.head.status, JobStatus::Timeout);
    assert_eq!(live.state.count(NodeStatus::Cancelled), 6);
}

#[test]
fn a_group_in_a_paused_job_goes_on_with_what_runs_and_offers_nothing_new() {
    let members = vec![node("a", &[]), node("b", &["a"])];
    let mut live = Live::submit(job(vec![group("g", &[], members)]));
    let a = live.lease("g/a");
    assert!(live.ask(&JobCommand::Pause { reason: None }).is_ok());
    assert!(live.report(a, completes(None)).is_ok());
    let b = live.at("g/b");
    assert!(
        matches!(live.ask(&crate::build::lease(vec![b])), Ok(Answer::Leased(of)) if of.is_empty())
    );
    assert!(live.ask(&JobCommand::Resume { reason: None }).is_ok());
    live.complete("g/b");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}
