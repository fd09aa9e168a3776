//! What waits for a subject, and for whom: commands, looks and heartbeats, each with what its answer is for.

use domain::ids::{LeaseId, SubjectId};
use domain::job::command::JobCommand;

use crate::engine::core::message::{Beat, Caller, Command, GrantRequest, Response, Ticket};
use crate::engine::core::urgency::Urgency;

/// Where a command came from, and so what its answer is for.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Somebody waits for the answer.
    Asked(Ticket),
    /// A part of the lease request of this number; none: its asker was told that nobody knows what came of it, so
    /// whatever it leases is given back.
    Lease { request: Option<u64>, nodes: Vec<u32> },
    /// Timers and expiries: when it comes to nothing, it is asked again.
    Clock,
    /// An environment's grant waits for the job's word.
    Grant { environment: SubjectId, run: u32, number: u64 },
    /// The environment decides whom to grant; on the outcome the ask is closed or asked again.
    Admission { ask: GrantRequest },
    /// Nobody waits: a message to another subject, or a command whose asker was told that its outcome is not known.
    Nobody,
}

/// Something that waits for its turn. A ticket of none: its asker was told that nobody knows.
#[derive(Debug)]
pub(crate) enum Waiting {
    Command { origin: Origin, command: Command, caller: Caller, tries: u8 },
    Read { ticket: Option<Ticket> },
    Heartbeat { ticket: Option<Ticket>, lease: LeaseId, beat: Beat },
}

impl Waiting {
    /// A command of the engine itself.
    pub(crate) fn own(origin: Origin, command: impl Into<Command>) -> Self {
        let command = command.into();
        Self::Command { origin, command, caller: Caller::engine(), tries: 0 }
    }

    /// Whether the clock wants to end a lease.
    pub(crate) fn is_expiry(&self) -> bool {
        let Self::Command { origin: Origin::Clock, command, .. } = self else { return false };
        matches!(command.job(), Some(JobCommand::ExpireLease { .. }))
    }

    /// How urgent it is.
    pub(crate) fn urgency(&self) -> Urgency {
        match self {
            Self::Heartbeat { .. } => Urgency::Report,
            Self::Read { .. } => Urgency::Read,
            Self::Command { origin: Origin::Lease { .. }, .. } => Urgency::Lease,
            Self::Command { command, .. } => command.urgency(),
        }
    }
}

/// What will be said when the append has committed.
#[derive(Debug)]
pub(crate) struct PromisedAnswer {
    pub(crate) waiting: Waiting,
    pub(crate) response: Response,
}
