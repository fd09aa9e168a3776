//! Which kinds of subjects there are: one row each, of what stores, streams and lists call it.
//! Always holds: a number or a word of a row never changes, since streams are stored under it.

use serde::{Deserialize, Serialize};

/// By what people find a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// By its id.
    Id,
    /// By a name that is unique in its namespace; its id follows from that.
    Name,
}

/// Makes the kinds of the rows `Kind = number, "word", "words", found by`. The number is what it is stored under in every
/// store; the word stands in the names of streams, the word for many names where its documents are.
macro_rules! kinds {
    ($($(#[$when:meta])* $Kind:ident = $code:literal, $word:literal, $words:literal, $found_by:ident;)*) => {
        /// The kinds of things that have a stream of events of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum SubjectKind {
            $($(#[$when])* $Kind,)*
        }

        impl SubjectKind {
            /// Every kind, in the order of the codes.
            pub const ALL: &'static [Self] = &[$($(#[$when])* Self::$Kind,)*];

            /// The number it is stored under.
            pub fn code(self) -> u8 {
                match self {
                    $($(#[$when])* Self::$Kind => $code,)*
                }
            }

            /// The word used in stream names.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(#[$when])* Self::$Kind => $word,)*
                }
            }

            /// The word for many of them.
            pub fn plural(self) -> &'static str {
                match self {
                    $($(#[$when])* Self::$Kind => $words,)*
                }
            }

            /// By what people find one.
            pub fn found_by(self) -> FoundBy {
                match self {
                    $($(#[$when])* Self::$Kind => FoundBy::$found_by,)*
                }
            }
        }
    };
}

kinds! {
    // A job with its nodes, leases and recovery sessions.
    Job = 0, "job", "jobs", Id;
    // A named pool of resources.
    Environment = 1, "environment", "environments", Name;
    // What a namespace keeps by name for its jobs: retry policies. One a namespace.
    Catalog = 2, "catalog", "catalogs", Name;
    // A sum under a name, in builds of the tests alone.
    #[cfg(feature = "proof")]
    Tally = 255, "tally", "tallies", Name;
}

impl SubjectKind {
    /// The kind that is stored under this number.
    pub fn of_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| i64::from(kind.code()) == code)
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}
