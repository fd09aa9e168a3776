//! Facts of what flows through a job without an attempt: evaluations that were made beside the committer, groups whose time
//! is over. What they come to stands in the event's flow and its transitions.

use serde::{Deserialize, Serialize};

/// What happened to nodes that nobody leases.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowFact {
    /// Expressions were evaluated beside the committer.
    Evaluated,
    /// The grace of groups that end is over: running attempts of their members are revoked, their outcome unknown.
    GroupsRevoked,
}

impl FlowFact {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Evaluated => "nodes_evaluated",
            Self::GroupsRevoked => "group_leases_revoked",
        }
    }
}
