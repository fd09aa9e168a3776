//! The graph against naive models, and each field error with its pointer.

use proptest::prelude::*;

use super::*;
use crate::bounds::Bounds;
use crate::node::edges::{self, EdgeNode, GRAPH_ERRORS_MAX};
use crate::refusal::{FieldError, ours};

/// Edges of nodes that no group has.
fn check_edges(
    keys: &[&str],
    depends_on: &[&[String]],
    bounds: &Bounds,
) -> Result<Graph, Vec<FieldError>> {
    let places: Vec<String> = (0..keys.len()).map(|ix| format!("/nodes/{ix}")).collect();
    let nodes: Vec<EdgeNode<'_>> = keys
        .iter()
        .zip(depends_on)
        .zip(&places)
        .map(|((key, depends_on), at)| EdgeNode { key, depends_on, at, container: None })
        .collect();
    edges::check_edges(&nodes, bounds)
}

fn parents_of(edges: &[(u32, u32)], count: usize) -> Vec<Vec<u32>> {
    let mut parents = vec![Vec::new(); count];
    for (parent, child) in edges {
        if parent != child && !parents[*child as usize].contains(parent) {
            parents[*child as usize].push(*parent);
        }
    }
    parents
}

fn any_edges() -> impl Strategy<Value = Vec<Vec<u32>>> {
    (1_usize..14).prop_flat_map(|count| {
        let max = u32::try_from(count).unwrap_or(1);
        prop::collection::vec((0..max, 0..max), 0..30)
            .prop_map(move |edges| parents_of(&edges, count))
    })
}

/// Whether `to` can be reached from `from` by edges from parent to child, by brute force.
fn reaches(parents: &[Vec<u32>], from: u32, to: u32) -> bool {
    let mut seen = vec![false; parents.len()];
    let mut stack = vec![to];
    while let Some(ix) = stack.pop() {
        for parent in &parents[ix as usize] {
            if *parent == from {
                return true;
            }
            if !std::mem::replace(&mut seen[*parent as usize], true) {
                stack.push(*parent);
            }
        }
    }
    false
}

