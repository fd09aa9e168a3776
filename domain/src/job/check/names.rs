//! What the expressions of a node may name: nodes that come before it, in its own group and in those around it. A cleanup,
//! and the job's output, may name any node that no group has.
//! Always holds: a name that is let through reads a node that has settled when the expression is evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::tree::Flat;
use crate::expression::{ExpressionError, JobPart, Reference};
use crate::job::plan::{NodeFlow, Plan, Read};
use crate::node::graph::Graph;

/// Edges that are walked in all to see who comes before whom; a job that needs more is refused.
const EDGES_WALKED_MAX: usize = 50_000_000;
/// The same, while something is decided about a job: a few milliseconds.
const EDGES_WALKED_IN_DECISION_MAX: usize = 1_000_000;
/// NodeNames that a message lists as allowed.
const NAMES_ALLOWED_MAX: usize = 100;

/// What of a node says who may name it, and whom it may name.
#[derive(Clone, Copy)]
pub(super) struct NamedNode<'t> {
    key: &'t str,
    /// The group that it is a member of, or the template of.
    container: Option<u32>,
    is_template: bool,
    /// Somewhere around it a list is gone over.
    has_item: bool,
    is_cleanup: bool,
}

/// Where the names of a job are looked up.
pub(super) struct NodeNames<'t> {
    nodes: Vec<NamedNode<'t>>,
    graph: &'t Graph,
    by_key: BTreeMap<(Option<u32>, &'t str), u32>,
    /// Edges that may still be walked.
    walks: usize,
}

/// Who names something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Namer {
    /// The job's own output.
    Job,
    Node(u32),
}

impl<'t> NodeNames<'t> {
    /// Of a submission.
    pub(super) fn of(nodes: &'t [Flat], graph: &'t Graph) -> Self {
        let named = nodes.iter().map(|node| NamedNode {
            key: node.spec.key.as_str(),
            container: node.container,
            is_template: node.is_template,
            has_item: node.has_item,
            is_cleanup: node.is_cleanup(),
        });
        Self::over(named.collect(), graph, EDGES_WALKED_MAX)
    }

    /// Of a job that was submitted, for a decision about it.
    pub(super) fn of_plan(plan: &'t Plan) -> Self {
        let templates: BTreeSet<u32> = plan
            .nodes
            .iter()
            .filter_map(|node| node.group().and_then(|group| group.template))
            .map(|template| template.first)
            .collect();
        let named = (0_u32..).zip(plan.nodes.iter()).map(|(ix, node)| NamedNode {
            key: node.key.as_str(),
            container: node.container,
            is_template: templates.contains(&ix),
            has_item: ix >= plan.initial,
            is_cleanup: node.cleanup().is_some(),
        });
        Self::over(named.collect(), &plan.graph, EDGES_WALKED_IN_DECISION_MAX)
    }

    fn over(nodes: Vec<NamedNode<'t>>, graph: &'t Graph, walks: usize) -> Self {
        let mut by_key = BTreeMap::new();
        for (ix, node) in (0_u32..).zip(&nodes) {
            if !node.is_template {
                by_key.entry((node.container, node.key)).or_insert(ix);
            }
        }
        Self { nodes, graph, by_key, walks }
    }

