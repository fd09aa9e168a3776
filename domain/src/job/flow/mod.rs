//! Data and choices that flow through a job: what was evaluated for its nodes, which members came to be, what ended without
//! an attempt. `order` gathers what an evaluation reads, `evaluate` evaluates: in a decision where all of it is in memory,
//! else beside the committer.
//! Always holds: what was evaluated stands in an event, and is never evaluated again for the same run of a node.

mod evaluate;
mod failure;
mod order;
mod output;
mod state;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::job::members::GroupEnding;
use crate::job::outcome::JobError;
use crate::job::plan::{Expansion, Taken};
use crate::node::attempt::{AttemptError, RetryDue};
use crate::node::change::Ranges;
use crate::payload::Payload;

pub(crate) use self::evaluate::items_of;
pub use self::evaluate::{Evaluated, EvaluatedAs, Evaluator, Missing};
pub(crate) use self::failure::{Noted, error_of, error_of_end, first_failed, noted_at};
pub use self::order::{Asked, EvaluationOrder, FlowView, OUTPUT_OF_JOB};
pub(crate) use self::output::given_by_itself;
pub use self::output::{Outputs, write_output};

/// Items that a group may go over at most.
pub const ITEMS_MAX: usize = 10_000;
/// Evaluations of one decision; what else is due then is evaluated beside the committer.
pub const EVALUATIONS_IN_DECISION_MAX: usize = 64;
/// Nodes that are evaluated beside the committer at once.
pub const EVALUATIONS_IN_ORDER_MAX: usize = 500;

/// What was evaluated for a node before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// The input of a task or a cleanup; the record of a checkpoint.
    Input(Payload),
    /// The list that a group goes over.
    List {
        /// A JSON list.
        list: Payload,
        /// How many items it has.
        items: u32,
    },
    /// The branch that a condition takes.
    Branch(Taken),
}

/// What an event says of data, members and ends beside transitions. Most events say nothing of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Flow {
    /// Nodes that could start and are held by the limit of their group.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub gated: Ranges,
    /// Groups that waited for something else and have begun: their members are what they wait for now. A wait that goes on
    /// is no transition.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub begun: Ranges,
    /// Members that came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Expansion>,
    /// What was evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<(u32, Prepared)>,
    /// Nodes that ended, or are tried again, without an attempt that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<NodeFailure>,
    /// Groups whose end is decided while attempts of their members run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<(u32, GroupEnding)>,
    /// Nodes that were skipped because of failures that are handled now.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub excused: Ranges,
}

impl Flow {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.gated.is_empty()
            && self.begun.is_empty()
            && self.added.is_empty()
            && self.prepared.is_empty()
            && self.failed.is_empty()
            && self.ending.is_empty()
            && self.excused.is_empty()
    }

    /// The payloads that it names.
    pub(crate) fn payloads<'a>(&'a self, named: &mut Vec<&'a Payload>) {
        named.extend(self.added.iter().map(|expansion| &expansion.list));
        named.extend(self.prepared.iter().filter_map(|(_, prepared)| prepared.payload()));
    }
}

impl Prepared {
    /// What of it may be stored beside the stream.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Input(payload) | Self::List { list: payload, .. } => Some(payload),
            Self::Branch(_) => None,
        }
    }
}

/// A node failed without an attempt: its expression has no value, or its group's members failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeFailure {
    /// Its position, or [`OUTPUT_OF_JOB`].
    pub node: u32,
    pub error: AttemptError,
    /// What its group or its job shows of it, where that is not its own error: what failed in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Arc<JobError>>,
    /// When the members of the group run again, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDue>,
    /// The members would have run once more, had there been executions or time left.
    #[serde(default, skip_serializing_if = "is_false")]
    pub used_up: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}
