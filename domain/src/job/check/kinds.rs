//! What belongs to one type of node alone: members and conditions of groups, branches, what cleanups run after.

use super::{Check, FIELD_ERRORS_MAX};
use std::collections::{BTreeMap, BTreeSet};

use super::names::{Namer, NodeNames};
use super::tree::Flat;
use crate::job::flow::items_of;
use crate::job::plan::{NodeFlow, PlanBranch, PlanCleanup, PlanCondition, PlanGroup, PlanKind};
use crate::job::spec::CompleteWhen;
use crate::node::graph::Graph;
use crate::node::spec::{BranchSpec, GroupSpec, MembersSpec, NodeKind, RunOn};
use crate::refusal::FieldError;

impl Check<'_> {
    /// What is its type's alone; none for a task, or where it is wrong.
    pub(super) fn kind(
        &mut self,
        ix: u32,
        nodes: &[Flat],
        names: &mut NodeNames<'_>,
        graph: &Graph,
        flow: &mut NodeFlow,
    ) -> Option<Box<PlanKind>> {
        let flat = nodes.get(ix as usize)?;
        let at = flat.at.as_str();
        if flat.container.is_some() && flat.is_cleanup() {
            self.error(
                &format!("{at}/type"),
                "invalid_value",
                "a cleanup cleans up after its job, and stands in no group",
            );
        }
        self.runs_in_order(ix, nodes, graph);
        let kind = match &flat.spec.kind {
            NodeKind::Task => return None,
            NodeKind::SubJob | NodeKind::Notification => {
                let word = flat.spec.kind.node_type().as_str();
                let message = format!("nodes of type {word} are not available yet");
                self.errors.push(FieldError::new(
                    format!("{at}/type"),
                    "node_type_not_available",
                    message,
                ));
                return None;
            }
            NodeKind::Condition { branches, default } => PlanKind::Condition(
                self.condition(ix, nodes, branches, default, names, graph, flow)?,
            ),
            NodeKind::ParallelGroup(group) => {
                PlanKind::Group(self.group(flat, ix, nodes, group, false))
            }
            NodeKind::SequentialGroup(group) => {
                PlanKind::Group(self.group(flat, ix, nodes, group, true))
            }
            NodeKind::Checkpoint { .. } => PlanKind::Checkpoint,
            NodeKind::Cleanup { run_on, affects_outcome } => {
                let mut run_on = run_on.clone();
                run_on.sort_unstable();
                run_on.dedup();
                if run_on.is_empty() {
                    run_on.push(RunOn::Always);
                }
                PlanKind::Cleanup(PlanCleanup { run_on, affects_outcome: *affects_outcome })
            }
        };
        Some(Box::new(kind))
    }

    /// A member of a group that runs them in order would wait for ever for one that comes after it.
    fn runs_in_order(&mut self, ix: u32, nodes: &[Flat], graph: &Graph) {
        let flat = &nodes[ix as usize];
        let group = flat.container.map(|group| &nodes[group as usize].spec.kind);
        if !matches!(group, Some(NodeKind::SequentialGroup(_))) {
            return;
        }
        for (place, parent) in graph.parents(ix).iter().enumerate() {
            if *parent > ix {
                self.error(
                    &format!("{}/depends_on/{place}", flat.at),
                    "out_of_order",
                    "the members of a sequential group run in their order: none can depend on a later one",
                );
            }
        }
    }

    fn group(
        &mut self,
        flat: &Flat,
        ix: u32,
        nodes: &[Flat],
        group: &GroupSpec,
        in_order: bool,
    ) -> PlanGroup {
        let at = flat.at.as_str();
        let members = match &group.members {
            MembersSpec::Nodes(_) => {
                let members = nodes.iter().filter(|node| node.container == Some(ix)).count();
                if members == 0 {
                    self.error(&format!("{at}/nodes"), "required", "must have at least one member");
                }
                Some(members)
            }
            MembersSpec::ForEach { .. } => None,
        };
        if group.max_parallel == Some(0) {
            self.error(&format!("{at}/max_parallel"), "out_of_range", "must be at least 1");
        }
        self.complete_when(at, group.complete_when, members, "members");
        PlanGroup {
            in_order,
            max_parallel: group.max_parallel,
            complete_when: group.complete_when,
            template: flat.template,
            items: None,
        }
    }

    /// A success condition. `of`: how many there are, where that is known.
    pub(super) fn complete_when(
        &mut self,
        at: &str,
        condition: CompleteWhen,
        of: Option<usize>,
        what: &str,
    ) {
        match condition {
            CompleteWhen::AtLeast(least)
                if least == 0 || of.is_some_and(|of| least as usize > of) =>
            {
                let message = format!("must be between 1 and the number of {what}");
                self.error(&format!("{at}/complete_when/at_least"), "out_of_range", &message);
            }
            CompleteWhen::TolerateAtMostPercent(percent) if percent > 100 => {
                self.error(
                    &format!("{at}/complete_when/tolerate/percent"),
                    "out_of_range",
                    "must be between 0 and 100",
                );
            }
            CompleteWhen::All
            | CompleteWhen::Any
            | CompleteWhen::AtLeast(_)
            | CompleteWhen::TolerateCount(_)
            | CompleteWhen::TolerateAtMostPercent(_) => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a condition is checked against the whole job")]
    fn condition(
        &mut self,
        ix: u32,
        nodes: &[Flat],
        branches: &[BranchSpec],
        default: &[String],
        names: &mut NodeNames<'_>,
        graph: &Graph,
        flow: &mut NodeFlow,
    ) -> Option<PlanCondition> {
        let at = nodes.get(ix as usize)?.at.as_str();
        if branches.is_empty() {
            self.error(&format!("{at}/branches"), "required", "must have at least one branch");
        }
        let children = Children::of(ix, nodes, graph);
        let mut found = Vec::with_capacity(branches.len());
        for (place, branch) in branches.iter().enumerate() {
            let at = format!("{at}/branches/{place}");
            // Whether a condition runs does not depend on what its branches read.
            let mut own = NodeFlow::default();
            let namer = Namer::Node(ix);
            let when = self.predicate(&format!("{at}/when"), &branch.when, namer, names, &mut own);
            flow.reads_job_input |= own.reads_job_input;
            flow.reads_item |= own.reads_item;
            for read in own.reads {
                let known = |other: &&crate::job::plan::Read| {
                    other.node == read.node && other.part == read.part
                };
                if flow.reads.iter().find(known).is_none() {
                    flow.reads.push(crate::job::plan::Read { decides: false, ..read });
                }
            }
            let then = self.named(&format!("{at}/then"), &branch.then, &children);
            found.extend(when.map(|when| PlanBranch { when, then }));
        }
        let default = self.named(&format!("{at}/default"), default, &children);
        Some(PlanCondition { branches: found, default })
    }

    /// The nodes that a branch names: each depends on the condition.
    fn named(&mut self, at: &str, keys: &[String], children: &Children<'_>) -> Vec<u32> {
        let mut found = BTreeSet::new();
        for (place, key) in keys.iter().enumerate() {
            if self.errors.len() >= FIELD_ERRORS_MAX {
                break;
            }
            let (code, message) = match (
                children.of.get(key.as_str()),
                children.beside.contains(key.as_str()),
            ) {
                (Some(child), _) if found.insert(*child) => continue,
                (Some(_), _) => ("duplicate", "the branch names this node already"),
                (None, true) => (
                    "not_dependent",
                    "the node does not depend on this condition; add the condition to its depends_on",
                ),
                (None, false) => {
                    ("unknown_node", "there is no node with this key beside the condition")
                }
            };
            self.error(&format!("{at}/{place}"), code, message);
        }
        found.into_iter().collect()
    }

    /// How many items a list has that is known already.
    pub(super) fn items(&mut self, at: &str, json: &str) -> Option<u32> {
        match items_of(json) {
            Ok(items) => Some(items),
            Err(message) => {
                self.error(&format!("{at}/for_each"), "invalid_value", &message);
                None
            }
        }
    }
}

/// The nodes that stand beside a condition, by key.
struct Children<'t> {
    /// Those that depend on it.
    of: BTreeMap<&'t str, u32>,
    /// All of them.
    beside: BTreeSet<&'t str>,
}

impl<'t> Children<'t> {
    fn of(ix: u32, nodes: &'t [Flat], graph: &Graph) -> Self {
        let key = |child: &u32| (nodes[*child as usize].spec.key.as_str(), *child);
        let container = nodes[ix as usize].container;
        let beside = nodes.iter().filter(|node| node.container == container);
        Self {
            of: graph.children(ix).iter().map(key).collect(),
            beside: beside.map(|node| node.spec.key.as_str()).collect(),
        }
    }
}
