//! The graph a job's nodes stand in, by position: checked once at submission, then only read.
//! Invariant: a `Graph` has no cycle, no self edge and no edge twice (`a_built_graph_is_what_its_edges_say`).
//! Everything is O(V + E) and iterative: a chain of 20,000 nodes needs no more stack than one of two.
//! Absent on purpose: node states (readiness and skips are the job's), and edges by key (they are positions here).
//! Hashed maps, lookups only: a key's position while edges are resolved.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::bounds::Bounds;
use crate::refusal::FieldError;

/// Field errors of one check; more help nobody and would make the answer large.
pub const GRAPH_ERRORS_MAX: usize = 100;
/// Keys of a cycle that its message spells out; a longer path is cut in its middle.
const CYCLE_KEYS_SHOWN_MAX: usize = 20;

/// Parents and children of every node, as flat lists (compressed rows): 16 bytes a node and 8 an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// Row `ix` of `parents` is `parent_starts[ix]..parent_starts[ix + 1]`.
    parent_starts: Box<[u32]>,
    parents: Box<[u32]>,
    child_starts: Box<[u32]>,
    children: Box<[u32]>,
    /// Longest path from a root, in edges.
    levels: Box<[u32]>,
    /// By level, then by position.
    order: Box<[u32]>,
}

/// Why edges do not make a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// More nodes or edges than 32 bits number.
    #[error("more nodes or edges than 2^32 - 2")]
    TooLarge,
    /// An edge names a position that is not there.
    #[error("node {node} names the parent {parent}, which does not exist")]
    UnknownParent {
        /// The child's position.
        node: u32,
        /// The position it names.
        parent: u32,
    },
    /// The same edge twice.
    #[error("node {node} names the parent {parent} twice")]
    DuplicateEdge {
        /// The child's position.
        node: u32,
        /// The parent's position.
        parent: u32,
    },
    /// Positions on a cycle, each a parent of the next; closed, so that the first is also the last. Starts with the
    /// lowest position on it. A self edge is the shortest: `[a, a]`.
    #[error("the nodes at {0:?} form a cycle")]
    Cycle(Vec<u32>),
}

impl Graph {
    /// The graph of the nodes whose parents are listed, by position.
    pub fn build(parents: &[Vec<u32>]) -> Result<Self, GraphError> {
        let count = u32::try_from(parents.len()).map_err(|_| GraphError::TooLarge)?;
        let edges = parents.iter().map(Vec::len).sum::<usize>();
        if count > u32::MAX - 2 || u32::try_from(edges).is_err() {
            return Err(GraphError::TooLarge);
        }
        check_rows(parents, count)?;
        let (parent_starts, parent_edges) = flatten(parents);
        let (child_starts, child_edges) = reverse(parents);
        let mut graph = Self {
            parent_starts,
            parents: parent_edges,
            child_starts,
            children: child_edges,
            levels: vec![0; parents.len()].into(),
            order: Box::default(),
        };
        graph.settle_levels(count)?;
        graph.settle_order(count);
        Ok(graph)
    }

    pub fn node_count(&self) -> usize {
        self.levels.len()
    }

    pub fn edge_count(&self) -> usize {
        self.parents.len()
    }

    /// Positions of the nodes this one depends on, as the caller listed them. `ix` must be below `node_count`.
    pub fn parents(&self, ix: u32) -> &[u32] {
        row(&self.parent_starts, &self.parents, ix)
    }

    /// Positions of the nodes that depend on this one, ascending. `ix` must be below `node_count`.
    pub fn children(&self, ix: u32) -> &[u32] {
        row(&self.child_starts, &self.children, ix)
    }

    /// Edges on the longest path from a root: 0 for a root. `ix` must be below `node_count`.
    pub fn level(&self, ix: u32) -> u32 {
        self.levels[ix as usize]
    }

    /// Every position, parents before children: by level, then by position.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Kahn's walk: a node's level is final when its last parent is. What is never reached lies on or behind a cycle.
    fn settle_levels(&mut self, count: u32) -> Result<(), GraphError> {
        let mut open: Vec<u32> = self.parent_starts.windows(2).map(|w| w[1] - w[0]).collect();
        let mut settled: Vec<u32> = (0..count).filter(|ix| open[*ix as usize] == 0).collect();
        let mut next = 0;
        while next < settled.len() {
            let ix = settled[next];
            next += 1;
            let level = self.levels[ix as usize] + 1;
            for &child in row(&self.child_starts, &self.children, ix) {
                let at = child as usize;
                self.levels[at] = self.levels[at].max(level);
                open[at] -= 1;
                if open[at] == 0 {
                    settled.push(child);
                }
            }
        }
        if settled.len() < open.len() { Err(self.cycle_among(&open, count)) } else { Ok(()) }
    }

