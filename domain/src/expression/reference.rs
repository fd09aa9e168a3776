//! What an expression may read, by name. Every name is known before the expression runs, so that whoever takes a job in
//! can say at once that there is no such node.
//! Always holds: two references are equal exactly when they read the same. Absent: which of them are there at a place, which
//! is the place's to say.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// It is written `job.<part>`.
    Job(JobPart),
    /// It is written `nodes.<key>.<part>`.
    Node {
        /// The node's key, or its path.
        key: String,
        /// What of it.
        part: NodePart,
    },
    /// The item of a list that a member works on.
    Item,
    /// The item's place in the list, from 0.
    Index,
    /// The failure that a retry policy judges.
    Error,
    /// The number of the execution that failed.
    Attempt,
}

/// What of a job is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobPart {
    Input,
    Id,
    Status,
    Error,
}

/// What of a node is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodePart {
    Output,
    Status,
    Error,
    Attempts,
}

/// The first words of every reference.
pub(super) const ROOTS: [&str; 6] = ["job", "nodes", "item", "index", "error", "attempt"];

impl JobPart {
    /// Every part there is.
    pub const ALL: [Self; 4] = [Self::Input, Self::Id, Self::Status, Self::Error];

    /// The word after `job.`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Id => "id",
            Self::Status => "status",
            Self::Error => "error",
        }
    }
}

impl NodePart {
    /// Every part there is.
    pub const ALL: [Self; 4] = [Self::Output, Self::Status, Self::Error, Self::Attempts];

    /// The word after the node's key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Status => "status",
            Self::Error => "error",
            Self::Attempts => "attempts",
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(part) => write!(f, "job.{}", part.as_str()),
            Self::Node { key, part } => {
                let is_name = !key.starts_with(|c: char| c.is_ascii_digit())
                    && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if is_name {
                    write!(f, "nodes.{key}.{}", part.as_str())
                } else {
                    write!(f, "nodes[{key:?}].{}", part.as_str())
                }
            }
            Self::Item => f.write_str("item"),
            Self::Index => f.write_str("index"),
            Self::Error => f.write_str("error"),
            Self::Attempt => f.write_str("attempt"),
        }
    }
}
