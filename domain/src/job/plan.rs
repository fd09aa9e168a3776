//! What of a job never changes after its submission: a checked specification. Only `check` builds one from a
//! caller's specification; it also comes back from the job's first event, and from an engine that checked it and passes it on.

mod changed;
mod kept;
mod layout;
mod node;
mod policies;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::{ActionType, EnvironmentName, Millis, QueueName};
use crate::job::spec::{CompleteWhen, Start};
use crate::node::graph::Graph;
use crate::node::spec::Timeouts;
use crate::payload::{Payload, PayloadBytes};
use crate::retry::named::NamedPolicy;
use crate::retry::policy::RetryPolicy;

pub use self::changed::{ChangedNode, NodeField};
use self::kept::{KeptParts, kept_of};
use self::layout::MemberRows;
pub use self::layout::{Expansion, NodePlace};
pub use self::node::{
    MoreOfNode, NodeFlow, PlanBranch, PlanCleanup, PlanCondition, PlanGroup, PlanKind, PlanNode,
    Predicate, Read, Taken, TemplateRange,
};
use self::policies::PlanError;
pub use self::policies::PolicyInPlan;

/// A checked submission: what goes into the first event and the payloads it names.
#[derive(Debug, Clone)]
pub struct CheckedSpec {
    pub(crate) about: About,
    pub(crate) plan: Arc<Plan>,
    pub(crate) scheduled_at: Option<Millis>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) payloads: Vec<PayloadBytes>,
}

impl CheckedSpec {
    /// Where the job wants to be admitted.
    pub fn environment(&self) -> &EnvironmentName {
        &self.plan.environment
    }

    /// What it takes of its environment.
    pub fn resources(&self) -> &BTreeMap<String, u64> {
        &self.plan.resources
    }

    /// The queue of each node, those of templates included.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &QueueName> {
        self.plan.nodes.iter().map(|node| &node.queue)
    }

    /// How many nodes it has before any group goes over its list.
    pub fn node_count(&self) -> usize {
        self.plan.initial as usize
    }
}

/// What people may still change while a job lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub name: String,
    /// Up to 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Unique, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, ExactJson>,
}

/// What never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredPlan")]
pub struct Plan {
    /// The job's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// The job's input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// What lets it start.
    #[serde(skip_serializing_if = "is_default")]
    pub start: Start,
    /// Counted in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_duration_ms: Option<u64>,
    /// Where it is admitted.
    pub environment: EnvironmentName,
    /// What it takes there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// Nodes ready or running at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The first required failure ends the job.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_fast: bool,
    /// The success condition.
    #[serde(skip_serializing_if = "is_default")]
    pub complete_when: CompleteWhen,
    /// The job ends, and cancels the rest, as soon as its success condition is decided.
    #[serde(skip_serializing_if = "is_default")]
    pub complete_early: bool,
    /// How long all cleanups together may take, milliseconds; absent: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_timeout_ms: Option<u64>,
    /// For nodes without one of their own; absent: [`RetryPolicy::default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// The same, by its place among `policies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_named: Option<u32>,
    /// The policies that the job and its nodes name, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Arc<NamedPolicy>>,
    /// Queue time-out of nodes that name none, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// The output, with expressions where `output_flow` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// What the output's expressions read; none: it has no expression that is still to be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_flow: Option<Box<NodeFlow>>,
    /// In the caller's order, each group before its members; behind them those of templates.
    pub nodes: Arc<[PlanNode]>,
    /// How many of the nodes, the last, are templates'.
    #[serde(skip_serializing_if = "is_default")]
    pub templates: u32,
    /// How many are not: they have the first positions. Derived.
    #[serde(skip)]
    pub(crate) initial: u32,
    /// Members that came to be, in the order in which they did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Expansion>,
    /// Nodes that people changed after the submission, by position.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) changed: BTreeMap<u32, Arc<ChangedNode>>,
    /// How many such changes there were.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) changes: u32,
    /// The edges, both ways, by place in the plan. Derived from the nodes' parents.
    #[serde(skip)]
    pub graph: Arc<Graph>,
    /// Derived from the nodes' containers.
    #[serde(skip)]
    members: Arc<MemberRows>,
    /// Of which nodes the output, and of which the error, is read or is part of the job's output. Derived.
    #[serde(skip)]
    kept: Arc<[KeptParts]>,
    /// Whether nodes have priorities of their own. Derived: without any, the caller's order is the order of places.
    #[serde(skip)]
    pub(crate) own_priorities: bool,
}

