//! The edges of a job as its caller wrote them, by key: checked, and made into a graph of positions. A node depends on nodes
//! that stand beside it, in the same job or the same group.
//! Hashed maps, lookups only: a key's position while edges are resolved.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::bounds::Bounds;
use crate::node::graph::{Graph, GraphError};
use crate::refusal::FieldError;

/// Field errors of one check; more help nobody and would make the answer large.
pub const GRAPH_ERRORS_MAX: usize = 100;
/// Keys of a cycle that its message spells out; a longer path is cut in its middle.
const CYCLE_KEYS_SHOWN_MAX: usize = 20;

/// A node with its edges as the caller wrote them.
#[derive(Debug, Clone, Copy)]
pub struct EdgeNode<'a> {
    pub key: &'a str,
    /// Keys of the nodes that it depends on.
    pub depends_on: &'a [String],
    /// Where it stands in the request.
    pub at: &'a str,
    /// The group that it is a member of, by position; none: the job's own.
    pub container: Option<u32>,
}

/// Where a key is looked up: beside the node that names it.
type Named<'a> = (Option<u32>, &'a str);

/// Checks a job's edges as the caller wrote them and builds the graph.
///
/// # Errors
/// Everything that is wrong, at most [`GRAPH_ERRORS_MAX`], with pointers such as `/nodes/3/depends_on/1`:
/// `required`, `too_many`, `duplicate`, `unknown_node`, `self_edge`, `cycle`.
pub fn check_edges(nodes: &[EdgeNode<'_>], bounds: &Bounds) -> Result<Graph, Vec<FieldError>> {
    let mut errors = size_errors(nodes, bounds);
    if !errors.is_empty() {
        errors.truncate(GRAPH_ERRORS_MAX);
        return Err(errors);
    }
    let positions = positions_of(nodes, &mut errors);
    let parents = resolve(nodes, &positions, &mut errors);
    fan_out_errors(nodes, &parents, bounds, &mut errors);
    let built = Graph::build(&parents);
    if let Err(error) = &built {
        errors.truncate(GRAPH_ERRORS_MAX - 1);
        errors.push(graph_error(error, nodes));
    }
    match built {
        Ok(graph) if errors.is_empty() => Ok(graph),
        _ => {
            errors.truncate(GRAPH_ERRORS_MAX);
            Err(errors)
        }
    }
}

fn size_errors(nodes: &[EdgeNode<'_>], bounds: &Bounds) -> Vec<FieldError> {
    if nodes.is_empty() {
        return vec![FieldError::new("/nodes", "required", "a job has at least one node")];
    }
    if nodes.len() > bounds.nodes_max {
        return vec![too_many("/nodes", nodes.len(), "nodes", bounds.nodes_max)];
    }
    let edges = nodes.iter().map(|node| node.depends_on.len()).sum::<usize>();
    if edges > bounds.edges_max {
        return vec![too_many("/nodes", edges, "edges", bounds.edges_max)];
    }
    let wide = nodes.iter().filter(|node| node.depends_on.len() > bounds.fan_max);
    wide.take(GRAPH_ERRORS_MAX)
        .map(|node| {
            let at = format!("{}/depends_on", node.at);
            too_many(&at, node.depends_on.len(), "parents", bounds.fan_max)
        })
        .collect()
}

fn too_many(pointer: &str, count: usize, of: &str, max: usize) -> FieldError {
    FieldError::new(pointer, "too_many", format!("{count} {of}; at most {max} are allowed"))
}

// lookups only: keys are resolved one by one, in the order of the specs.
fn positions_of<'a>(
    nodes: &[EdgeNode<'a>],
    errors: &mut Vec<FieldError>,
) -> HashMap<Named<'a>, u32> {
    let mut positions = HashMap::with_capacity(nodes.len());
    for (ix, node) in (0_u32..).zip(nodes) {
        match positions.entry((node.container, node.key)) {
            Entry::Vacant(entry) => {
                entry.insert(ix);
            }
            Entry::Occupied(first) => report(errors, || {
                let taken: Option<&EdgeNode<'_>> = nodes.get(*first.get() as usize);
                let by = taken.map_or("another node", |node| node.at);
                let message = format!("the key is taken by the node at {by}");
                FieldError::new(format!("{}/key", node.at), "duplicate", message)
            }),
        }
    }
    positions
}

/// Edges by position; those that are wrong in themselves are reported and left out, so that the rest is checked too.
fn resolve(
    nodes: &[EdgeNode<'_>],
    positions: &HashMap<Named<'_>, u32>,
    errors: &mut Vec<FieldError>,
) -> Vec<Vec<u32>> {
    let mut named_by = vec![0_u32; nodes.len()];
    let mut parents = Vec::with_capacity(nodes.len());
    for (node, of) in (0_u32..).zip(nodes) {
        let mut resolved = Vec::with_capacity(of.depends_on.len());
        for (at, key) in of.depends_on.iter().enumerate() {
            let mut wrong = |code, message: &str| {
                report(errors, || {
                    FieldError::new(format!("{}/depends_on/{at}", of.at), code, message)
                });
            };
            match positions.get(&(of.container, key.as_str())) {
                None if of.container.is_some() => {
                    wrong("unknown_node", "the group has no member with this key");
                }
                None => wrong("unknown_node", "the job has no node with this key"),
                Some(parent) if *parent == node => {
                    wrong("self_edge", "a node cannot depend on itself");
                }
                Some(parent) if named_by[*parent as usize] == node + 1 => {
                    wrong("duplicate", "the node depends on this one already");
                }
                Some(parent) => {
                    named_by[*parent as usize] = node + 1;
                    resolved.push(*parent);
                }
            }
        }
        parents.push(resolved);
    }
    parents
}

fn fan_out_errors(
    nodes: &[EdgeNode<'_>],
    parents: &[Vec<u32>],
    bounds: &Bounds,
    errors: &mut Vec<FieldError>,
) {
    let mut fan_out = vec![0_usize; nodes.len()];
    for parent in parents.iter().flatten() {
        fan_out[*parent as usize] += 1;
    }
    for (ix, count) in fan_out.into_iter().enumerate().filter(|(_, count)| *count > bounds.fan_max)
    {
        report(errors, || too_many(nodes[ix].at, count, "children", bounds.fan_max));
    }
}

fn report(errors: &mut Vec<FieldError>, error: impl FnOnce() -> FieldError) {
    if errors.len() < GRAPH_ERRORS_MAX {
        errors.push(error());
    }
}

fn graph_error(error: &GraphError, nodes: &[EdgeNode<'_>]) -> FieldError {
    let GraphError::Cycle(path) = error else {
        return FieldError::new("/nodes", "invalid", error.to_string());
    };
    let first = path.first().and_then(|ix| nodes.get(*ix as usize));
    let pointer = format!("{}/depends_on", first.map_or("/nodes", |node| node.at));
    FieldError::new(
        pointer,
        "cycle",
        format!("the nodes form a cycle: {}", cycle_text(path, nodes)),
    )
}

/// `a -> b -> a`: an arrow goes from a parent to its child.
fn cycle_text(path: &[u32], nodes: &[EdgeNode<'_>]) -> String {
    let names = |part: &[u32]| {
        part.iter().map(|ix| nodes[*ix as usize].key).collect::<Vec<_>>().join(" -> ")
    };
    if path.len() <= CYCLE_KEYS_SHOWN_MAX {
        return names(path);
    }
    let (head, rest) = path.split_at(CYCLE_KEYS_SHOWN_MAX / 2);
    let (middle, tail) = rest.split_at(rest.len() - CYCLE_KEYS_SHOWN_MAX / 2);
    format!("{} -> ({} more) -> {}", names(head), middle.len(), names(tail))
}
