//! Nodes of every type in few words, for tests.

use domain::job::spec::CompleteWhen;
use domain::node::spec::{
    BranchSpec, DependencyCondition, GroupSpec, MembersSpec, NodeKind, NodeSpec, RunOn,
};
use serde_json::value::RawValue;

use crate::build::node;

pub(crate) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn of_kind(key: &str, depends_on: &[&str], kind: NodeKind) -> NodeSpec {
    NodeSpec { kind, ..node(key, depends_on) }
}

fn members(nodes: Vec<NodeSpec>) -> GroupSpec {
    GroupSpec {
        members: MembersSpec::Nodes(nodes),
        max_parallel: None,
        complete_when: CompleteWhen::All,
    }
}

/// Members that run concurrently.
pub(crate) fn group(key: &str, depends_on: &[&str], nodes: Vec<NodeSpec>) -> NodeSpec {
    of_kind(key, depends_on, NodeKind::ParallelGroup(members(nodes)))
}

/// Members that run one after the other.
pub(crate) fn in_order(key: &str, depends_on: &[&str], nodes: Vec<NodeSpec>) -> NodeSpec {
    of_kind(key, depends_on, NodeKind::SequentialGroup(members(nodes)))
}

/// A member for each item of a list.
pub(crate) fn for_each(key: &str, depends_on: &[&str], list: &str, template: NodeSpec) -> NodeSpec {
    let members = MembersSpec::ForEach { list: raw(list), template: Box::new(template) };
    let group = GroupSpec { members, max_parallel: None, complete_when: CompleteWhen::All };
    of_kind(key, depends_on, NodeKind::ParallelGroup(group))
}

/// The same group with other settings.
pub(crate) fn set(mut node: NodeSpec, set: impl FnOnce(&mut GroupSpec)) -> NodeSpec {
    if let NodeKind::ParallelGroup(group) | NodeKind::SequentialGroup(group) = &mut node.kind {
        set(group);
    }
    node
}

pub(crate) fn ends_when(node: NodeSpec, complete_when: CompleteWhen) -> NodeSpec {
    set(node, |group| group.complete_when = complete_when)
}

pub(crate) fn places(node: NodeSpec, most: u32) -> NodeSpec {
    set(node, |group| group.max_parallel = Some(most))
}

/// Branches as `(when, then)`, the keys with spaces between them.
pub(crate) fn condition(
    key: &str,
    depends_on: &[&str],
    branches: &[(&str, &str)],
    default: &str,
) -> NodeSpec {
    let keys = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let branch =
        |(when, then): &(&str, &str)| BranchSpec { when: (*when).to_owned(), then: keys(then) };
    let kind = NodeKind::Condition {
        branches: branches.iter().map(branch).collect(),
        default: keys(default),
    };
    of_kind(key, depends_on, kind)
}

pub(crate) fn checkpoint(key: &str, depends_on: &[&str], record: &str) -> NodeSpec {
    of_kind(key, depends_on, NodeKind::Checkpoint { record: Some(raw(record)) })
}

pub(crate) fn cleanup(key: &str, depends_on: &[&str], run_on: &[RunOn]) -> NodeSpec {
    let kind = NodeKind::Cleanup { run_on: run_on.to_vec(), affects_outcome: false };
    of_kind(key, depends_on, kind)
}

/// Runs when an expression over its parents holds.
pub(crate) fn when(key: &str, depends_on: &[&str], when: &str) -> NodeSpec {
    NodeSpec {
        dependency_condition: DependencyCondition::Conditional,
        when: Some(when.to_owned()),
        ..node(key, depends_on)
    }
}

/// With this input, which may have expressions.
pub(crate) fn gets(input: &str, node: NodeSpec) -> NodeSpec {
    NodeSpec { input: Some(raw(input)), ..node }
}
