//! Groups that are tried again as a whole, and their times.

use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;

use crate::build::{GRACE_MS, T0, fails, job, node, retry};
use crate::live::Live;
use crate::trees::{condition, for_each, gets, group, places};

#[test]
fn a_group_that_failed_runs_all_its_members_again_by_its_own_policy() {
    let mut members =
        vec![node("a", &[]), node("b", &["a"]), group("h", &[], vec![node("c", &[])])];
    members[1].retry = Some(retry(2, 0).into());
    let again = NodeSpec { retry: Some(retry(2, 500).into()), ..group("g", &[], members) };
    let mut live = Live::submit(job(vec![again, node("y", &["g"])]));
    live.complete_with("g/a", "1");
    live.complete("g/h/c");
    // Its own executions first: two of them in this run of the group.
    live.fail_once("g/b");
    live.wake_at(live.now);
    live.fail_once("g/b");
    assert_eq!(live.status("g"), NodeStatus::Retrying);
    live.wake_at(T0 + 499);
    assert_eq!(live.status("g"), NodeStatus::Retrying);
    live.wake_at(T0 + 500);
    assert_eq!(live.stand(), "g waiting, g/a ready, g/h waiting, g/h/c ready");
    let of = |live: &Live, key: &str| live.state.nodes[live.at(key) as usize].clone();
    assert_eq!(
        (of(&live, "g").attempt, of(&live, "g/b").attempt, of(&live, "g/b").base),
        (2, 2, 2)
    );
    live.complete("g/h/c");
    live.complete("g/a");
    // Attempts and epochs grow on, and the policy counts anew.
    let third = live.lease("g/b");
    assert_eq!(third.attempt, 3);
    assert!(live.report(third, fails(true)).is_ok());
    live.wake_at(live.now);
    assert_eq!(live.status("g/b"), NodeStatus::Ready);
    live.fail_once("g/b");
    assert_eq!(live.status("g"), NodeStatus::Failed, "both attempts of the group are used");
    assert_eq!(live.state.head.status, JobStatus::Failed);
    assert_eq!(live.error(), (Some("g/b"), "unclassified"));
}

#[test]
fn a_group_without_a_policy_of_its_own_is_not_tried_again_whatever_its_job_says() {
    let spec = JobSpec {
        retry: Some(retry(1, 0).into()),
        ..job(vec![group("g", &[], vec![node("a", &[]), node("b", &[]), node("c", &[])])])
    };
    let mut live = Live::submit(JobSpec { retry: Some(retry(5, 0).into()), ..spec });
    live.fail("g/a");
    assert_eq!(live.status("g"), NodeStatus::Failed);
}

#[test]
fn a_group_that_is_tried_again_waits_for_a_place_of_the_group_around_it() {
    let again = |key: &str| NodeSpec {
        retry: Some(retry(2, 1_000).into()),
        ..group(key, &[], vec![node("a", &[])])
    };
    let outer = places(group("out", &[], vec![again("g"), again("h")]), 1);
    let mut live = Live::submit(job(vec![outer]));
    assert_eq!(live.stand(), "out waiting, out/g waiting, out/g/a ready");
    live.fail_once("out/g/a");
    assert_eq!(live.those(NodeStatus::Ready), ["out/h/a"]);
    live.wake_at(T0 + 1_000);
    assert_eq!(live.hold("out/g"), Some(Hold::Limit));
    assert_eq!(live.those(NodeStatus::Ready), ["out/h/a"], "the place is taken");
    live.complete("out/h/a");
    assert_eq!(live.those(NodeStatus::Ready), ["out/g/a"]);
    live.complete("out/g/a");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_group_takes_no_longer_than_it_may() {
    let timed = |attempt_ms, total_ms| {
        let mut timed = NodeSpec {
            retry: Some(retry(3, 0).into()),
            ..group("g", &[], vec![node("a", &[]), node("b", &[]), node("c", &[])])
        };
        timed.timeouts.attempt_ms = attempt_ms;
        timed.timeouts.total_ms = total_ms;
        Live::submit(job(vec![timed, node("runs_on", &[])]))
    };
    // The time of one attempt: its policy decides whether there is another.
    let mut live = timed(Some(5_000), None);
    live.wake_at(T0 + 4_999);
    assert_eq!(live.status("g"), NodeStatus::Waiting);
    live.wake_at(T0 + 5_000);
    assert_eq!(live.those(NodeStatus::Ready), ["g/a", "g/b", "g/c", "runs_on"]);
    assert_eq!(live.state.nodes[live.at("g") as usize].attempt, 2);
    // The time of all of them ends it, with the grace for what runs.
    let mut live = timed(None, Some(5_000));
    live.lease("g/a");
    live.wake_at(T0 + 5_000);
    assert_eq!(live.stand(), "g waiting, g/a running, g/b cancelled, g/c cancelled, runs_on ready");
    live.wake_at(T0 + 5_000 + GRACE_MS);
    assert_eq!(live.status("g"), NodeStatus::Timeout);
    live.complete("runs_on");
    assert_eq!(live.error(), (Some("g"), "timeout.total"));
}
#[test]
fn a_list_in_a_group_that_is_tried_again_is_made_anew() {
    let each = for_each("e", &["l"], "\"${{ nodes.l.output }}\"", node("", &[]));
    let members = vec![node("l", &[]), each];
    let again = NodeSpec { retry: Some(retry(3, 0).into()), ..group("g", &[], members) };
    let mut live = Live::submit(job(vec![again]));
    live.complete_with("g/l", "[1, 2, 3]");
    live.complete("g/e[0]");
    live.fail_once("g/e[1]");
    live.wake_at(live.now);
    live.complete_with("g/l", "[4]");
    assert_eq!(live.those(NodeStatus::Ready), ["g/e[0]"]);
    let newest = live.state.plan.added.last().map(|added| added.count);
    assert_eq!(newest, Some(1));
    live.complete("g/e[0]");
    assert_eq!(live.state.head.status, JobStatus::Completed);
    assert_eq!(live.state.count(NodeStatus::Pending), 0, "nobody is left behind: {}", live.stand());
}

#[test]
fn groups_that_are_tried_again_at_the_same_time_evaluate_their_members_again() {
    let members = vec![
        gets("\"${{ nodes.start.output }}\"", node("a", &["start"])),
        node("start", &[]),
        condition("c", &[], &[("${{ job.id != '' }}", "t")], ""),
        node("t", &["c"]),
        for_each("e", &[], "[\"${{ job.id }}\"]", gets("\"${{ index }}\"", node("", &[]))),
    ];
    let again = |key: &str| NodeSpec {
        retry: Some(retry(2, 0).into()),
        ..group(key, &[], members.clone())
    };
    let mut live = Live::submit(job(vec![again("g"), again("h")]));
    for round in 0..2 {
        for group in ["g", "h"] {
            assert_eq!(live.input(&format!("{group}/e[0]")), "0");
            live.complete_with(&format!("{group}/start"), &round.to_string());
            assert_eq!(live.input(&format!("{group}/a")), round.to_string());
            if round == 0 {
                live.fail_once(&format!("{group}/a"));
            }
        }
        live.wake_at(live.now);
    }
    for group in ["g", "h"] {
        for member in ["a", "t", "e[0]"] {
            live.complete(&format!("{group}/{member}"));
        }
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
}
