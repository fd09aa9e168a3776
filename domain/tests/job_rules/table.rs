//! What becomes of a node by how its parents ended: every mix of two and three outcomes, each condition, with
//! `skip_on_failure` and as an optional node, against the table of the design.

use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::node::spec::{DependencyCondition, NodeSpec};
use domain::node::status::NodeStatus;

use crate::build::{job, node};
use crate::live::Live;
use crate::trees::when;

/// How a parent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Completes,
    /// Counts as completed: it is optional.
    FailsAllowed,
    Fails,
    /// Its own parent failed, and it skips.
    Skips,
    Bypassed,
}

use Ends::{Bypassed, Completes, Fails, FailsAllowed, Skips};

const ALL: [Ends; 5] = [Completes, FailsAllowed, Fails, Skips, Bypassed];

impl Ends {
    fn is_good(self) -> bool {
        matches!(self, Completes | FailsAllowed)
    }

    fn is_bad(self) -> bool {
        matches!(self, Fails | Skips)
    }
}

/// What becomes of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Runs,
    Bypassed,
    Skipped,
    Blocked,
}

/// The table, in the words of the design.
fn expected(condition: DependencyCondition, ends: &[Ends], skips: bool, holds: bool) -> Becomes {
    let counted: Vec<Ends> = ends.iter().copied().filter(|end| *end != Bypassed).collect();
    let runs = match condition {
        DependencyCondition::Conditional if holds => return Becomes::Runs,
        DependencyCondition::Conditional => return Becomes::Bypassed,
        DependencyCondition::All | DependencyCondition::Any if counted.is_empty() => {
            return Becomes::Bypassed;
        }
        DependencyCondition::All => counted.iter().all(|end| end.is_good()),
        DependencyCondition::Any => counted.iter().any(|end| end.is_good()),
    };
    match (runs, skips) {
        (true, _) => Becomes::Runs,
        (false, true) => Becomes::Skipped,
        (false, false) => Becomes::Blocked,
    }
}

fn becomes(live: &Live, key: &str) -> Becomes {
    let node = &live.state.nodes[live.at(key) as usize];
    match node.status {
        NodeStatus::Ready => Becomes::Runs,
        NodeStatus::Skipped if node.marks.bypassed => Becomes::Bypassed,
        NodeStatus::Skipped => Becomes::Skipped,
        NodeStatus::Pending => Becomes::Blocked,
        other => panic!("{key} is {other}"),
    }
}

/// The nodes that end so, the parents of `x` among them. Another node runs on, so that the job does.
fn parents(ends: &[Ends]) -> (Vec<NodeSpec>, Vec<String>) {
    let (mut nodes, mut keys) = (vec![node("runs_on", &[])], Vec::new());
    for (place, end) in ends.iter().enumerate() {
        let key = format!("p{place}");
        let root = format!("root{place}");
        match end {
            Completes | Fails => nodes.push(node(&key, &[])),
            FailsAllowed => nodes.push(NodeSpec { optional: true, ..node(&key, &[]) }),
            Skips => {
                nodes.push(node(&root, &[]));
                nodes.push(NodeSpec { skip_on_failure: true, ..node(&key, &[&root]) });
            }
            Bypassed => nodes.push(when(&key, &[], "${{ 1 > 2 }}")),
        }
        keys.push(key);
    }
    (nodes, keys)
}

fn end_parents(live: &mut Live, ends: &[Ends]) {
    for (place, end) in ends.iter().enumerate() {
        match end {
            Completes => live.complete(&format!("p{place}")),
            Fails | FailsAllowed => live.fail(&format!("p{place}")),
            Skips => live.fail(&format!("root{place}")),
            Bypassed => {}
        }
    }
}

/// Every mix of one, two and three ends.
fn mixes() -> Vec<Vec<Ends>> {
    let one = ALL.map(|end| vec![end]);
    let more = |mixes: &[Vec<Ends>]| -> Vec<Vec<Ends>> {
        let longer = |mix: &Vec<Ends>| {
            ALL.map(|end| mix.iter().copied().chain([end]).collect::<Vec<Ends>>())
        };
        mixes.iter().flat_map(longer).collect()
    };
    let two = more(&one);
    let three = more(&two);
    one.into_iter().chain(two).chain(three).collect()
}