    /// Counting sort by level; stable, so positions ascend within a level.
    fn settle_order(&mut self, count: u32) {
        let depth = self.levels.iter().max().map_or(0, |level| *level as usize + 1);
        let mut starts = vec![0_u32; depth + 1];
        for level in &self.levels {
            starts[*level as usize + 1] += 1;
        }
        add_up(&mut starts);
        let mut order = vec![0; self.levels.len()];
        for ix in 0..count {
            let slot = &mut starts[self.levels[ix as usize] as usize];
            order[*slot as usize] = ix;
            *slot += 1;
        }
        self.order = order.into();
    }

    /// Every node that is still open has an open parent; walking from parent to parent must come back somewhere.
    fn cycle_among(&self, open: &[u32], count: u32) -> GraphError {
        let is_open = |ix: &u32| open[*ix as usize] > 0;
        let mut step_of = vec![0_usize; open.len()];
        let mut walk = Vec::new();
        let mut here = (0..count).find(is_open).unwrap_or_default();
        while step_of[here as usize] == 0 {
            walk.push(here);
            step_of[here as usize] = walk.len();
            here = self.parents(here).iter().copied().find(is_open).unwrap_or(here);
        }
        let mut cycle = walk.split_off(step_of[here as usize] - 1);
        cycle.reverse();
        let lowest =
            cycle.iter().enumerate().min_by_key(|(_, ix)| **ix).map_or(0, |(step, _)| step);
        cycle.rotate_left(lowest);
        cycle.push(cycle[0]);
        GraphError::Cycle(cycle)
    }
}

fn row<'a>(starts: &[u32], edges: &'a [u32], ix: u32) -> &'a [u32] {
    let at = ix as usize;
    &edges[starts[at] as usize..starts[at + 1] as usize]
}

/// Each entry becomes the sum of all up to it.
fn add_up(counts: &mut [u32]) {
    let mut sum = 0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}

fn check_rows(parents: &[Vec<u32>], count: u32) -> Result<(), GraphError> {
    // `named_by[p]` is one more than the last node that named p: a second mention by the same node shows at once.
    let mut named_by = vec![0_u32; parents.len()];
    for (node, row) in (0..count).zip(parents) {
        for &parent in row {
            if parent >= count {
                return Err(GraphError::UnknownParent { node, parent });
            }
            if parent == node {
                return Err(GraphError::Cycle(vec![node, node]));
            }
            if named_by[parent as usize] == node + 1 {
                return Err(GraphError::DuplicateEdge { node, parent });
            }
            named_by[parent as usize] = node + 1;
        }
    }
    Ok(())
}

type Rows = (Box<[u32]>, Box<[u32]>);

/// The caller has checked that all edges can be numbered with 32 bits.
fn flatten(rows: &[Vec<u32>]) -> Rows {
    let mut starts = Vec::with_capacity(rows.len() + 1);
    let mut start = 0_u32;
    starts.push(start);
    for row in rows {
        start = row.iter().fold(start, |sum, _| sum + 1);
        starts.push(start);
    }
    (starts.into(), rows.concat().into())
}

fn reverse(rows: &[Vec<u32>]) -> Rows {
    // Shifted by two: while the rows are filled, entry `ix + 1` is the next free place of row `ix`.
    let mut starts = vec![0_u32; rows.len() + 2];
    for parent in rows.iter().flatten() {
        starts[*parent as usize + 2] += 1;
    }
    add_up(&mut starts);
    let mut edges = vec![0_u32; rows.iter().map(Vec::len).sum()];
    for (node, row) in (0_u32..).zip(rows) {
        for parent in row {
            let free = &mut starts[*parent as usize + 1];
            edges[*free as usize] = node;
            *free += 1;
        }
    }
    starts.pop();
    (starts.into(), edges.into())
}

/// Checks a job's edges as the caller wrote them and builds the graph. `keys` and `depends_on` have one entry a node.
///
/// # Errors
/// Everything that is wrong, at most [`GRAPH_ERRORS_MAX`], with pointers such as `/nodes/3/depends_on/1`:
/// `required`, `too_many`, `duplicate`, `unknown_node`, `self_edge`, `cycle`.
pub fn check_edges(
    keys: &[&str],
    depends_on: &[&[String]],
    bounds: &Bounds,
) -> Result<Graph, Vec<FieldError>> {
    let mut errors = size_errors(keys, depends_on, bounds);
    if !errors.is_empty() {
        errors.truncate(GRAPH_ERRORS_MAX);
        return Err(errors);
    }
    let positions = positions_of(keys, &mut errors);
    let parents = resolve(depends_on, &positions, &mut errors);
    fan_out_errors(keys, &parents, bounds, &mut errors);
    let built = Graph::build(&parents);
    if let Err(error) = &built {
        errors.truncate(GRAPH_ERRORS_MAX - 1);
        errors.push(graph_error(error, keys));
    }
    match built {
        Ok(graph) if errors.is_empty() => Ok(graph),
        _ => {
            errors.truncate(GRAPH_ERRORS_MAX);
            Err(errors)
        }
    }
}

