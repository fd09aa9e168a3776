//! The tree of a submission as a list: each group before its members, the nodes of templates behind all others. Each node
//! keeps where it stands in the request.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use crate::job::plan::TemplateRange;
use crate::node::spec::{GROUP_DEPTH_MAX, MembersSpec, NodeKind, NodeSpec};
use crate::refusal::FieldError;

/// A node of the tree, without its members.
#[derive(Debug)]
pub(super) struct Flat {
    pub(super) spec: NodeSpec,
    /// Where it stands in the request.
    pub(super) at: String,
    /// The group that it is a member of, or the template of.
    pub(super) container: Option<u32>,
    /// What it goes over, where it is a group that does.
    pub(super) template: Option<TemplateRange>,
    /// It runs once for each item of a list.
    pub(super) is_template: bool,
    /// Somewhere around it a list is gone over.
    pub(super) has_item: bool,
}

/// The nodes of a submission as a list.
#[derive(Debug, Default)]
pub(super) struct SpecTree {
    pub(super) nodes: Vec<Flat>,
    /// How many of them, the last, are templates'.
    pub(super) templates: u32,
}

/// A node that is still to be taken in.
struct Next {
    spec: NodeSpec,
    at: String,
    container: Option<u32>,
    is_template: bool,
    has_item: bool,
    depth: usize,
}

impl SpecTree {
    /// Takes the members out of their groups.
    pub(super) fn of(specs: Vec<NodeSpec>, errors: &mut Vec<FieldError>) -> Self {
        let mut tree = Self { nodes: Vec::with_capacity(specs.len()), templates: 0 };
        let mut templates = VecDeque::new();
        let outermost = specs.into_iter().enumerate().map(|(ix, spec)| Next {
            spec,
            at: format!("/nodes/{ix}"),
            container: None,
            is_template: false,
            has_item: false,
            depth: 0,
        });
        tree.take(outermost.collect(), &mut templates, errors);
        let initial = tree.nodes.len();
        while let Some(template) = templates.pop_front() {
            let (first, group) = (tree.nodes.len(), template.container);
            tree.take(vec![template], &mut templates, errors);
            let range =
                TemplateRange { first: number(first), nodes: number(tree.nodes.len() - first) };
            if let Some(group) = group.and_then(|group| tree.nodes.get_mut(group as usize)) {
                group.template = Some(range);
            }
        }
        tree.templates = number(tree.nodes.len() - initial);
        tree
    }

    /// Takes in nodes with their members, each group before its own.
    fn take(
        &mut self,
        mut open: Vec<Next>,
        templates: &mut VecDeque<Next>,
        errors: &mut Vec<FieldError>,
    ) {
        open.reverse();
        while let Some(mut next) = open.pop() {
            let ix = number(self.nodes.len());
            let depth = next.depth + 1;
            if depth > GROUP_DEPTH_MAX + 1 {
                errors.push(FieldError::new(
                    next.at,
                    "too_deep",
                    format!("groups stand within one another at most {GROUP_DEPTH_MAX} deep"),
                ));
                continue;
            }
            if let NodeKind::ParallelGroup(group) | NodeKind::SequentialGroup(group) =
                &mut next.spec.kind
            {
                let (at, has_item) = (next.at.as_str(), next.has_item);
                let member = |spec, at, is_template| Next {
                    spec,
                    at,
                    container: Some(ix),
                    is_template,
                    has_item: has_item || is_template,
                    depth,
                };
                match &mut group.members {
                    MembersSpec::Nodes(nodes) => {
                        let nodes = std::mem::take(nodes).into_iter().enumerate();
                        let nodes = nodes.map(|(place, spec)| {
                            member(spec, format!("{at}/nodes/{place}"), false)
                        });
                        open.extend(nodes.rev());
                    }
                    MembersSpec::ForEach { template, .. } => {
                        let spec = std::mem::take(&mut **template);
                        templates.push_back(member(spec, format!("{at}/template"), true));
                    }
                }
            }
            self.nodes.push(Flat {
                spec: next.spec,
                at: next.at,
                container: next.container,
                template: None,
                is_template: next.is_template,
                has_item: next.has_item,
            });
        }
    }
}

impl Flat {
    /// Takes out what may have expressions: the input of a task or a cleanup, the record of a checkpoint, the list of a
    /// group.
    pub(super) fn take_input(&mut self) -> Option<Box<RawValue>> {
        match &mut self.spec.kind {
            NodeKind::ParallelGroup(group) | NodeKind::SequentialGroup(group) => {
                match &mut group.members {
                    MembersSpec::ForEach { list, .. } => {
                        Some(std::mem::replace(list, RawValue::NULL.to_owned()))
                    }
                    MembersSpec::Nodes(_) => None,
                }
            }
            NodeKind::Checkpoint { record } => record.take(),
            NodeKind::Task | NodeKind::Cleanup { .. } => self.spec.input.take(),
            NodeKind::Condition { .. } | NodeKind::SubJob | NodeKind::Notification => None,
        }
    }

    /// The name of that field in the request.
    pub(super) fn input_field(&self) -> &'static str {
        match &self.spec.kind {
            NodeKind::ParallelGroup(_) | NodeKind::SequentialGroup(_) => "for_each",
            NodeKind::Checkpoint { .. } => "record",
            NodeKind::Task
            | NodeKind::Cleanup { .. }
            | NodeKind::Condition { .. }
            | NodeKind::SubJob
            | NodeKind::Notification => "input",
        }
    }

    pub(super) fn is_cleanup(&self) -> bool {
        matches!(self.spec.kind, NodeKind::Cleanup { .. })
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
