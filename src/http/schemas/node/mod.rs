//! A node as it stands in a submission, with the way into the domain's unchecked spec: what all types share is here,
//! what is one type's alone has a file. What belongs to types that are not available yet is recognised, so that the
//! answer is `node_type_not_available` and never "unknown field".
//! Hazard: a tagged enum would buffer the node and lose its raw input, hence one flat struct, and a table (`belongs`) of
//! the fields that each type has.

mod belongs;
mod checkpoint;
mod cleanup;
mod condition;
mod group;
mod list;
mod parents;
#[cfg(test)]
mod tests;
mod timeouts;

use std::collections::BTreeMap;

use domain::bounds;
use domain::exact_json::ExactJson;
use domain::node::spec::{BRANCHES_MAX, GroupSpec, NodeKind, NodeSpec, NodeType};
use domain::refusal::FieldError;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use self::cleanup::RunOnWord;
use self::condition::BranchBody;
use self::group::GroupFields;
pub use self::list::Nodes;
use self::list::{MemberTemplate, Members};
use self::parents::ParentsRule;
use self::timeouts::TimeoutsBody;
use super::complete_when::CompleteWhenBody;
use super::later::{self, Later};
use super::payload;
use super::retry::RetryBody;
use crate::http::extract::bounded;

/// One step of a job. Which fields a node has beside those that all have depends on its type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Node)]
pub struct NodeBody {
    /// Names the node inside its job or group. Of a template: not used, and may be left out.
    #[serde(default, deserialize_with = "given_key")]
    #[schema(value_type = String, required = true, pattern = "^[A-Za-z0-9_-]{1,64}$", examples("build"))]
    key: Option<String>,
    /// Free text that only people read.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// What the node does.
    #[serde(default, rename = "type")]
    #[schema(value_type = AvailableNodeType, default = "task")]
    node_type: NodeType,
    /// Of a task or cleanup: where it waits for a worker; absent: `default`.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    queue: Option<String>,
    /// Of a task or cleanup: what kind of work it is, as workers know it.
    #[schema(max_length = 100)]
    action_type: Option<String>,
    /// Of a task or cleanup: any JSON, at most 256 KiB and 64 levels deep. Texts may have expressions in `${{ }}`.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<Box<RawValue>>,
    /// Keys of the nodes that come first, in the same job or group.
    #[serde(default, deserialize_with = "bounded::parents")]
    #[schema(max_items = 5_000)]
    depends_on: Vec<String>,
    /// When they let this one start.
    #[serde(default)]
    #[schema(value_type = ConditionWord)]
    dependency_condition: ParentsRule,
    /// With `conditional`: one expression over the parents, that is true when this node runs.
    #[schema(examples("${{ nodes.charge.status == 'failed' }}"))]
    when: Option<String>,
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
    /// Of a task, cleanup or group: how long its parts may take.
    #[serde(default)]
    timeouts: TimeoutsBody,
    /// Of a task or cleanup; absent: the job's. Of a group: all its members run again; absent: they do not.
    retry: Option<Box<RetryBody>>,
    /// Of a task or cleanup: never started again when it is not known whether it was done.
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
    /// Of a task or cleanup: who executes it.
    executor: Option<Executor>,
    /// Of a condition, which must have them: the ways to go, in order.
    #[serde(default, deserialize_with = "bounded::given_list::<{ BRANCHES_MAX }, _, _>")]
    #[schema(min_items = 1, max_items = 100)]
    branches: Option<Vec<BranchBody>>,
    /// Of a condition: keys of the nodes that run when no branch holds; they depend on it.
    #[serde(default, deserialize_with = "bounded::given_named")]
    #[schema(max_items = 5_000)]
    default: Option<Vec<String>>,
    /// Of a group: its members, at most 8 groups in one another. All nodes of a job together are at most 20,000.
    #[schema(value_type = Option<Vec<NodeBody>>, no_recursion, min_items = 1, max_items = 20_000)]
    nodes: Option<Box<Members>>,
    /// Of a group, instead of `nodes` and with `template`: a list of at most 10,000 items, or one expression whose value
    /// is one. A member runs for each item.
    #[schema(value_type = Option<serde_json::Value>)]
    for_each: Option<Box<RawValue>>,
    /// Of a group with `for_each`: the node that runs for each item, which it reads as `item` and `index`.
    #[schema(value_type = Option<NodeBody>, no_recursion)]
    template: Option<Box<MemberTemplate>>,
    /// Of a parallel_group: members at work at once; absent: all.
    #[schema(minimum = 1)]
    max_parallel: Option<u32>,
    /// Of a group: when it is completed; absent: when no member failed unless it is optional. It ends, and cancels what
    /// is left of it, as soon as that is decided.
    complete_when: Option<CompleteWhenBody>,
    /// Of a checkpoint: what it records, any JSON. Texts may have expressions in `${{ }}`.
    #[schema(value_type = Option<serde_json::Value>)]
    record: Option<Box<RawValue>>,
    /// Of a cleanup: the ends of the job after which it runs; absent: always.
    #[serde(default, deserialize_with = "bounded::given_list::<{ cleanup::ENDS }, _, _>")]
    #[schema(min_items = 1, max_items = 4)]
    run_on: Option<Vec<RunOnWord>>,
    /// Of a cleanup: its failure fails a job that would be completed.
    #[serde(default)]
    affects_outcome: bool,
    #[schema(ignore)]
    concurrency_key: Later,
    #[schema(ignore)]
    compensation: Later,
    #[schema(ignore)]
    fallback: Later,
    #[schema(ignore)]
    resources: Later,
    #[schema(ignore)]
    http: Later,
    #[schema(ignore)]
    hold: Later,
    #[schema(ignore)]
    job: Later,
    #[schema(ignore)]
    to: Later,
    #[schema(ignore)]
    event_type: Later,
    #[schema(ignore)]
    data: Later,
}

