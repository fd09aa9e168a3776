//! What an event says of data, members and ends beside transitions, by the nodes' paths. Values are named by their hash, so
//! that a history shows what was evaluated without repeating it.

use domain::job::flow::{Flow, Prepared};
use domain::job::plan::{Plan, Taken};
use domain::payload::{Hash, Payload};
use domain::time_text::rfc3339;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Nodes that a row names of each kind; the node itself says it too.
const NAMED_MAX: usize = 100;

/// What flowed through a job with one event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryFlow)]
pub struct FlowRow {
    /// Members that came to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<AddedRow>,
    /// What was evaluated, the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evaluated: Vec<EvaluatedRow>,
    /// How many were.
    pub evaluated_count: usize,
    /// Nodes that failed without an attempt, or groups that are tried again, the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRow>,
    /// Groups whose end is decided while attempts of their members run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<EndingRow>,
}

/// Members that came to be.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryAdded)]
pub struct AddedRow {
    pub group: String,
    /// Items of the list.
    pub items: u32,
    /// sha-256 of the list.
    #[schema(value_type = String)]
    pub list: Hash,
}

/// What was evaluated for a node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryEvaluated)]
pub struct EvaluatedRow {
    pub node: String,
    /// sha-256 of its input, record or list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub value: Option<Hash>,
    /// The branch that a condition takes: its place from 0, or `default`; null when none holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub branch: Option<Value>,
}

/// A node that failed without an attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryFailed)]
pub struct FailedRow {
    pub node: String,
    pub class: String,
    #[serde(rename = "type")]
    pub error_type: String,
    pub message: String,
    /// When the members of the group run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false)]
    pub retry_at: Option<String>,
}

/// A group whose end is decided.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HistoryGroupEnding)]
pub struct EndingRow {
    pub group: String,
    /// The state to come.
    pub to: &'static str,
    /// When running attempts are revoked.
    #[schema(format = "date-time")]
    pub until: String,
}

impl FlowRow {
    pub(super) fn of(flow: &Flow, plan: &Plan) -> Self {
        // The job's own output has no node.
        let path = |ix: u32| {
            plan.get(ix).map_or_else(|| "output of the job".to_owned(), |_| plan.path(ix))
        };
        let added = flow.added.iter().take(NAMED_MAX).map(|of| AddedRow {
            group: path(of.group),
            items: of.count,
            list: hash_of(&of.list),
        });
        let evaluated = flow.prepared.iter().take(NAMED_MAX).map(|(node, prepared)| EvaluatedRow {
            node: path(*node),
            value: prepared.payload().map(hash_of),
            branch: match prepared {
                Prepared::Branch(Taken::Branch(place)) => Some(Value::from(*place)),
                Prepared::Branch(Taken::Default) => Some("default".into()),
                Prepared::Branch(Taken::Nothing) => Some(Value::Null),
                Prepared::Input(_) | Prepared::List { .. } => None,
            },
        });
        let failed = flow.failed.iter().take(NAMED_MAX).map(|failed| FailedRow {
            node: path(failed.node),
            class: failed.error.class.clone(),
            error_type: failed.error.error_type.clone(),
            message: failed.error.message.clone(),
            retry_at: failed.retry.map(|retry| rfc3339(retry.due)),
        });
        let ending = flow.ending.iter().take(NAMED_MAX).map(|(group, ending)| EndingRow {
            group: path(*group),
            to: ending.to.as_str(),
            until: rfc3339(ending.until),
        });
        Self {
            added: added.collect(),
            evaluated: evaluated.collect(),
            evaluated_count: flow.prepared.len(),
            failed: failed.collect(),
            ending: ending.collect(),
        }
    }
}

fn hash_of(payload: &Payload) -> Hash {
    match payload {
        Payload::Inline(raw) => Hash::of(raw.get().as_bytes()),
        Payload::Stored(stored) => stored.sha256,
    }
}