impl Plan {
    /// A node's time-outs, with the job's default for the queue.
    pub fn timeouts_of(&self, node: &PlanNode) -> Timeouts {
        let own = node.more.as_ref().map(|more| more.timeouts).unwrap_or_default();
        Timeouts { queue_ms: own.queue_ms.or(self.queue_timeout_ms), ..own }
    }

    /// The position of the node with this path.
    pub fn position(&self, path: &str) -> Option<u32> {
        let mut found = None;
        for (depth, step) in path.split('/').enumerate() {
            let (key, items) = step.split_at(step.find('[').unwrap_or(step.len()));
            let named = |ix: &u32| self.node(*ix).key.as_str() == key;
            let mut at = match found {
                None if depth == 0 => {
                    let mut own = 0..self.initial;
                    own.find(|ix| named(ix) && self.nodes[*ix as usize].container.is_none())?
                }
                None => return None,
                Some(group) => self.declared_members(group).find(named)?,
            };
            for item in items.split_inclusive(']') {
                let item = item.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
                let expansion = self.added.iter().rev().find(|expansion| expansion.group == at)?;
                at = (item < expansion.count).then(|| expansion.member(item))?;
            }
            found = Some(at);
        }
        found
    }

    /// Whether an expression reads the node's output, or that of a group around it.
    pub(crate) fn reads_output(&self, ix: u32) -> bool {
        self.kept[self.place(ix).node as usize].output_read
    }

    /// Whether the node's output is a part of the job's own, which nothing else gives.
    pub(crate) fn is_part_of_output(&self, ix: u32) -> bool {
        self.kept[self.place(ix).node as usize].part_of_output
    }

    /// Whether the node's error is kept while the job lives: something reads it, a failure of it may be handled while
    /// another is not, or it is a group, whose error is that of a member.
    pub(crate) fn keeps_error(&self, ix: u32) -> bool {
        let kept = &self.kept[self.place(ix).node as usize];
        kept.error_read || kept.may_be_handled || self.node(ix).group().is_some()
    }

    /// Whether a node that depends on it runs because of its failure.
    pub(crate) fn may_be_handled(&self, ix: u32) -> bool {
        self.kept[self.place(ix).node as usize].may_be_handled
    }
}

/// The stored form, without what is derived.
#[derive(Deserialize)]
struct StoredPlan {
    job_type: Option<String>,
    input: Option<Payload>,
    triggered_by: Option<String>,
    #[serde(default)]
    start: Start,
    estimated_duration_ms: Option<u64>,
    environment: EnvironmentName,
    #[serde(default)]
    resources: BTreeMap<String, u64>,
    max_parallel: Option<u32>,
    #[serde(default)]
    fail_fast: bool,
    #[serde(default)]
    complete_when: CompleteWhen,
    #[serde(default)]
    complete_early: bool,
    cleanup_timeout_ms: Option<u64>,
    retry: Option<Arc<RetryPolicy>>,
    retry_named: Option<u32>,
    #[serde(default)]
    policies: Vec<Arc<NamedPolicy>>,
    queue_timeout_ms: Option<u64>,
    output: Option<Payload>,
    output_flow: Option<Box<NodeFlow>>,
    nodes: Vec<PlanNode>,
    #[serde(default)]
    templates: u32,
    #[serde(default)]
    added: Vec<Expansion>,
    #[serde(default)]
    changed: BTreeMap<u32, Arc<ChangedNode>>,
    #[serde(default)]
    changes: u32,
}

