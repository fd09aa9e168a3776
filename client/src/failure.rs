//! How a command ends when it does not end well: one enum, each case with the exit code that scripts rely on
//! (0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable, 124 timed out, 130 interrupted).
//!
//! Always: the text says what was tried and what to do next; nothing here prints. Absent: causes that only a
//! developer could read; those stay in the log of the engine.

use std::io;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliFailure {
    /// The command did what it could and the result is a failure, such as a job that failed.
    #[error("{0}")]
    Failed(String),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The engine does not know what was named.
    #[error("{0}")]
    NotFound(String),
    /// The engine refused because of the state that the thing is in.
    #[error("{0}")]
    Conflict(String),
    /// The engine cannot be reached, or says that it cannot serve now.
    #[error("{0}")]
    Unavailable(String),
    /// Waited as long as was allowed.
    #[error("{0}")]
    TimedOut(String),
    /// A second signal asked for an immediate end.
    #[error("interrupted")]
    Interrupted,
    /// Standard output cannot be written; a reader that went away is not reported at all.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl CliFailure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Conflict(_) => 4,
            Self::Unavailable(_) => 5,
            Self::TimedOut(_) => 124,
            Self::Interrupted => 130,
        }
    }

    /// Whether there is anything to tell: a closed pipe (`orrery ... | head`) is what the reader wants.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_the_exit_code_that_scripts_expect() {
        let said = String::new;
        let table = [
            (CliFailure::Failed(said()), 1),
            (CliFailure::Usage(said()), 2),
            (CliFailure::NotFound(said()), 3),
            (CliFailure::Conflict(said()), 4),
            (CliFailure::Unavailable(said()), 5),
            (CliFailure::TimedOut(said()), 124),
            (CliFailure::Interrupted, 130),
            (CliFailure::Output(io::Error::from(io::ErrorKind::StorageFull)), 1),
            (CliFailure::Output(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }
}
