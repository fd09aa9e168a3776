//! A node as it stands in a submission. Only `task` with a worker is available; what belongs to the other seven
//! types is recognised, so that the answer is `node_type_not_available` and never "unknown field".
//! Hazard: a tagged enum would buffer the node and lose its raw input, hence one flat struct.

use std::collections::BTreeMap;
use std::fmt;

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::node::spec::{DependencyCondition, NodeKind, NodeSpec, NodeType, Timeouts};
use domain::refusal::FieldError;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::later::{self, Later};
use super::payload;
use super::retry::RetryBody;
use crate::http::extract::bounded;
use crate::http::problem::ERRORS_MAX;

/// One step of a job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Node)]
pub struct NodeBody {
    /// Names the node inside its job.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", examples("build"))]
    key: String,
    /// Free text that only people read.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// What the node does.
    #[serde(default, rename = "type")]
    #[schema(value_type = AvailableNodeType, default = "task")]
    node_type: NodeType,
    /// Where it waits for a worker; absent: `default`.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    queue: Option<String>,
    /// What kind of work it is, as workers know it.
    #[schema(max_length = 100)]
    action_type: Option<String>,
    /// Any JSON, at most 256 KiB and 64 levels deep.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<Box<RawValue>>,
    /// Keys of the nodes that come first.
    #[serde(default, deserialize_with = "bounded::parents")]
    #[schema(max_items = 5_000)]
    depends_on: Vec<String>,
    /// When they let this one start.
    #[serde(default)]
    dependency_condition: Condition,
    /// Skipped, instead of blocked, when one of them ended badly.
    #[serde(default)]
    skip_on_failure: bool,
    /// Its failure does not fail the job.
    #[serde(default)]
    optional: bool,
    /// 1 (highest) to 10; absent: the job's.
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<u8>,
    /// Weight in progress and estimates, milliseconds.
    #[schema(minimum = 0)]
    estimated_duration_ms: Option<u64>,
    /// How long its parts may take.
    #[serde(default)]
    timeouts: TimeoutsBody,
    /// Absent: the job's.
    retry: Option<RetryBody>,
    /// Never started again when it is not known whether it was done.
    #[serde(default)]
    at_most_once: bool,
    /// For people and filters; each 1-50 characters, all different.
    #[serde(default, deserialize_with = "bounded::list::<{ bounds::TAGS_MAX }, _, _>")]
    #[schema(max_items = 20)]
    tags: Vec<String>,
    /// Small facts; keys `[a-z0-9._/-]{1,63}`.
    #[serde(default, deserialize_with = "bounded::values")]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    metadata: BTreeMap<String, ExactJson>,
    /// Who executes it.
    executor: Option<Executor>,
    #[schema(ignore)]
    concurrency_key: Later,
    #[schema(ignore)]
    compensation: Later,
    #[schema(ignore)]
    resources: Later,
    #[schema(ignore)]
    http: Later,
    #[schema(ignore)]
    job: Later,
    #[schema(ignore)]
    branches: Later,
    #[schema(ignore)]
    default: Later,
    #[schema(ignore)]
    nodes: Later,
    #[schema(ignore)]
    for_each: Later,
    #[schema(ignore)]
    template: Later,
    #[schema(ignore)]
    max_parallel: Later,
    #[schema(ignore)]
    complete_when: Later,
    #[schema(ignore)]
    record: Later,
    #[schema(ignore)]
    hold: Later,
    #[schema(ignore)]
    to: Later,
    #[schema(ignore)]
    event_type: Later,
    #[schema(ignore)]
    data: Later,
    #[schema(ignore)]
    run_on: Later,
}

/// The node types of this version, for the document only.
#[derive(Debug, ToSchema)]
#[schema(as = NodeType, rename_all = "snake_case")]
pub enum AvailableNodeType {
    /// One unit of work for a worker.
    Task,
}

/// When a node's parents let it start.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DependencyCondition)]
pub enum Condition {
    /// All parents completed.
    #[default]
    All,
    /// The first completed parent is enough.
    Any,
    /// An expression decides; not available yet.
    Conditional,
}

/// Who executes a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// A worker that leases it.
    Worker,
    /// The engine; not available yet.
    Http,
}

