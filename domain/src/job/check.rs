//! From what a caller asks to a checked specification: every bound, every reference, every edge. Work that needs only
//! the request, done before the committer. All that is wrong is said at once, up to 100 errors.

mod fields;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::bounds::{self, Bounds};
use crate::ids::{ActionType, EnvironmentName, Millis, NodeKey, QueueName};
use crate::job::fact::Patch;
use crate::job::plan::{
    About, CheckedSpec, MoreOfNode, Plan, PlanNode, have_own_priorities, share_names,
};
use crate::job::spec::{CompleteWhen, JobSpec};
use crate::node::graph::{Graph, check_edges};
use crate::node::spec::{NodeKind, NodeSpec, Timeouts};
use crate::payload::{Payload, PayloadBytes};
use crate::refusal::FieldError;
use crate::retry::policy::RetryPolicy;

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

/// Checks a submission.
///
/// # Errors
/// Everything that is wrong, with a pointer into the request each.
pub fn check(spec: JobSpec, settings: &CheckSettings) -> Result<CheckedSpec, Vec<FieldError>> {
    let mut check = Check { settings, errors: Vec::new(), payloads: Vec::new() };
    let about = check.about(&spec);
    check.job_fields(&spec);
    let environment = check.environment(spec.environment.as_deref());
    let resources = check.resources(spec.resources);
    let graph = check.graph(&spec.nodes);
    let mut positions: BTreeMap<String, u32> = BTreeMap::new();
    for (ix, node) in (0u32..).zip(&spec.nodes) {
        positions.entry(node.key.clone()).or_insert(ix);
    }
    let input = check.payload("/input", spec.input);
    let output = check.payload("/output", spec.output);
    check.policy("/retry", spec.retry.as_ref());
    let mut nodes: Vec<PlanNode> = Vec::with_capacity(spec.nodes.len());
    for (ix, node) in spec.nodes.into_iter().enumerate() {
        nodes.extend(check.node(ix, node, &positions));
        if check.errors.len() >= FIELD_ERRORS_MAX {
            break;
        }
    }
    let Check { mut errors, payloads, .. } = check;
    let (Some(graph), Some(environment), true) = (graph, environment, errors.is_empty()) else {
        errors.truncate(FIELD_ERRORS_MAX);
        return Err(errors);
    };
    share_names(&mut nodes);
    let own_priorities = have_own_priorities(&nodes);
    let plan = Plan {
        job_type: spec.job_type,
        input,
        triggered_by: spec.triggered_by,
        start: spec.start,
        estimated_duration_ms: spec.estimated_duration_ms,
        environment,
        resources,
        max_parallel: spec.max_parallel,
        fail_fast: spec.fail_fast,
        complete_when: spec.complete_when,
        retry: spec.retry.map(Arc::new),
        queue_timeout_ms: settings.queue_timeout_ms,
        output,
        nodes,
        graph,
        own_priorities,
    };
    Ok(CheckedSpec {
        about,
        plan: Arc::new(plan),
        scheduled_at: spec.scheduled_at,
        timeout_ms: spec.timeout_ms,
        payloads,
    })
}

/// Checks a PATCH.
///
/// # Errors
/// Everything that is wrong, with a pointer into the request each.
pub fn check_patch(patch: &Patch, settings: &CheckSettings) -> Result<(), Vec<FieldError>> {
    let mut check = Check { settings, errors: Vec::new(), payloads: Vec::new() };
    if let Some(name) = &patch.name {
        check.line("/name", name, 1, bounds::NAME_CHARS_MAX);
    }
    if let Some(Some(description)) = &patch.description {
        check.text("/description", description, 0, bounds::DESCRIPTION_CHARS_MAX);
    }
    if let Some(tags) = &patch.tags {
        check.tags("/tags", tags);
    }
    check.priority("/priority", patch.priority);
    if let Some(metadata) = &patch.metadata {
        check.metadata("/metadata", metadata);
    }
    check.scheduled_at(patch.scheduled_at.flatten());
    check.timeout("/timeout_ms", patch.timeout_ms.flatten());
    if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
}

struct Check<'a> {
    settings: &'a CheckSettings,
    errors: Vec<FieldError>,
    payloads: Vec<PayloadBytes>,
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
        match spec.complete_when {
            CompleteWhen::AtLeast(least) if least == 0 || least as usize > spec.nodes.len() => {
                self.error(
                    "/complete_when/at_least",
                    "out_of_range",
                    "must be between 1 and the number of nodes",
                );
            }
            CompleteWhen::TolerateAtMostPercent(percent) if percent > 100 => {
                self.error(
                    "/complete_when/tolerate/percent",
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

    fn environment(&mut self, name: Option<&str>) -> Option<EnvironmentName> {
        let Some(name) = name else { return Some(EnvironmentName::default_environment()) };
        EnvironmentName::parse_given(name)
            .map_err(|error| self.errors.push(FieldError::id("/environment", &error)))
            .ok()
    }

    fn graph(&mut self, nodes: &[NodeSpec]) -> Option<Graph> {
        if nodes.is_empty() {
            self.error("/nodes", "required", "must have at least one node");
            return None;
        }
        let keys: Vec<&str> = nodes.iter().map(|node| node.key.as_str()).collect();
        let depends_on: Vec<&[String]> =
            nodes.iter().map(|node| node.depends_on.as_slice()).collect();
        check_edges(&keys, &depends_on, &self.settings.bounds)
            .map_err(|errors| self.errors.extend(errors))
            .ok()
    }

    fn node(
        &mut self,
        ix: usize,
        spec: NodeSpec,
        positions: &BTreeMap<String, u32>,
    ) -> Option<PlanNode> {
        let at = format!("/nodes/{ix}");
        if !matches!(spec.kind, NodeKind::Task) {
            let message = format!(
                "nodes of type {} are not available yet; use task",
                spec.kind.node_type().as_str()
            );
            self.errors.push(FieldError::new(
                format!("{at}/type"),
                "node_type_not_available",
                message,
            ));
        }
        let key = NodeKey::parse(&spec.key)
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
        let more = self.more(&at, &spec);
        let input = self.payload(&format!("{at}/input"), spec.input);
        let parents =
            spec.depends_on.iter().filter_map(|parent| positions.get(parent).copied()).collect();
        Some(PlanNode {
            key: key.ok()?,
            queue: queue.ok()?,
            action_type,
            input,
            parents,
            condition: spec.dependency_condition,
            skip_on_failure: spec.skip_on_failure,
            optional: spec.optional,
            at_most_once: spec.at_most_once,
            more,
        })
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
        self.policy(&format!("{at}/retry"), spec.retry.as_ref());
        let tags = self.tags(&format!("{at}/tags"), &spec.tags);
        self.metadata(&format!("{at}/metadata"), &spec.metadata);
        let more = MoreOfNode {
            name: spec.name.clone(),
            priority: spec.priority,
            estimated_duration_ms: spec.estimated_duration_ms,
            timeouts: spec.timeouts,
            retry: spec.retry.clone().map(Arc::new),
            tags,
            metadata: spec.metadata.clone(),
        };
        (more != MoreOfNode::default()).then(|| Box::new(more))
    }

    fn policy(&mut self, at: &str, policy: Option<&RetryPolicy>) {
        if let Some(policy) = policy {
            self.errors.extend(policy.check(at));
        }
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
