//! What of a job never changes after its submission: a checked specification. Only `check` builds one from a
//! caller's specification; it also comes back from the job's first event, and from an engine that checked it and passes it on.

pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::exact_json::ExactJson;
use crate::ids::{ActionType, EnvironmentName, Millis, NodeKey, QueueName};
use crate::job::spec::{CompleteWhen, Start};
use crate::node::graph::{Graph, GraphError};
use crate::node::spec::{DependencyCondition, Timeouts};
use crate::payload::{Payload, PayloadBytes};
use crate::retry::policy::RetryPolicy;

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

    /// The queue of each node, in their order.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &QueueName> {
        self.plan.nodes.iter().map(|node| &node.queue)
    }

    /// How many nodes it has.
    pub fn node_count(&self) -> usize {
        self.plan.nodes.len()
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
    /// For nodes without one of their own; absent: [`RetryPolicy::default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// Queue time-out of nodes that name none, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// A literal output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// In the caller's order; a node's position is its number everywhere inside.
    pub nodes: Vec<PlanNode>,
    /// The edges, both ways. Derived from the nodes' parents.
    #[serde(skip)]
    pub graph: Graph,
    /// Whether nodes have priorities of their own. Derived: without any, the caller's order is the order of places.
    #[serde(skip)]
    pub(crate) own_priorities: bool,
}

/// A node of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanNode {
    /// Unique in the job.
    pub key: NodeKey,
    /// Where it is offered.
    pub queue: QueueName,
    /// What kind of work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_type: Option<ActionType>,
    /// JSON text as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// Positions of its parents.
    #[serde(default, skip_serializing_if = "<[u32]>::is_empty")]
    pub parents: Box<[u32]>,
    /// When its parents let it start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub condition: DependencyCondition,
    /// Skipped when a parent ended badly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip_on_failure: bool,
    /// Its failure does not fail the job.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// An unknown outcome pauses the job instead of running again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_most_once: bool,
    /// What most nodes do not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Box<MoreOfNode>>,
}

/// The rarer facts of a node, apart so that the others stay small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MoreOfNode {
    /// Free text that only people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1 (highest) to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Weight in progress and estimates, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration_ms: Option<u64>,
    /// Counted in milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// Its own retry policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// Unique, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, ExactJson>,
}

impl Plan {
    /// The policy that decides about a node's failures.
    pub fn retry_of(&self, node: &PlanNode) -> RetryPolicy {
        let own = node.more.as_ref().and_then(|more| more.retry.as_ref());
        own.or(self.retry.as_ref()).map(|policy| policy.as_ref().clone()).unwrap_or_default()
    }

    /// A node's time-outs, with the job's default for the queue.
    pub fn timeouts_of(&self, node: &PlanNode) -> Timeouts {
        let own = node.more.as_ref().map(|more| more.timeouts).unwrap_or_default();
        Timeouts { queue_ms: own.queue_ms.or(self.queue_timeout_ms), ..own }
    }

    /// The node with this key.
    pub fn position(&self, key: &str) -> Option<u32> {
        self.nodes
            .iter()
            .position(|node| node.key.as_str() == key)
            .and_then(|ix| u32::try_from(ix).ok())
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
    retry: Option<Arc<RetryPolicy>>,
    queue_timeout_ms: Option<u64>,
    output: Option<Payload>,
    nodes: Vec<PlanNode>,
}

impl TryFrom<StoredPlan> for Plan {
    type Error = GraphError;

    fn try_from(stored: StoredPlan) -> Result<Self, GraphError> {
        let mut nodes = stored.nodes;
        share_names(&mut nodes);
        let parents: Vec<Vec<u32>> = nodes.iter().map(|node| node.parents.to_vec()).collect();
        let graph = Graph::build(&parents)?;
        let own_priorities = have_own_priorities(&nodes);
        Ok(Self {
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
            retry: stored.retry,
            queue_timeout_ms: stored.queue_timeout_ms,
            output: stored.output,
            nodes,
            graph,
            own_priorities,
        })
    }
}

/// Whether any node has a priority of its own.
pub(crate) fn have_own_priorities(nodes: &[PlanNode]) -> bool {
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
