//! The graph a job's nodes stand in, by position: checked once at submission, then only read.
//! Invariant: a `Graph` has no cycle, no self edge and no edge twice (`a_built_graph_is_what_its_edges_say`).
//! Everything is O(V + E) and iterative: a chain of 20,000 nodes needs no more stack than one of two.
//! Absent on purpose: node states (readiness and skips are the job's), and edges by key (`edges`).

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

#[cfg(test)]
mod tests;
