//! Jobs at the bounds, in time that is linear: what recursed or re-read its parents would not finish here.

use domain::job::command::JobCommand;
use domain::job::status::JobStatus;
use domain::node::spec::NodeSpec;
use domain::node::status::NodeStatus;

use crate::build::{completes, job, lease, node, report};
use crate::live::Live;

fn leases_and_completes(live: &mut Live, nodes: std::ops::Range<u32>) {
    assert!(live.ask(&lease(nodes.clone().collect())).is_ok());
    for ix in nodes {
        let epoch = live.state.nodes[ix as usize].epoch;
        assert!(live.ask(&report(ix, epoch, ix, completes(None))).is_ok());
    }
}

fn chain(length: usize, skips: bool) -> Vec<NodeSpec> {
    (0..length)
        .map(|ix| NodeSpec {
            key: format!("n{ix}"),
            depends_on: ix.checked_sub(1).map(|parent| format!("n{parent}")).into_iter().collect(),
            skip_on_failure: skips,
            ..NodeSpec::default()
        })
        .collect()
}

fn wide(roots: usize) -> Vec<NodeSpec> {
    (0..roots).map(|ix| node(&format!("n{ix}"), &[])).collect()
}

#[test]
fn a_chain_of_20_000_nodes_runs_to_its_end() {
    let mut live = Live::submit_large(job(chain(20_000, false)));
    for ix in 0..20_000 {
        leases_and_completes(&mut live, ix..ix + 1);
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn a_skip_cascades_through_20_000_nodes_in_one_event() {
    let mut live = Live::submit_large(job(chain(20_000, true)));
    live.fail("n0");
    assert_eq!(live.state.count(NodeStatus::Skipped), 19_999);
    assert_eq!(live.state.head.status, JobStatus::Failed);
}

#[test]
fn a_fan_of_5_000_joins_and_spreads_again_and_its_event_is_small() {
    let mut nodes = wide(5_000);
    let keys: Vec<String> = nodes.iter().map(|node| node.key.clone()).collect();
    nodes.push(NodeSpec { depends_on: keys, ..node("join", &[]) });
    nodes.extend((0..5_000).map(|ix| node(&format!("after{ix}"), &["join"])));
    let mut live = Live::submit_large(job(nodes));
    leases_and_completes(&mut live, 0..5_000);
    leases_and_completes(&mut live, 5_000..5_001);
    assert_eq!(live.state.count(NodeStatus::Ready), 5_000);
    let written = live.events.last().and_then(|event| serde_json::to_string(event).ok());
    assert!(written.is_some_and(|text| text.len() < 1_000), "children are listed as ranges");
    leases_and_completes(&mut live, 5_001..10_001);
    assert_eq!(live.state.head.status, JobStatus::Completed);
}

#[test]
fn cancelling_20_000_nodes_is_one_small_event() {
    let mut live = Live::submit_large(job(wide(20_000)));
    assert!(live.ask(&lease(vec![7])).is_ok());
    assert!(live.ask(&JobCommand::Cancel { reason: None }).is_ok());
    assert_eq!(live.state.count(NodeStatus::Cancelled), 19_999);
    assert_eq!(live.state.head.ending, Some(JobStatus::Cancelled));
    let epoch = live.state.nodes[7].epoch;
    assert!(live.ask(&report(7, epoch, 1, completes(None))).is_ok());
    assert_eq!(live.state.head.status, JobStatus::Cancelled);
}

#[test]
fn many_nodes_behind_ten_places_take_them_one_after_the_other() {
    let mut spec = job(wide(20_000));
    spec.max_parallel = Some(10);
    let mut live = Live::submit_large(spec);
    for first in (0..20_000).step_by(10) {
        assert_eq!(live.state.count(NodeStatus::Ready), 10);
        leases_and_completes(&mut live, first..first + 10);
    }
    assert_eq!(live.state.head.status, JobStatus::Completed);
}
