//! Progress against brute force over all paths, and statistics against the naive formulas.

use proptest::prelude::*;

use super::*;

fn outlook(status: NodeStatus, ms: u64, elapsed_ms: u64) -> NodeOutlook {
    NodeOutlook { status, expected: Expected { ms, variance: 0.0 }, elapsed_ms, wait_ms: 0 }
}

fn graph(parents: &[Vec<u32>]) -> Graph {
    Graph::build(parents).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_job_half_done_shows_half_its_weight_and_the_way_that_is_left() {
    // a (1 s) and b (3 s) before c (4 s); a is done, b has run 1 s of its 3.
    let graph = graph(&[vec![], vec![], vec![0, 1]]);
    let nodes = [
        outlook(NodeStatus::Completed, 1_000, 0),
        outlook(NodeStatus::Running, 3_000, 1_000),
        outlook(NodeStatus::Pending, 4_000, 0),
    ];
    let seen = progress(&graph, &nodes, None, 10_000);
    assert!((seen.percent - 25.0).abs() < 1e-9);
    assert_eq!(seen.path, CriticalPath { nodes: vec![1, 2], ms: 6_000 });
    assert_eq!(seen.end, Some(EstimatedEnd { at: 16_000, low: 16_000, high: 16_000 }));
}

#[test]
fn a_job_is_at_a_hundred_percent_only_when_all_nodes_have_settled() {
    let late = [outlook(NodeStatus::Completed, 900_000, 0), outlook(NodeStatus::Running, 1, 50)];
    assert!((percent(&late) - 99.9).abs() < 1e-9);
    let done = [outlook(NodeStatus::Completed, 0, 0), outlook(NodeStatus::Skipped, 5, 0)];
    assert!((percent(&done) - 100.0).abs() < 1e-9);
    let seen = progress(&graph(&[vec![], vec![0]]), &done, None, 0);
    assert_eq!((seen.path, seen.end), (CriticalPath::default(), None));
    let still = [outlook(NodeStatus::Completed, 0, 0), outlook(NodeStatus::Ready, 0, 0)];
    assert!((percent(&still) - 50.0).abs() < 1e-9, "nodes without duration count by number");
}

#[test]
fn with_fewer_places_than_work_the_end_follows_from_the_work() {
    let graph = graph(&vec![Vec::new(); 10]);
    let nodes = vec![outlook(NodeStatus::Ready, 1_000, 0); 10];
    let end = |places| progress(&graph, &nodes, places, 0).end.map(|end| end.at);
    assert_eq!(end(None), Some(1_000));
    assert_eq!(end(Some(2)), Some(5_000));
    assert_eq!(end(Some(100)), Some(1_000));
}

#[test]
fn history_outweighs_a_guess_once_there_is_enough_of_it() {
    let mut stats = DurationStats::default();
    stats.add(100);
    stats.add(100);
    assert_eq!(Expected::of(Some(7), Some(&stats)).ms, 7);
    stats.add(400);
    let expected = Expected::of(Some(7), Some(&stats));
    assert_eq!(expected.ms, 200);
    assert!((expected.variance - 30_000.0).abs() < 1e-6);
    assert_eq!(Expected::of(None, None).ms, UNKNOWN_DURATION_MS);
}

#[test]
fn a_retry_wait_is_a_part_of_what_is_left() {
    let retrying = NodeOutlook { wait_ms: 2_500, ..outlook(NodeStatus::Retrying, 1_000, 0) };
    let seen = progress(&graph(&[vec![]]), &[retrying], None, 0);
    assert_eq!(seen.path.ms, 3_500);
}

fn any_job() -> impl Strategy<Value = (Vec<Vec<u32>>, Vec<NodeOutlook>)> {
    let node = (
        prop::sample::select(NodeStatus::ALL.to_vec()),
        0_u64..20,
        0.0_f64..50.0,
        0_u64..20,
        0_u64..5,
    );
    let node = node.prop_map(|(status, ms, variance, elapsed_ms, wait_ms)| NodeOutlook {
        status,
        expected: Expected { ms, variance },
        elapsed_ms,
        wait_ms,
    });
    (1_usize..10).prop_flat_map(move |count| {
        let edges = prop::collection::vec(any::<bool>(), count * count);
        (edges, prop::collection::vec(node.clone(), count)).prop_map(move |(edges, nodes)| {
            let count = u32::try_from(count).unwrap_or(0);
            let parents = (0..count)
                .map(|ix| (0..ix).filter(|p| edges[(ix * count + p) as usize]).collect())
                .collect();
            (parents, nodes)
        })
    })
}

/// The length of the longest path that starts here, by trying all.
fn longest_from(graph: &Graph, nodes: &[NodeOutlook], ix: u32) -> u64 {
    if nodes[ix as usize].status.is_settled() {
        return 0;
    }
    let beyond = graph.children(ix).iter().map(|child| longest_from(graph, nodes, *child)).max();
    nodes[ix as usize].remaining_ms() + beyond.unwrap_or(0)
}

proptest! {
    #[test]
    fn the_critical_path_is_the_longest_of_all_paths((parents, nodes) in any_job(), places in prop::option::of(0_u32..4)) {
        let graph = graph(&parents);
        let seen = progress(&graph, &nodes, places, 1_000);
        let longest = graph.order().iter().map(|ix| longest_from(&graph, &nodes, *ix)).max();
        prop_assert_eq!(Some(seen.path.ms), longest);
        let length: u64 = seen.path.nodes.iter().map(|ix| nodes[*ix as usize].remaining_ms()).sum();
        prop_assert_eq!(length, seen.path.ms);
        for step in seen.path.nodes.windows(2) {
            prop_assert!(graph.parents(step[1]).contains(&step[0]));
        }
        let settled = nodes.iter().all(|node| node.status.is_settled());
        prop_assert_eq!(seen.path.nodes.is_empty(), settled);
        prop_assert!(seen.path.nodes.iter().all(|ix| !nodes[*ix as usize].status.is_settled()));
        prop_assert!((0.0..=100.0).contains(&seen.percent));
        prop_assert_eq!(seen.percent > 99.95, settled);
        match seen.end {
            None => prop_assert!(settled),
            Some(end) => {
                prop_assert!(1_000 <= end.low && end.low <= end.at && end.at <= end.high);
            }
        }
    }

    #[test]
    fn settling_a_node_never_lowers_the_percent((_, nodes) in any_job(), at in any::<prop::sample::Index>()) {
        let mut later = nodes.clone();
        later[at.index(nodes.len())].status = NodeStatus::Completed;
        let was_settled = nodes[at.index(nodes.len())].status.is_settled();
        prop_assert!(was_settled || percent(&later) >= percent(&nodes));
    }

    #[test]
    fn running_statistics_agree_with_the_naive_formulas(
        first in prop::collection::vec(0_u64..1_000_000, 0..20),
        second in prop::collection::vec(0_u64..1_000_000, 0..20),
    ) {
        let of = |durations: &[u64]| {
            let mut stats = DurationStats::default();
            for ms in durations {
                stats.add(*ms);
            }
            stats
        };
        let mut merged = of(&first);
        merged.merge(&of(&second));
        let all = [first, second].concat();
        let count = float(all.len() as u64);
        let mean = all.iter().map(|ms| float(*ms)).sum::<f64>() / count.max(1.0);
        let m2 = all.iter().map(|ms| (float(*ms) - mean).powi(2)).sum::<f64>();
        for stats in [merged, of(&all)] {
            prop_assert_eq!(stats.count, all.len() as u64);
            prop_assert!((stats.mean_ms - mean).abs() < 1e-3);
            prop_assert!((stats.m2 - m2).abs() <= m2 * 1e-6 + 1e-3);
            prop_assert!(all.len() < 2 || (stats.variance() - m2 / (count - 1.0)).abs() <= m2 * 1e-6 + 1e-3);
        }
    }
}
