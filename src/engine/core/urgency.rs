//! What is served first when not everything can be: what finishes work, then what stops it, then leases, then looking,
//! then new work. Subjects take their turns in that order (`Backlog`), and what can be refused is refused from the other
//! end.

use domain::job::command::JobCommand;

use crate::engine::core::message::{Command, Request};
use crate::engine::core::waiting::{Origin, Waiting};

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

    /// Of something that is asked.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Heartbeat { .. } => Self::Report,
            Request::Command { command, .. } => Self::of_command(command),
            // Not later than what asks for it: whoever asks waits 50 ms.
            Request::AskGrant { .. } | Request::Claimed { .. } => Self::Cancel,
            Request::Lease(_) | Request::NextWork { .. } => Self::Lease,
            Request::Read { .. }
            | Request::Queues { .. }
            | Request::Workers { .. }
            | Request::Inspect { .. } => Self::Read,
        }
    }

    /// Of something that waits for its subject.
    pub(crate) fn of_waiting(waiting: &Waiting) -> Self {
        match waiting {
            Waiting::Heartbeat { .. } => Self::Report,
            Waiting::Read { .. } => Self::Read,
            Waiting::Command { origin: Origin::Lease { .. }, .. } => Self::Lease,
            Waiting::Command { command, .. } => Self::of_command(command),
        }
    }

    fn of_command(command: &Command) -> Self {
        match command {
            Command::Job(JobCommand::Report(_)) => Self::Report,
            Command::Job(JobCommand::Lease(_)) => Self::Lease,
            // Letting go of old jobs can wait as well as new ones can.
            Command::Job(JobCommand::Submit(_) | JobCommand::Delete { .. }) => Self::Submit,
            Command::Job(
                JobCommand::Start
                | JobCommand::Pause { .. }
                | JobCommand::Resume { .. }
                | JobCommand::Cancel { .. }
                | JobCommand::Patch(_)
                | JobCommand::TakeGrant { .. }
                | JobCommand::ExpireLease { .. }
                | JobCommand::Wake { .. },
            )
            | Command::Environment(_) => Self::Cancel,
        }
    }
}
