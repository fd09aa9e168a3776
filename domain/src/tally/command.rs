//! What can be asked of a tally.

use serde::{Deserialize, Serialize};

use crate::ids::Namespace;

/// A command to one tally.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TallyCommand {
    /// Makes the tally, which did not exist.
    Open {
        namespace: Namespace,
        /// Unique in the namespace.
        name: String,
    },
    /// Add to the sum.
    Add { amount: u64 },
    /// Let nothing be added any more.
    Close,
}
