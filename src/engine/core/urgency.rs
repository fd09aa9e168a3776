//! What is served first when not everything can be: what finishes work, then what stops it, then leases, then looking,
//! then new work. Subjects take their turns in that order (`Backlog`), and what can be refused is refused from the other
//! end.

/// How urgent something is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Reports and heartbeats: they finish or keep work, and make room.
    Report,
    /// Cancel, pause and the like, and what the engine owes itself: timers, grants.
    Cancel,
    /// Requests for work.
    Lease,
    Read,
    Submit,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Report, Self::Cancel, Self::Lease, Self::Read, Self::Submit];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Cancel => "cancel",
            Self::Lease => "lease",
            Self::Read => "read",
            Self::Submit => "submit",
        }
    }
}
