//! From what a caller asks to a checked specification: every bound, every reference, every edge. Work that needs only
//! the request, done before the committer. All that is wrong is said at once, up to 100 errors.

mod expressions;
mod fields;
mod kinds;
mod names;
mod node_patch;
mod patch;
mod retries;
mod tree;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::bounds::{self, Bounds};
use crate::ids::{ActionType, EnvironmentName, Millis, NodeKey, QueueName};
use crate::job::plan::{
    About, CheckedSpec, MoreOfNode, NodeFlow, Plan, PlanKind, PlanNode, Predicate, share_names,
};
use crate::job::spec::{CompleteWhen, JobSpec};
use crate::node::edges::{EdgeNode, check_edges};
use crate::node::graph::Graph;
use crate::node::spec::{DependencyCondition, NodeSpec, Timeouts};
use crate::payload::{Payload, PayloadBytes};
use crate::refusal::FieldError;
use crate::retry::named::NamedPolicies;

use self::expressions::KnownInput;
use self::names::{Namer, NodeNames};
pub(crate) use self::node_patch::checked_input;
pub use self::node_patch::{check_node_patch, node_patch_policies};
pub use self::patch::check_patch;
use self::retries::PolicyTable;
use self::tree::{Flat, SpecTree};

/// Errors that one answer lists; more help nobody.
pub const FIELD_ERRORS_MAX: usize = 100;

/// What a check knows beside the request.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// Limits that an operator may change.
    pub bounds: Bounds,
    /// Queue time-out of nodes that name none, milliseconds; none: they wait for ever.
    pub queue_timeout_ms: Option<u64>,
    /// The engine's clock.
    pub now: Millis,
}

/// Checks a submission that names no kept policies.
///
/// # Errors
/// Everything that is wrong, with a pointer into the request each.
pub fn check(spec: JobSpec, settings: &CheckSettings) -> Result<CheckedSpec, Vec<FieldError>> {
    check_with(spec, settings, &NamedPolicies::default())
}

/// Checks a submission whose references to kept policies were looked up.
///
/// # Errors
/// As [`check`], and each reference that stands for nothing.
pub fn check_with(
    mut spec: JobSpec,
    settings: &CheckSettings,
    named: &NamedPolicies,
) -> Result<CheckedSpec, Vec<FieldError>> {
    let mut check = Check::new(settings, spec.input.as_deref(), named);
    let about = check.about(&spec);
    check.job_fields(&spec);
    let environment = check.environment(spec.environment.as_deref());
    let resources = check.resources(std::mem::take(&mut spec.resources));
    let mut tree = SpecTree::of(std::mem::take(&mut spec.nodes), &mut check.errors);
    check.outermost(&mut tree, spec.complete_when);
    let graph = check.graph(&tree.nodes);
    let (retry, retry_named) = check.retry_of_job(spec.retry.take());
    let mut nodes: Vec<PlanNode> = Vec::with_capacity(tree.nodes.len());
    let mut output = spec.output.take();
    let mut output_flow = NodeFlow::default();
    if let Some(graph) = &graph {
        let inputs: Vec<Option<Box<RawValue>>> =
            tree.nodes.iter_mut().map(Flat::take_input).collect();
        let mut names = NodeNames::of(&tree.nodes, graph);
        for ((ix, flat), input) in (0_u32..).zip(&tree.nodes).zip(inputs) {
            nodes.extend(check.node(ix, flat, input, &tree.nodes, &mut names, graph));
            if check.errors.len() >= FIELD_ERRORS_MAX {
                break;
            }
        }
        output = output.and_then(|raw| {
            check.template("/output", raw, Namer::Job, &mut names, &mut output_flow)
        });
    }
    let input = check.input(spec.input.take());
    let output = check.payload("/output", output);
    let Check { mut errors, payloads, policies, .. } = check;
    let (Some(graph), Some(environment), true) = (graph, environment, errors.is_empty()) else {
        errors.truncate(FIELD_ERRORS_MAX);
        return Err(errors);
    };
    share_names(&mut nodes);
    let mut plan = Plan::empty();
    plan.job_type = spec.job_type;
    plan.input = input;
    plan.triggered_by = spec.triggered_by;
    plan.start = spec.start;
    plan.estimated_duration_ms = spec.estimated_duration_ms;
    plan.environment = environment;
    plan.resources = resources;
    plan.max_parallel = spec.max_parallel;
    plan.fail_fast = spec.fail_fast;
    plan.complete_when = spec.complete_when;
    plan.complete_early = spec.complete_early;
    plan.cleanup_timeout_ms = spec.cleanup_timeout_ms;
    plan.retry = retry;
    plan.retry_named = retry_named;
    plan.policies = policies.into_kept();
    plan.queue_timeout_ms = settings.queue_timeout_ms;
    plan.output = output;
    plan.output_flow = output_flow.computes_input.then(|| Box::new(output_flow));
    plan.has_nodes(nodes, tree.templates, graph);
    Ok(CheckedSpec {
        about,
        plan: Arc::new(plan),
        scheduled_at: spec.scheduled_at,
        timeout_ms: spec.timeout_ms,
        payloads,
    })
}