    /// Adds what an expression reads to what its node reads. `decides`: whether the node runs depends on it.
    pub(super) fn add(
        &mut self,
        namer: Namer,
        reference: &Reference,
        column: usize,
        decides: bool,
        flow: &mut NodeFlow,
    ) -> Result<(), ExpressionError> {
        let cleans = match namer {
            Namer::Job => false,
            Namer::Node(ix) => self.nodes[ix as usize].is_cleanup,
        };
        match reference {
            Reference::Job(JobPart::Input) => flow.reads_job_input = true,
            Reference::Job(JobPart::Id) => {}
            Reference::Job(JobPart::Status | JobPart::Error) if cleans => {}
            Reference::Job(part @ (JobPart::Status | JobPart::Error)) => {
                return Err(unknown(
                    column,
                    format!(
                        "job.{} is known to cleanups alone: nothing else runs once it is",
                        part.as_str()
                    ),
                    vec!["job.input".to_owned(), "job.id".to_owned()],
                ));
            }
            Reference::Error | Reference::Attempt => {
                let message = format!("{reference} is known to `when` of a retry policy alone");
                return Err(unknown(column, message, Vec::new()));
            }
            Reference::Item | Reference::Index => {
                let has = matches!(namer, Namer::Node(ix) if self.nodes[ix as usize].has_item);
                if !has {
                    let message =
                        format!("{reference} is known to the template of a for_each alone");
                    return Err(unknown(column, message, Vec::new()));
                }
                flow.reads_item = true;
            }
            Reference::Node { key, part } => {
                let node = self.find(namer, key, column)?;
                let known =
                    flow.reads.iter_mut().find(|read| read.node == node && read.part == *part);
                match known {
                    Some(read) => read.decides |= decides,
                    None => {
                        flow.reads.push(Read {
                            key: Arc::from(key.as_str()),
                            node,
                            part: *part,
                            decides,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, namer: Namer, key: &str, column: usize) -> Result<u32, ExpressionError> {
        let Namer::Node(ix) = namer else { return self.outermost(None, key, column) };
        if self.nodes[ix as usize].is_cleanup {
            return self.outermost(Some(ix), key, column);
        }
        let mut here = ix;
        loop {
            let container = self.nodes[here as usize].container;
            if let Some(found) = self.by_key.get(&(container, key)).copied() {
                if found == here {
                    let message = if here == ix {
                        "a node cannot read itself".to_owned()
                    } else {
                        format!(
                            "`{key}` is a group around this node, and has no output before it ends"
                        )
                    };
                    return Err(unknown(column, message, self.allowed(ix)));
                }
                match self.comes_before(found, here) {
                    Some(true) => return Ok(found),
                    Some(false) => {}
                    None => {
                        let message = "the expressions of this job read nodes too far before \
                                       them to be checked; read nearer ones, or pass values on";
                        return Err(unknown(column, message.to_owned(), Vec::new()));
                    }
                }
                let message = format!(
                    "`{key}` does not come before this node; add it to depends_on of {}",
                    if here == ix { "this node" } else { "the group around it" }
                );
                return Err(unknown(column, message, self.allowed(ix)));
            }
            match container {
                Some(group) => here = group,
                None => return Err(self.nowhere(ix, key, column)),
            }
        }
    }

    fn outermost(
        &mut self,
        of: Option<u32>,
        key: &str,
        column: usize,
    ) -> Result<u32, ExpressionError> {
        let found = self.by_key.get(&(None, key)).copied();
        let found = found.filter(|found| Some(*found) != of);
        found.ok_or_else(|| {
            let keys = self.by_key.keys().filter(|(container, _)| container.is_none());
            let allowed = keys.take(NAMES_ALLOWED_MAX).map(|(_, key)| (*key).to_owned());
            ExpressionError::unknown_name(column, "node", key, allowed.collect())
        })
    }

    fn nowhere(&mut self, ix: u32, key: &str, column: usize) -> ExpressionError {
        let allowed = self.allowed(ix);
        let member = self.nodes.iter().find(|node| node.key == key && node.container.is_some());
        let group = member.and_then(|node| node.container).map(|group| &self.nodes[group as usize]);
        match group {
            Some(group) => {
                let group = group.key;
                let message = format!(
                    "`{key}` is a member of the group `{group}`, which is read from outside as nodes.{group}.output"
                );
                unknown(column, message, allowed)
            }
            None => ExpressionError::unknown_name(column, "node before this one", key, allowed),
        }
    }

    /// Keys that a node may name.
    fn allowed(&mut self, ix: u32) -> Vec<String> {
        let mut keys = Vec::new();
        let mut here = Some(ix);
        while let Some(node) = here {
            let mut open = vec![node];
            let mut seen = BTreeSet::new();
            while let Some(next) = open.pop() {
                for parent in self.graph.parents(next) {
                    if seen.len() < NAMES_ALLOWED_MAX && seen.insert(*parent) {
                        open.push(*parent);
                    }
                }
            }
            keys.extend(seen.into_iter().map(|parent| self.nodes[parent as usize].key.to_owned()));
            here = self.nodes[node as usize].container;
        }
        keys
    }

    /// Whether one node comes before another that stands beside it; none: it took too long to see.
    fn comes_before(&mut self, first: u32, then: u32) -> Option<bool> {
        if self.graph.parents(then).contains(&first) {
            return Some(true);
        }
        let level = self.graph.level(first);
        if level >= self.graph.level(then) {
            return Some(false);
        }
        // Backwards, and never behind the level where the other stands.
        let mut seen = Bits::of(self.nodes.len());
        let mut open = vec![then];
        while let Some(here) = open.pop() {
            for parent in self.graph.parents(here) {
                self.walks = self.walks.saturating_sub(1);
                if *parent == first {
                    return Some(true);
                }
                if self.graph.level(*parent) > level && seen.insert(*parent) {
                    open.push(*parent);
                }
            }
            if self.walks == 0 {
                return None;
            }
        }
        Some(false)
    }
}

fn unknown(column: usize, message: String, allowed: Vec<String>) -> ExpressionError {
    let mut error = ExpressionError::unknown_name(column, "", "", Vec::new());
    error.message = if allowed.is_empty() {
        message
    } else {
        format!(
            "{message}; it may read {}",
            allowed.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
        )
    };
    error.allowed = allowed;
    error
}

/// A set of positions.
struct Bits(Vec<u64>);

impl Bits {
    fn of(positions: usize) -> Self {
        Self(vec![0; positions.div_ceil(64)])
    }

    /// Whether it was not there before.
    fn insert(&mut self, ix: u32) -> bool {
        let (word, bit) = (&mut self.0[ix as usize / 64], 1 << (ix % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
