//! Which attempt of a job's node something is about.

use serde::{Deserialize, Serialize};

use crate::ids::Epoch;

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The node's position.
    pub node: u32,
    /// Counted from 1.
    pub attempt: u32,
    /// The fencing token.
    pub epoch: Epoch,
}