/// Time-outs of a node in milliseconds, each 1 s to 30 days.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Timeouts)]
#[expect(clippy::struct_field_names, reason = "the names on the wire carry their unit")]
pub struct TimeoutsBody {
    /// From ready to leased.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    queue_ms: Option<u64>,
    /// From leased to reported.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    attempt_ms: Option<u64>,
    /// From first ready to settled, retries included.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_i64)]
    total_ms: Option<u64>,
}

/// The nodes of a job, each made into the domain's as it is read: read as they stand they take five times as much.
#[derive(Debug)]
pub struct Nodes {
    /// As they stand; fewer when there are errors.
    pub specs: Vec<NodeSpec>,
    /// What this layer alone can tell is wrong with them.
    pub errors: Vec<FieldError>,
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadNodes)
    }
}

struct ReadNodes;

impl<'de> Visitor<'de> for ReadNodes {
    type Value = Nodes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Nodes, A::Error> {
        let most = bounded::nodes_max();
        let mut nodes = Nodes { specs: Vec::new(), errors: Vec::new() };
        for position in 0..most {
            let Some(node) = items.next_element::<NodeBody>()? else { return Ok(nodes) };
            // More errors than are shown help nobody; the rest is still read for its shape.
            if nodes.errors.len() < ERRORS_MAX {
                let spec = node.into_spec(&format!("/nodes/{position}"), &mut nodes.errors);
                nodes.specs.push(spec);
            }
        }
        bounded::at_end::<A>(&mut items, || format!("{}{most} nodes", bounded::TOO_MANY))?;
        Ok(nodes)
    }
}

impl NodeBody {
    /// The domain's unchecked spec. `at` is where the node stands in the body.
    pub fn into_spec(self, at: &str, errors: &mut Vec<FieldError>) -> NodeSpec {
        self.refuse_later(at, errors);
        payload::check(self.input.as_deref(), &format!("{at}/input"), errors);
        let dependency_condition = match self.dependency_condition {
            Condition::All => DependencyCondition::All,
            Condition::Any => DependencyCondition::Any,
            Condition::Conditional => {
                errors.push(later::not_available(&format!("{at}/dependency_condition")));
                DependencyCondition::Conditional
            }
        };
        NodeSpec {
            key: self.key,
            name: self.name,
            queue: self.queue,
            action_type: self.action_type,
            input: payload::on_one_line(self.input),
            depends_on: self.depends_on,
            dependency_condition,
            when: None,
            kind: NodeKind::Task,
            skip_on_failure: self.skip_on_failure,
            optional: self.optional,
            priority: self.priority,
            estimated_duration_ms: self.estimated_duration_ms,
            timeouts: Timeouts {
                queue_ms: self.timeouts.queue_ms,
                attempt_ms: self.timeouts.attempt_ms,
                total_ms: self.timeouts.total_ms,
            },
            retry: self.retry.map(|retry| retry.into_policy(&format!("{at}/retry"), errors)),
            at_most_once: self.at_most_once,
            tags: self.tags,
            metadata: self.metadata,
        }
    }

    fn refuse_later(&self, at: &str, errors: &mut Vec<FieldError>) {
        let of_other_types = [
            ("job", &self.job),
            ("branches", &self.branches),
            ("default", &self.default),
            ("nodes", &self.nodes),
            ("for_each", &self.for_each),
            ("template", &self.template),
            ("max_parallel", &self.max_parallel),
            ("complete_when", &self.complete_when),
            ("record", &self.record),
            ("hold", &self.hold),
            ("to", &self.to),
            ("event_type", &self.event_type),
            ("data", &self.data),
            ("run_on", &self.run_on),
        ];
        if self.node_type == NodeType::Task {
            for (name, given) in of_other_types {
                if given.is_some() {
                    errors.push(FieldError::new(
                        format!("{at}/{name}"),
                        "unknown_field",
                        "a task has no such field",
                    ));
                }
            }
        } else {
            errors.push(FieldError::new(
                format!("{at}/type"),
                "node_type_not_available",
                format!("{} nodes are not available yet", self.node_type.as_str()),
            ));
        }
        if self.executor == Some(Executor::Http) {
            errors.push(later::not_available(&format!("{at}/executor")));
        }
        later::refuse(
            at,
            &[
                ("concurrency_key", &self.concurrency_key),
                ("compensation", &self.compensation),
                ("resources", &self.resources),
                ("http", &self.http),
            ],
            errors,
        );
    }
}