#[test]
fn every_mix_of_outcomes_lets_a_node_run_skip_wait_or_be_bypassed_as_the_table_says() {
    let conditions = [
        (DependencyCondition::All, false),
        (DependencyCondition::Any, false),
        (DependencyCondition::Conditional, true),
        (DependencyCondition::Conditional, false),
    ];
    let mut count = 0;
    for ends in mixes() {
        for (condition, holds) in conditions {
            for (skips, optional) in [(false, false), (true, false), (false, true), (true, true)] {
                let (mut nodes, keys) = parents(&ends);
                let text = if holds { "${{ 1 < 2 }}" } else { "${{ job.id == '' }}" };
                nodes.push(NodeSpec {
                    key: "x".to_owned(),
                    depends_on: keys,
                    dependency_condition: condition,
                    when: (condition == DependencyCondition::Conditional).then(|| text.to_owned()),
                    skip_on_failure: skips,
                    optional,
                    ..NodeSpec::default()
                });
                let mut live = Live::submit(job(nodes));
                end_parents(&mut live, &ends);
                let wanted = expected(condition, &ends, skips, holds);
                let what = format!("{condition:?} {holds} of {ends:?}, skips {skips}, {optional}");
                assert_eq!(becomes(&live, "x"), wanted, "{what}");
                ends_as_its_nodes_say(&mut live, wanted, &ends, &what);
                count += 1;
            }
        }
    }
    assert_eq!(count, 155 * 16);
}

/// A job fails for a failure or a blocked node, not for what was skipped or bypassed.
fn ends_as_its_nodes_say(live: &mut Live, x: Becomes, ends: &[Ends], what: &str) {
    if x == Becomes::Runs {
        live.complete("x");
    }
    live.complete("runs_on");
    let fails = ends.iter().any(|end| end.is_bad()) || x == Becomes::Blocked;
    let to = if fails { JobStatus::Failed } else { JobStatus::Completed };
    assert_eq!(live.state.head.status, to, "{what}");
}

#[test]
fn any_starts_at_the_first_good_one_and_waits_while_another_may_become_good() {
    let nodes = || {
        let any = DependencyCondition::Any;
        vec![
            node("a", &[]),
            node("b", &[]),
            when("c", &[], "${{ false }}"),
            NodeSpec { dependency_condition: any, ..node("x", &["a", "b", "c"]) },
            NodeSpec { dependency_condition: any, skip_on_failure: true, ..node("y", &["a", "b"]) },
        ]
    };
    let mut live = Live::submit(job(nodes()));
    live.complete("a");
    assert_eq!(live.stand(), "a completed, b ready, c ~skipped, x ready, y ready");
    let mut live = Live::submit(JobSpec { fail_fast: false, ..job(nodes()) });
    live.fail("b");
    assert_eq!((live.status("x"), live.status("y")), (NodeStatus::Pending, NodeStatus::Pending));
    live.fail("a");
    assert_eq!((live.status("x"), live.status("y")), (NodeStatus::Pending, NodeStatus::Skipped));
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_bypass_goes_on_through_all_that_only_it_leads_to_and_stops_at_a_join() {
    let nodes = vec![
        when("off", &[], "${{ false }}"),
        node("on", &[]),
        node("b", &["off"]),
        NodeSpec { skip_on_failure: true, ..node("c", &["b"]) },
        node("join", &["c", "on"]),
        NodeSpec { dependency_condition: DependencyCondition::Any, ..node("d", &["b", "c"]) },
    ];
    let mut live = Live::submit(job(nodes));
    assert_eq!(live.stand(), "off ~skipped, on ready, b ~skipped, c ~skipped, d ~skipped");
    live.complete("on");
    live.complete("join");
    assert_eq!(live.state.head.status, JobStatus::Completed);
}
