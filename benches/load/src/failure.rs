//! Why a bench ends before its end. Whoever runs it decides which exit code each case is.

use std::io;

/// Why a bench did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The engine refused something, or what it answered is not understood.
    #[error("{0}")]
    Failed(String),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The engine cannot be reached, or went away.
    #[error("{0}")]
    Unavailable(String),
    /// What was begun does not end.
    #[error("{0}")]
    TimedOut(String),
    /// What was found cannot be shown.
    #[error("cannot show figures: {0}")]
    Output(#[from] io::Error),
}