fn naive_level(parents: &[Vec<u32>], ix: u32) -> u32 {
    parents[ix as usize].iter().map(|p| naive_level(parents, *p) + 1).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn a_built_graph_is_what_its_edges_say(parents in any_edges()) {
        let count = u32::try_from(parents.len()).unwrap_or(0);
        let cyclic = (0..count).any(|ix| reaches(&parents, ix, ix));
        match Graph::build(&parents) {
            Ok(graph) => {
                prop_assert!(!cyclic);
                prop_assert_eq!(graph.edge_count(), parents.iter().map(Vec::len).sum::<usize>());
                let mut place = vec![usize::MAX; parents.len()];
                for (at, ix) in graph.order().iter().enumerate() {
                    place[*ix as usize] = at;
                }
                for ix in 0..count {
                    prop_assert_eq!(graph.parents(ix), &parents[ix as usize][..]);
                    prop_assert_eq!(graph.level(ix), naive_level(&parents, ix));
                    let children: Vec<u32> =
                        (0..count).filter(|c| parents[*c as usize].contains(&ix)).collect();
                    prop_assert_eq!(graph.children(ix), &children[..]);
                    for child in children {
                        prop_assert!(place[ix as usize] < place[child as usize]);
                    }
                }
            }
            Err(GraphError::Cycle(path)) => {
                prop_assert!(cyclic);
                prop_assert!(path.len() >= 2);
                prop_assert_eq!(path.first(), path.last());
                prop_assert_eq!(path.first(), path.iter().min());
                for step in path.windows(2) {
                    prop_assert!(parents[step[1] as usize].contains(&step[0]));
                }
                let mut once = path[1..].to_vec();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), path.len() - 1);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_chain_of_twenty_thousand_and_a_join_of_five_thousand_are_built() {
    let chain: Vec<Vec<u32>> =
        (0..20_000_u32).map(|ix| ix.checked_sub(1).into_iter().collect()).collect();
    let graph = Graph::build(&chain).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(graph.level(19_999), 19_999);
    let mut join = vec![Vec::new(); 5_000];
    join.push((0..5_000).collect());
    let graph = Graph::build(&join).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(graph.parents(5_000).len(), 5_000);
    assert_eq!(graph.children(17), [5_000]);
}

#[test]
fn wrong_edges_are_named() {
    assert_eq!(
        Graph::build(&[vec![], vec![2]]),
        Err(GraphError::UnknownParent { node: 1, parent: 2 })
    );
    assert_eq!(
        Graph::build(&[vec![], vec![0, 0]]),
        Err(GraphError::DuplicateEdge { node: 1, parent: 0 })
    );
    assert_eq!(Graph::build(&[vec![0]]), Err(GraphError::Cycle(vec![0, 0])));
    assert!(Graph::build(&[]).is_ok_and(|graph| graph.node_count() == 0));
}

fn check(nodes: &[(&str, &[&str])], bounds: &Bounds) -> Result<Graph, Vec<(String, &'static str)>> {
    let keys: Vec<&str> = nodes.iter().map(|(key, _)| *key).collect();
    let owned: Vec<Vec<String>> =
        nodes.iter().map(|(_, on)| on.iter().map(ToString::to_string).collect()).collect();
    let depends_on: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
    check_edges(&keys, &depends_on, bounds)
        .map_err(|errors| errors.into_iter().map(|e| (e.pointer, ours(e.code))).collect())
}

#[test]
fn every_wrong_edge_is_reported_where_it_stands() {
    let wrong = check(
        &[("a", &[]), ("b", &["a", "x"]), ("a", &["b"]), ("c", &["c", "b", "b"])],
        &Bounds::default(),
    );
    let expected = [
        ("/nodes/2/key", "duplicate"),
        ("/nodes/1/depends_on/1", "unknown_node"),
        ("/nodes/3/depends_on/0", "self_edge"),
        ("/nodes/3/depends_on/2", "duplicate"),
    ];
    assert_eq!(wrong, Err(expected.map(|(pointer, code)| (pointer.to_owned(), code)).to_vec()));
}

#[test]
fn sizes_beyond_the_bounds_are_refused() {
    let bounds = Bounds { nodes_max: 4, edges_max: 3, fan_max: 2, payload_bytes_max: 1 };
    let error = |pointer: &str, code| Err(vec![(pointer.to_owned(), code)]);
    assert_eq!(check(&[], &bounds), error("/nodes", "required"));
    let five: [(&str, &[&str]); 5] = [("a", &[]), ("b", &[]), ("c", &[]), ("d", &[]), ("e", &[])];
    assert_eq!(check(&five, &bounds), error("/nodes", "too_many"));
    let edges: [(&str, &[&str]); 4] =
        [("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];
    assert_eq!(check(&edges, &bounds), error("/nodes", "too_many"));
    let fan_in: [(&str, &[&str]); 4] =
        [("a", &[]), ("b", &[]), ("c", &[]), ("d", &["a", "b", "c"])];
    assert_eq!(check(&fan_in, &bounds), error("/nodes/3/depends_on", "too_many"));
    let fan_out: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["a"])];
    assert_eq!(check(&fan_out, &bounds), error("/nodes/0", "too_many"));
    assert!(check(&[("a", &[]), ("b", &["a"]), ("c", &["a"])], &bounds).is_ok());
}

#[test]
fn a_cycle_is_told_as_its_path() {
    let on = |key: &str| vec![key.to_owned()];
    let owned = [on("c"), on("a"), on("b"), on("c")];
    let depends_on: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
    let errors = check_edges(&["a", "b", "c", "d"], &depends_on, &Bounds::default());
    let errors = errors.err().unwrap_or_default();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        (errors[0].pointer.as_str(), errors[0].code.as_ref()),
        ("/nodes/0/depends_on", "cycle")
    );
    assert_eq!(errors[0].message, "the nodes form a cycle: a -> b -> c -> a");
}

#[test]
fn a_long_cycle_is_cut_in_its_middle() {
    let names: Vec<String> = (0..1_000).map(|ix| format!("n{ix}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let owned: Vec<Vec<String>> =
        (0..1_000).map(|ix: usize| vec![names[(ix + 999) % 1_000].clone()]).collect();
    let depends_on: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
    let errors = check_edges(&keys, &depends_on, &Bounds::default()).err().unwrap_or_default();
    assert!(errors[0].message.contains("n9 -> (981 more) -> n991"), "{}", errors[0].message);
    assert!(errors[0].message.ends_with("n999 -> n0"));
}

#[test]
fn no_more_than_a_hundred_errors_are_reported_and_the_cycle_is_among_them() {
    let unknown: Vec<String> = (0..300).map(|ix| format!("x{ix}")).collect();
    let owned = [unknown, vec!["c".to_owned()], vec!["b".to_owned()]];
    let depends_on: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
    let errors = check_edges(&["a", "b", "c"], &depends_on, &Bounds::default());
    let errors = errors.err().unwrap_or_default();
    assert_eq!(errors.len(), GRAPH_ERRORS_MAX);
    assert_eq!(errors.last().map(|error| error.code.as_ref()), Some("cycle"));
}