fn size_errors(keys: &[&str], depends_on: &[&[String]], bounds: &Bounds) -> Vec<FieldError> {
    if keys.is_empty() {
        return vec![FieldError::new("/nodes", "required", "a job has at least one node")];
    }
    if keys.len() > bounds.nodes_max {
        return vec![too_many("/nodes", keys.len(), "nodes", bounds.nodes_max)];
    }
    let edges = depends_on.iter().map(|row| row.len()).sum::<usize>();
    if edges > bounds.edges_max {
        return vec![too_many("/nodes", edges, "edges", bounds.edges_max)];
    }
    let wide = depends_on.iter().enumerate().filter(|(_, row)| row.len() > bounds.fan_max);
    wide.take(GRAPH_ERRORS_MAX)
        .map(|(ix, row)| {
            too_many(&format!("/nodes/{ix}/depends_on"), row.len(), "parents", bounds.fan_max)
        })
        .collect()
}

fn too_many(pointer: &str, count: usize, of: &str, max: usize) -> FieldError {
    FieldError::new(pointer, "too_many", format!("{count} {of}; at most {max} are allowed"))
}

// lookups only: keys are resolved one by one, in the order of the specs.
fn positions_of<'a>(keys: &[&'a str], errors: &mut Vec<FieldError>) -> HashMap<&'a str, u32> {
    let mut positions = HashMap::with_capacity(keys.len());
    for (ix, key) in (0_u32..).zip(keys) {
        match positions.entry(*key) {
            Entry::Vacant(entry) => {
                entry.insert(ix);
            }
            Entry::Occupied(first) => report(errors, || {
                let message = format!("the key is taken by the node at position {}", first.get());
                FieldError::new(format!("/nodes/{ix}/key"), "duplicate", message)
            }),
        }
    }
    positions
}

/// Edges by position; those that are wrong in themselves are reported and left out, so that the rest is checked too.
fn resolve(
    depends_on: &[&[String]],
    positions: &HashMap<&str, u32>,
    errors: &mut Vec<FieldError>,
) -> Vec<Vec<u32>> {
    let mut named_by = vec![0_u32; depends_on.len()];
    let mut parents = Vec::with_capacity(depends_on.len());
    for (node, row) in (0_u32..).zip(depends_on) {
        let mut resolved = Vec::with_capacity(row.len());
        for (at, key) in row.iter().enumerate() {
            let mut wrong = |code, message: &str| {
                report(errors, || {
                    FieldError::new(format!("/nodes/{node}/depends_on/{at}"), code, message)
                });
            };
            match positions.get(key.as_str()) {
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
    keys: &[&str],
    parents: &[Vec<u32>],
    bounds: &Bounds,
    errors: &mut Vec<FieldError>,
) {
    let mut fan_out = vec![0_usize; keys.len()];
    for parent in parents.iter().flatten() {
        fan_out[*parent as usize] += 1;
    }
    for (ix, count) in fan_out.into_iter().enumerate().filter(|(_, count)| *count > bounds.fan_max)
    {
        report(errors, || too_many(&format!("/nodes/{ix}"), count, "children", bounds.fan_max));
    }
}

fn report(errors: &mut Vec<FieldError>, error: impl FnOnce() -> FieldError) {
    if errors.len() < GRAPH_ERRORS_MAX {
        errors.push(error());
    }
}

fn graph_error(error: &GraphError, keys: &[&str]) -> FieldError {
    let GraphError::Cycle(path) = error else {
        return FieldError::new("/nodes", "invalid", error.to_string());
    };
    let pointer = format!("/nodes/{}/depends_on", path.first().copied().unwrap_or_default());
    FieldError::new(pointer, "cycle", format!("the nodes form a cycle: {}", cycle_text(path, keys)))
}

/// `a -> b -> a`: an arrow goes from a parent to its child.
fn cycle_text(path: &[u32], keys: &[&str]) -> String {
    let names =
        |part: &[u32]| part.iter().map(|ix| keys[*ix as usize]).collect::<Vec<_>>().join(" -> ");
    if path.len() <= CYCLE_KEYS_SHOWN_MAX {
        return names(path);
    }
    let (head, rest) = path.split_at(CYCLE_KEYS_SHOWN_MAX / 2);
    let (middle, tail) = rest.split_at(rest.len() - CYCLE_KEYS_SHOWN_MAX / 2);
    format!("{} -> ({} more) -> {}", names(head), middle.len(), names(tail))
}

#[cfg(test)]
mod tests;
