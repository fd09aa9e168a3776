//! Jobs drawn at random: trees of groups, lists, branches, catches, checkpoints and cleanups over tasks that the caller draws.
//! Always holds: what is drawn passes the check of submissions. Expressions that have no value while the job runs are drawn on
//! purpose.

use domain::dice::SplitMix64;
use domain::job::spec::{CompleteWhen, JobSpec};
use domain::node::spec::{
    BranchSpec, DependencyCondition, GroupSpec, MembersSpec, NodeKind, NodeSpec, RunOn,
};
use serde_json::value::RawValue;

/// Groups within groups.
const DEPTH_MAX: u64 = 3;

/// Numbers drawn at random.
pub trait Chance {
    /// Any number below a bound, which is at least 1.
    fn number_below(&mut self, bound: u64) -> u64;

    /// Whether something happens that does so many times of a hundred.
    fn percent(&mut self, percent: u64) -> bool {
        self.number_below(100) < percent
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.number_below(of.len() as u64);
        of[usize::try_from(at).unwrap_or(0)].clone()
    }
}

impl Chance for SplitMix64 {
    fn number_below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

/// Draws a task with options; key, parents and what belongs to other types are set here.
pub trait Leaves<C>: FnMut(&mut C) -> NodeSpec {}

impl<C, F: FnMut(&mut C) -> NodeSpec> Leaves<C> for F {}

/// Gives a job nodes, and an input and an output that fit them.
pub fn plant_tree<C: Chance>(chance: &mut C, job: &mut JobSpec, leaf: &mut impl Leaves<C>) {
    // What is large is read beside the committer.
    let text = "x".repeat(if chance.percent(40) { 2_100 } else { 0 });
    job.input =
        raw(&format!("{{\"n\": 3, \"items\": [4, [5, 6], {{\"a\": 7}}], \"text\": \"{text}\"}}"));
    let mut nodes = beside(chance, leaf, Within { depth: 0, item: false, in_order: false });
    let least = nodes.len() as u64;
    job.complete_when = complete_when(chance, Some(least));
    job.complete_early = chance.percent(15);
    if chance.percent(30) {
        let of = chance.one_of(&nodes).key;
        job.output = raw(&chance.one_of(&[
            format!("\"${{{{ nodes.{of}.output }}}}\""),
            format!("{{\"of\": \"${{{{ nodes.{of}.output.n }}}}\", \"is\": \"${{{{ nodes.{of}.status }}}}\"}}"),
            "[1]".to_owned(),
        ]));
    }
    cleanups(chance, leaf, &mut nodes);
    job.nodes = nodes;
}

/// Where nodes stand.
#[derive(Clone, Copy)]
struct Within {
    depth: u64,
    item: bool,
    in_order: bool,
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// The nodes of a job or of a group.
fn beside<C: Chance>(chance: &mut C, leaf: &mut impl Leaves<C>, within: Within) -> Vec<NodeSpec> {
    let many = 1 + chance.number_below(if within.depth == 0 { 6 } else { 3 });
    let mut nodes: Vec<NodeSpec> = Vec::new();
    for at in 0..many {
        let mut parents: Vec<String> = Vec::new();
        for before in &nodes {
            if chance.percent(30) && parents.len() < 3 {
                parents.push(before.key.clone());
            }
        }
        let mut node = NodeSpec { depends_on: parents, ..leaf(chance) };
        node.key = format!("n{at}");
        condition_of_parents(chance, &mut node);
        kind(chance, leaf, &mut node, within);
        nodes.push(node);
    }
    for at in 0..nodes.len() {
        name_branches(chance, &mut nodes, at, within);
    }
    if !within.in_order && chance.percent(50) {
        nodes.reverse();
    }
    nodes
}

fn condition_of_parents<C: Chance>(chance: &mut C, node: &mut NodeSpec) {
    node.dependency_condition = chance.one_of(&[
        DependencyCondition::All,
        DependencyCondition::All,
        DependencyCondition::Any,
        DependencyCondition::Conditional,
    ]);
    if node.dependency_condition == DependencyCondition::Conditional {
        node.when = Some(predicate(chance, &node.depends_on, false));
    }
}

/// An expression that holds or not, or has no value.
fn predicate<C: Chance>(chance: &mut C, parents: &[String], item: bool) -> String {
    let mut drawn = vec![
        "${{ true }}".to_owned(),
        "${{ job.input.n > 5 }}".to_owned(),
        "${{ job.id != '' }}".to_owned(),
        "${{ job.id != '' && job.input.n < 5 }}".to_owned(),
    ];
    for key in parents {
        drawn.push(format!("${{{{ nodes.{key}.status == 'failed' }}}}"));
        drawn.push(format!("${{{{ nodes.{key}.status != 'completed' }}}}"));
        drawn.push(format!("${{{{ nodes.{key}.status == 'completed' }}}}"));
        drawn.push(format!("${{{{ nodes.{key}.output.n > 2 }}}}"));
    }
    if item {
        drawn.push("${{ index > 0 }}".to_owned());
        drawn.push("${{ item > 1 }}".to_owned());
    }
    chance.one_of(&drawn)
}

/// An input with expressions, or without.
fn value<C: Chance>(chance: &mut C, parents: &[String], item: bool) -> String {
    let mut drawn = vec![
        "{\"a\": 1}".to_owned(),
        "\"of ${{ job.id }}\"".to_owned(),
        "[\"${{ job.id }}\", \"${{ job.input.n }}\"]".to_owned(),
    ];
    for key in parents {
        drawn.push(format!("\"${{{{ nodes.{key}.output }}}}\""));
        drawn.push(format!(
            "[\"${{{{ nodes.{key}.attempts }}}}\", \"${{{{ nodes.{key}.error }}}}\"]"
        ));
        drawn.push(format!("\"${{{{ nodes.{key}.output.n + 1 }}}}\""));
    }
    if item {
        drawn.push("\"${{ item }} at ${{ index }}\"".to_owned());
    }
    chance.one_of(&drawn)
}

fn list<C: Chance>(chance: &mut C, parents: &[String], item: bool) -> String {
    let mut drawn = vec![
        "[1, 2, 3]".to_owned(),
        "[1, 2, 3, \"${{ job.id }}\"]".to_owned(),
        "[[1, 2], [], [3]]".to_owned(),
        "[]".to_owned(),
        "\"${{ job.input.items }}\"".to_owned(),
        "[\"${{ job.id }}\", \"${{ job.input.items }}\", 3]".to_owned(),
    ];
    for key in parents {
        drawn.push(format!("\"${{{{ nodes.{key}.output.items }}}}\""));
        drawn.push(format!("\"${{{{ nodes.{key}.output.items }}}}\""));
        drawn.push(format!("\"${{{{ nodes.{key}.output }}}}\""));
    }
    if item {
        drawn.push("\"${{ item }}\"".to_owned());
    }
    chance.one_of(&drawn)
}

fn kind<C: Chance>(chance: &mut C, leaf: &mut impl Leaves<C>, node: &mut NodeSpec, within: Within) {
    let parents = node.depends_on.clone();
    let grows = within.depth < DEPTH_MAX;
    let drawn = chance.number_below(100);
    let own = match drawn {
        0..25 if grows => group(chance, leaf, within),
        25..42 if grows => for_each(chance, leaf, &parents, within),
        42..54 => NodeKind::Condition { branches: Vec::new(), default: Vec::new() },
        54..62 => NodeKind::Checkpoint { record: raw(&value(chance, &parents, within.item)) },
        _ => {
            if chance.percent(40) {
                node.input = raw(&value(chance, &parents, within.item));
            }
            return;
        }
    };
    if !matches!(own, NodeKind::ParallelGroup(_) | NodeKind::SequentialGroup(_)) {
        node.retry = None;
        node.timeouts = domain::node::spec::Timeouts::default();
    }
    (node.kind, node.input, node.queue, node.action_type) = (own, None, None, None);
    node.at_most_once = false;
}

fn group<C: Chance>(chance: &mut C, leaf: &mut impl Leaves<C>, within: Within) -> NodeKind {
    let in_order = chance.percent(40);
    let inner = Within { depth: within.depth + 1, in_order, ..within };
    let nodes = beside(chance, leaf, inner);
    let complete_when = complete_when(chance, Some(nodes.len() as u64));
    of_group(chance, MembersSpec::Nodes(nodes), complete_when, in_order)
}

fn for_each<C: Chance>(
    chance: &mut C,
    leaf: &mut impl Leaves<C>,
    parents: &[String],
    within: Within,
) -> NodeKind {
    let list =
        raw(&list(chance, parents, within.item)).unwrap_or_else(|| RawValue::NULL.to_owned());
    let inner = Within { depth: within.depth + 1, item: true, in_order: false };
    let mut template = leaf(chance);
    kind(chance, leaf, &mut template, inner);
    let mut alone = vec![template];
    name_branches(chance, &mut alone, 0, inner);
    let template = Box::new(alone.remove(0));
    let complete_when = complete_when(chance, None);
    let in_order = chance.percent(30);
    of_group(chance, MembersSpec::ForEach { list, template }, complete_when, in_order)
}

fn of_group<C: Chance>(
    chance: &mut C,
    members: MembersSpec,
    complete_when: CompleteWhen,
    in_order: bool,
) -> NodeKind {
    let max_parallel = chance.one_of(&[None, None, Some(1), Some(2)]);
    let group = GroupSpec { members, max_parallel, complete_when };
    if in_order { NodeKind::SequentialGroup(group) } else { NodeKind::ParallelGroup(group) }
}

/// `of`: how many there are, where that is known.
fn complete_when<C: Chance>(chance: &mut C, of: Option<u64>) -> CompleteWhen {
    let least = chance.number_below(of.unwrap_or(3).clamp(1, 3)) + 1;
    chance.one_of(&[
        CompleteWhen::All,
        CompleteWhen::All,
        CompleteWhen::All,
        CompleteWhen::Any,
        CompleteWhen::AtLeast(u32::try_from(least).unwrap_or(1)),
        CompleteWhen::TolerateCount(1),
        CompleteWhen::TolerateAtMostPercent(50),
    ])
}

/// The branches of a condition, which name nodes that depend on it.
fn name_branches<C: Chance>(chance: &mut C, nodes: &mut [NodeSpec], at: usize, within: Within) {
    if !matches!(nodes[at].kind, NodeKind::Condition { .. }) {
        return;
    }
    let (key, parents) = (nodes[at].key.clone(), nodes[at].depends_on.clone());
    let children: Vec<String> = nodes
        .iter()
        .filter(|node| node.depends_on.contains(&key))
        .map(|node| node.key.clone())
        .collect();
    let some = |chance: &mut C| -> Vec<String> {
        children.iter().filter(|_| chance.percent(50)).cloned().collect()
    };
    let many = 1 + chance.number_below(3);
    let branches = (0..many)
        .map(|_| BranchSpec { when: predicate(chance, &parents, within.item), then: some(chance) })
        .collect();
    let default = some(chance);
    nodes[at].kind = NodeKind::Condition { branches, default };
}

fn cleanups<C: Chance>(chance: &mut C, leaf: &mut impl Leaves<C>, nodes: &mut Vec<NodeSpec>) {
    let many = chance.one_of(&[0, 0, 1, 2, 3]);
    let others: Vec<String> = nodes.iter().map(|node| node.key.clone()).collect();
    for at in 0..many {
        let mut parents: Vec<String> = (0..at).map(|before| format!("c{before}")).collect();
        parents.retain(|_| chance.percent(40));
        let run_on = [RunOn::Always, RunOn::Success, RunOn::Failure, RunOn::Cancel];
        let run_on = run_on.into_iter().filter(|_| chance.percent(35)).collect();
        let of = chance.one_of(&others);
        let input = chance.one_of(&[
            "{\"a\": 1}".to_owned(),
            "\"${{ job.status }} ${{ job.error }}\"".to_owned(),
            format!("[\"${{{{ job.status }}}}\", \"${{{{ nodes.{of}.output }}}}\"]"),
        ]);
        nodes.push(NodeSpec {
            key: format!("c{at}"),
            depends_on: parents,
            kind: NodeKind::Cleanup { run_on, affects_outcome: chance.percent(25) },
            input: raw(&input),
            ..leaf(chance)
        });
    }
}
