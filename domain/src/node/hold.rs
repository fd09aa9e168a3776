//! Why the engine keeps a node waiting. The word stands in the event that begins the wait, so that nobody has to guess it
//! from a transition.

use serde::{Deserialize, Serialize};

/// What holds a node back. A word is stable for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// As many nodes as may are ready or running: of the job, or of the node's group.
    Limit,
    /// What it reads is being fetched, and its expressions evaluated, beside the committer.
    Evaluating,
    /// Its worker gave it back for a time.
    Delay,
    /// A group: its members are at work.
    Members,
    /// An attempt of a node that runs at most once may have had its effect.
    OutcomeUnknown,
    /// Its executions are used up, and its policy leaves it to a person.
    Exhausted,
}

impl Hold {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Evaluating => "evaluating",
            Self::Delay => "delay",
            Self::Members => "members",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Exhausted => "exhausted",
        }
    }
}
