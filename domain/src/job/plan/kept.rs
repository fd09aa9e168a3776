//! What a job keeps of its nodes while it lives, because an expression reads it or because it is a part of the job's own
//! output.

use std::sync::Arc;

use super::{NodeFlow, PlanNode, Read};
use crate::expression::NodePart;
use crate::node::graph::Graph;
use crate::node::spec::DependencyCondition;

/// What is kept of a node, because something reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeptParts {
    /// An expression reads its output.
    pub(super) output_read: bool,
    /// Its output is a part of the job's own.
    pub(super) part_of_output: bool,
    /// An expression reads its error.
    pub(super) error_read: bool,
    /// A child runs because of its failure.
    pub(super) may_be_handled: bool,
}

/// A group's output is that of its members: who reads the one reads the others.
pub(super) fn kept_of(
    nodes: &[PlanNode],
    output: Option<&NodeFlow>,
    graph: &Graph,
    by_default: bool,
) -> Arc<[KeptParts]> {
    let mut kept = vec![KeptParts::default(); nodes.len()];
    let of_nodes = nodes.iter().filter_map(|node| node.flow.as_deref());
    note(&mut kept, of_nodes.chain(output).flat_map(|flow| &flow.reads));
    let conditional =
        nodes.iter().filter(|node| node.condition == DependencyCondition::Conditional);
    for node in conditional {
        for parent in node.parents.iter().filter(|parent| node.handles(**parent)) {
            if let Some(of) = kept.get_mut(*parent as usize) {
                of.may_be_handled = true;
            }
        }
    }
    for (ix, node) in (0_u32..).zip(nodes) {
        let is_sink = by_default && graph.children(ix).is_empty() && node.cleanup().is_none();
        let group = node.container.map(|group| kept[group as usize]);
        let of_this = &mut kept[ix as usize];
        of_this.part_of_output = group.map_or(is_sink, |group| group.part_of_output);
        of_this.output_read |= group.is_some_and(|group| group.output_read);
    }
    kept.into()
}

fn note<'a>(kept: &mut [KeptParts], reads: impl IntoIterator<Item = &'a Read>) {
    for read in reads {
        let Some(of) = kept.get_mut(read.node as usize) else { continue };
        match read.part {
            NodePart::Output => of.output_read = true,
            NodePart::Error => of.error_read = true,
            NodePart::Status | NodePart::Attempts => {}
        }
    }
}

/// The same, with what one node reads beside it.
pub(super) fn with_reads(
    before: &Arc<[KeptParts]>,
    reads: &[Read],
    nodes: &[PlanNode],
) -> Arc<[KeptParts]> {
    let mut kept = before.to_vec();
    note(&mut kept, reads);
    if kept[..] == before[..] {
        return Arc::clone(before);
    }
    for ix in 0..nodes.len() {
        let group = nodes[ix].container.map(|group| kept[group as usize].output_read);
        kept[ix].output_read |= group.unwrap_or(false);
    }
    kept.into()
}
