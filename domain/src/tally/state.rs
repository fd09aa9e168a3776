//! What is known of a tally: the fold of its events, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, Millis, Namespace, SubjectId, SubjectKind};
use crate::subject::remembered::Answered;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TallyState {
    pub namespace: Namespace,
    /// Unique in the namespace.
    pub name: String,
    /// How many events were applied.
    pub seq: u64,
    /// What was added.
    pub sum: u64,
    /// When it was closed.
    pub closed_at: Option<Millis>,
    /// When its newest event was decided.
    pub newest_at: Millis,
    /// Commands that may come again.
    pub commands: BTreeMap<CommandId, Answered>,
}

impl TallyState {
    /// The stream it is the fold of.
    pub fn subject(&self) -> SubjectId {
        SubjectId::named(SubjectKind::Tally, self.namespace.clone(), &self.name)
    }
}
