//! The facts of a tally.

use serde::{Deserialize, Serialize};

use crate::ids::Namespace;
use crate::subject::envelope::Envelope;

/// An event of a tally.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TallyEvent {
    /// Who, when, why.
    pub by: Envelope,
    pub fact: TallyFact,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TallyFact {
    /// The tally exists from here on.
    Opened {
        namespace: Namespace,
        /// Unique in the namespace.
        name: String,
    },
    /// The sum grew.
    Added { amount: u64 },
    /// Nothing is added any more.
    Closed,
}