/// The types of nodes that this version runs.
#[derive(Debug, ToSchema)]
#[schema(as = NodeType, rename_all = "snake_case")]
pub enum AvailableNodeType {
    /// One unit of work for a worker.
    Task,
    /// Takes the first branch that holds; what only the others lead to is skipped.
    Condition,
    /// Members run at once.
    ParallelGroup,
    /// Members run one after the other.
    SequentialGroup,
    /// Records named data.
    Checkpoint,
    /// One unit of work for a worker, after the job has ended.
    Cleanup,
}

/// When the parents of a node let it start.
#[derive(Debug, ToSchema)]
#[schema(as = DependencyCondition, rename_all = "snake_case")]
pub enum ConditionWord {
    /// All parents completed.
    All,
    /// The first completed parent is enough.
    Any,
    /// All parents have settled, and `when` is true.
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

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among the nodes of a job or the members of a group, where its key names it.
    List,
    /// Alone: what runs for each item.
    Template,
}

/// Reads a key that is given; null is none.
fn given_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl NodeBody {
    /// The domain's unchecked spec. `at` is where the node stands in the list or template that is read.
    fn into_spec(mut self, at: &str, place: Place, errors: &mut Vec<FieldError>) -> NodeSpec {
        self.refuse_what_is_not_its_own(at, errors);
        self.refuse_later(at, errors);
        let key = self.own_key(at, place, errors);
        if place == Place::Template && !self.depends_on.is_empty() {
            errors.push(FieldError::new(
                format!("{at}/depends_on"),
                "invalid_value",
                "a template stands alone: there is nothing that it can depend on",
            ));
        }
        payload::check(self.input.as_deref(), &format!("{at}/input"), errors);
        let dependency_condition =
            self.dependency_condition.into_rule(self.when.as_deref(), at, errors);
        let kind = self.take_kind(at, errors);
        NodeSpec {
            key,
            name: self.name,
            kind,
            queue: self.queue,
            action_type: self.action_type,
            input: self.input.map(payload::on_one_line),
            depends_on: self.depends_on,
            dependency_condition,
            when: self.when,
            skip_on_failure: self.skip_on_failure,
            optional: self.optional,
            priority: self.priority,
            estimated_duration_ms: self.estimated_duration_ms,
            timeouts: self.timeouts.into_rule(),
            retry: self.retry.map(|retry| retry.into_spec(&format!("{at}/retry"), errors)),
            at_most_once: self.at_most_once,
            tags: self.tags,
            metadata: self.metadata,
        }
    }

    /// What is its type's alone, taken out of it.
    fn take_kind(&mut self, at: &str, errors: &mut Vec<FieldError>) -> NodeKind {
        match self.node_type {
            NodeType::Task => NodeKind::Task,
            NodeType::Condition => {
                condition::into_kind(self.branches.take(), self.default.take(), at, errors)
            }
            NodeType::ParallelGroup => NodeKind::ParallelGroup(self.take_group(at, errors)),
            NodeType::SequentialGroup => NodeKind::SequentialGroup(self.take_group(at, errors)),
            NodeType::Checkpoint => {
                checkpoint::into_kind(self.record.take(), self.hold, at, errors)
            }
            NodeType::Cleanup => {
                cleanup::into_kind(self.run_on.take(), self.affects_outcome, at, errors)
            }
            NodeType::SubJob => NodeKind::SubJob,
            NodeType::Notification => NodeKind::Notification,
        }
    }

    fn take_group(&mut self, at: &str, errors: &mut Vec<FieldError>) -> GroupSpec {
        let fields = GroupFields {
            nodes: self.nodes.take(),
            for_each: self.for_each.take(),
            template: self.template.take(),
            max_parallel: self.max_parallel,
            complete_when: self.complete_when.take(),
        };
        fields.into_spec(at, errors)
    }

    /// The key by which it is named.
    fn own_key(&mut self, at: &str, place: Place, errors: &mut Vec<FieldError>) -> String {
        match (place, self.key.take()) {
            (Place::List, Some(key)) => key,
            (Place::List, None) => {
                errors.push(FieldError::new(format!("{at}/key"), "required", "is required"));
                String::new()
            }
            (Place::Template, _) => String::new(),
        }
    }

    fn refuse_later(&self, at: &str, errors: &mut Vec<FieldError>) {
        if matches!(self.node_type, NodeType::SubJob | NodeType::Notification) {
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
                ("fallback", &self.fallback),
                ("resources", &self.resources),
                ("http", &self.http),
            ],
            errors,
        );
    }
}