impl TryFrom<StoredPlan> for Plan {
    type Error = PlanError;

    fn try_from(stored: StoredPlan) -> Result<Self, PlanError> {
        let mut nodes = stored.nodes;
        share_names(&mut nodes);
        let parents: Vec<Vec<u32>> = nodes.iter().map(|node| node.parents.to_vec()).collect();
        let graph = Graph::build(&parents)?;
        let mut plan = Self {
            job_type: stored.job_type,
            input: stored.input,
            triggered_by: stored.triggered_by,
            start: stored.start,
            estimated_duration_ms: stored.estimated_duration_ms,
            environment: stored.environment,
            resources: stored.resources,
            max_parallel: stored.max_parallel,
            fail_fast: stored.fail_fast,
            complete_when: stored.complete_when,
            complete_early: stored.complete_early,
            cleanup_timeout_ms: stored.cleanup_timeout_ms,
            retry: stored.retry,
            retry_named: stored.retry_named,
            policies: stored.policies,
            queue_timeout_ms: stored.queue_timeout_ms,
            output: stored.output,
            output_flow: stored.output_flow,
            added: stored.added,
            ..Self::empty()
        };
        plan.has_nodes(nodes, stored.templates, graph);
        plan.takes_changed(stored.changed, stored.changes);
        if plan.policies_are_there() { Ok(plan) } else { Err(PlanError::Policy) }
    }
}

impl Plan {
    /// Of nothing yet.
    pub(crate) fn empty() -> Self {
        Self {
            job_type: None,
            input: None,
            triggered_by: None,
            start: Start::default(),
            estimated_duration_ms: None,
            environment: EnvironmentName::default_environment(),
            resources: BTreeMap::new(),
            max_parallel: None,
            fail_fast: false,
            complete_when: CompleteWhen::default(),
            complete_early: false,
            cleanup_timeout_ms: None,
            retry: None,
            retry_named: None,
            policies: Vec::new(),
            queue_timeout_ms: None,
            output: None,
            output_flow: None,
            nodes: Arc::default(),
            templates: 0,
            initial: 0,
            added: Vec::new(),
            changed: BTreeMap::new(),
            changes: 0,
            graph: Arc::default(),
            members: Arc::default(),
            kept: Arc::default(),
            own_priorities: false,
        }
    }

    /// Takes its nodes, whose graph was built, and derives the rest from them.
    pub(crate) fn has_nodes(&mut self, nodes: Vec<PlanNode>, templates: u32, graph: Graph) {
        self.own_priorities = have_own_priorities(&nodes);
        self.members = Arc::new(MemberRows::of(&nodes));
        let by_default = self.output.is_none();
        self.kept = kept_of(&nodes, self.output_flow.as_deref(), &graph, by_default);
        self.templates = templates;
        self.initial = u32::try_from(nodes.len()).unwrap_or(u32::MAX).saturating_sub(templates);
        self.graph = Arc::new(graph);
        self.nodes = nodes.into();
    }
}

/// Whether any node has a priority of its own.
fn have_own_priorities(nodes: &[PlanNode]) -> bool {
    nodes.iter().any(|node| node.more.as_ref().is_some_and(|more| more.priority.is_some()))
}

/// Nodes of one job mostly share queue and action type: one text each instead of one a node.
pub(crate) fn share_names(nodes: &mut [PlanNode]) {
    let mut queues: BTreeSet<QueueName> = BTreeSet::new();
    let mut actions: BTreeSet<ActionType> = BTreeSet::new();
    for node in nodes {
        match queues.get(&node.queue) {
            Some(shared) => node.queue = shared.clone(),
            None => _ = queues.insert(node.queue.clone()),
        }
        let Some(action) = &mut node.action_type else { continue };
        match actions.get(action) {
            Some(shared) => *action = shared.clone(),
            None => _ = actions.insert(action.clone()),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