struct Check<'a> {
    settings: &'a CheckSettings,
    errors: Vec<FieldError>,
    payloads: Vec<PayloadBytes>,
    policies: PolicyTable<'a>,
    known: KnownInput,
}

impl<'a> Check<'a> {
    fn new(
        settings: &'a CheckSettings,
        input: Option<&RawValue>,
        named: &'a NamedPolicies,
    ) -> Self {
        Self {
            settings,
            errors: Vec::new(),
            payloads: Vec::new(),
            policies: PolicyTable::of(named),
            known: KnownInput::of(input),
        }
    }
}

impl Check<'_> {
    fn about(&mut self, spec: &JobSpec) -> About {
        self.line("/name", &spec.name, 1, bounds::NAME_CHARS_MAX);
        if let Some(description) = &spec.description {
            self.text("/description", description, 0, bounds::DESCRIPTION_CHARS_MAX);
        }
        self.priority("/priority", spec.priority);
        self.metadata("/metadata", &spec.metadata);
        About {
            name: spec.name.clone(),
            description: spec.description.clone(),
            priority: spec.priority.unwrap_or(5),
            tags: self.tags("/tags", &spec.tags),
            metadata: spec.metadata.clone(),
        }
    }

    fn job_fields(&mut self, spec: &JobSpec) {
        if let Some(job_type) = &spec.job_type {
            self.line("/job_type", job_type, 1, bounds::JOB_TYPE_CHARS_MAX);
        }
        if let Some(by) = &spec.triggered_by {
            self.line("/triggered_by", by, 1, bounds::NAME_CHARS_MAX);
        }
        self.scheduled_at(spec.scheduled_at);
        self.timeout("/timeout_ms", spec.timeout_ms);
        self.estimate("/estimated_duration_ms", spec.estimated_duration_ms);
        if spec.max_parallel == Some(0) {
            self.error("/max_parallel", "out_of_range", "must be at least 1");
        }
        self.timeout("/cleanup_timeout_ms", spec.cleanup_timeout_ms);
    }

    /// The nodes that no group has: what the job's success is counted over, and what a cleanup stands behind by itself.
    fn outermost(&mut self, tree: &mut SpecTree, condition: CompleteWhen) {
        let outermost = tree.nodes.iter().filter(|node| node.container.is_none());
        let counted = outermost.filter(|node| !node.is_cleanup()).count();
        self.complete_when("", condition, Some(counted), "nodes");
        if counted == 0 && !tree.nodes.is_empty() {
            self.error("/nodes", "required", "must have at least one node that is no cleanup");
        }
        let cleanups: BTreeSet<String> = tree
            .nodes
            .iter()
            .filter(|node| node.is_cleanup())
            .map(|node| node.spec.key.clone())
            .collect();
        if cleanups.is_empty() {
            return;
        }
        let others: BTreeSet<String> = tree
            .nodes
            .iter()
            .filter(|node| node.container.is_none() && !node.is_cleanup())
            .map(|node| node.spec.key.clone())
            .collect();
        for node in &mut tree.nodes {
            if node.is_cleanup() {
                // All others have ended when cleanups run: only one another they wait for.
                node.spec.depends_on.retain(|key| !others.contains(key));
                continue;
            }
            if node.container.is_some() {
                continue;
            }
            for (place, key) in node.spec.depends_on.iter().enumerate() {
                if cleanups.contains(key) {
                    self.error(
                        &format!("{}/depends_on/{place}", node.at),
                        "invalid_value",
                        "a cleanup runs when all other nodes have ended; only cleanups can depend on it",
                    );
                }
            }
        }
    }

    fn environment(&mut self, name: Option<&str>) -> Option<EnvironmentName> {
        let Some(name) = name else { return Some(EnvironmentName::default_environment()) };
        EnvironmentName::parse_given(name)
            .map_err(|error| self.errors.push(FieldError::id("/environment", &error)))
            .ok()
    }

    fn graph(&mut self, nodes: &[Flat]) -> Option<Graph> {
        if nodes.is_empty() {
            self.error("/nodes", "required", "must have at least one node");
            return None;
        }
        let edges: Vec<EdgeNode<'_>> = nodes
            .iter()
            .map(|node| EdgeNode {
                key: &node.spec.key,
                depends_on: &node.spec.depends_on,
                at: &node.at,
                container: node.container,
            })
            .collect();
        check_edges(&edges, &self.settings.bounds).map_err(|errors| self.errors.extend(errors)).ok()
    }

    fn node(
        &mut self,
        ix: u32,
        flat: &Flat,
        input: Option<Box<RawValue>>,
        nodes: &[Flat],
        names: &mut NodeNames<'_>,
        graph: &Graph,
    ) -> Option<PlanNode> {
        let (at, spec) = (flat.at.as_str(), &flat.spec);
        // The key of a template is not used: its copies are named by their items.
        let key = if flat.is_template { "item" } else { spec.key.as_str() };
        let key = NodeKey::parse(key)
            .map_err(|e| self.errors.push(FieldError::id(format!("{at}/key"), &e)));
        let queue = match &spec.queue {
            None => Ok(QueueName::default_queue()),
            Some(queue) => QueueName::parse_given(queue)
                .map_err(|e| self.errors.push(FieldError::id(format!("{at}/queue"), &e))),
        };
        let action_type = spec.action_type.as_ref().and_then(|action| {
            let parsed = ActionType::parse(action);
            parsed
                .map_err(|e| self.errors.push(FieldError::id(format!("{at}/action_type"), &e)))
                .ok()
        });
        let more = self.more(at, spec);
        let mut flow = NodeFlow::default();
        flow.when = self.when(ix, flat, names, &mut flow);
        let mut kind = self.kind(ix, nodes, names, graph, &mut flow);
        let field = flat.input_field();
        let input = input.and_then(|raw| {
            self.template(&format!("{at}/{field}"), raw, Namer::Node(ix), names, &mut flow)
        });
        if let Some(PlanKind::Group(group)) = kind.as_deref_mut()
            && let Some(list) = input.as_ref().filter(|_| !flow.computes_input)
        {
            group.items = self.items(at, list.get());
        }
        let input = self.payload(&format!("{at}/{field}"), input);
        Some(PlanNode {
            key: key.ok()?,
            queue: queue.ok()?,
            action_type,
            input,
            parents: graph.parents(ix).into(),
            condition: spec.dependency_condition,
            skip_on_failure: spec.skip_on_failure,
            optional: spec.optional,
            at_most_once: spec.at_most_once,
            container: flat.container,
            kind,
            flow: (flow != NodeFlow::default()).then(|| Box::new(flow)),
            more,
        })
    }

    fn when(
        &mut self,
        ix: u32,
        flat: &Flat,
        names: &mut NodeNames<'_>,
        flow: &mut NodeFlow,
    ) -> Option<Predicate> {
        let at = format!("{}/when", flat.at);
        match (flat.spec.dependency_condition, &flat.spec.when) {
            (DependencyCondition::Conditional, Some(when)) => {
                self.predicate(&at, when, Namer::Node(ix), names, flow)
            }
            (DependencyCondition::Conditional, None) => {
                self.error(&at, "required", "a conditional node says when it runs: \"${{ ... }}\"");
                None
            }
            (DependencyCondition::All | DependencyCondition::Any, Some(_)) => {
                self.error(
                    &at,
                    "invalid_value",
                    "is read with dependency_condition conditional only",
                );
                None
            }
            (DependencyCondition::All | DependencyCondition::Any, None) => None,
        }
    }

    fn more(&mut self, at: &str, spec: &NodeSpec) -> Option<Box<MoreOfNode>> {
        if let Some(name) = &spec.name {
            self.line(&format!("{at}/name"), name, 1, bounds::NAME_CHARS_MAX);
        }
        self.priority(&format!("{at}/priority"), spec.priority);
        self.estimate(&format!("{at}/estimated_duration_ms"), spec.estimated_duration_ms);
        let Timeouts { queue_ms, attempt_ms, total_ms } = spec.timeouts;
        for (name, ms) in
            [("queue_ms", queue_ms), ("attempt_ms", attempt_ms), ("total_ms", total_ms)]
        {
            if ms.is_some() {
                self.timeout(&format!("{at}/timeouts/{name}"), ms);
            }
        }
        let (retry, retry_named) = self.retry(&format!("{at}/retry"), spec.retry.clone());
        let tags = self.tags(&format!("{at}/tags"), &spec.tags);
        self.metadata(&format!("{at}/metadata"), &spec.metadata);
        let more = MoreOfNode {
            name: spec.name.clone(),
            priority: spec.priority,
            estimated_duration_ms: spec.estimated_duration_ms,
            timeouts: spec.timeouts,
            retry,
            retry_named,
            tags,
            metadata: spec.metadata.clone(),
        };
        (more != MoreOfNode::default()).then(|| Box::new(more))
    }

    fn payload(&mut self, at: &str, raw: Option<Box<RawValue>>) -> Option<Payload> {
        let raw = raw?;
        let most = self.settings.bounds.payload_bytes_max;
        if raw.get().len() > most {
            self.errors.push(FieldError::new(
                at,
                "too_large",
                format!("must be at most {most} bytes of JSON"),
            ));
            return None;
        }
        Some(Payload::new(raw, &mut self.payloads))
    }
}
