//! Why an operation of a service gave no answer of its own. Absent: what its work answered, however bad.

use std::time::Duration;

/// Why an operation gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// As many as may run or wait do so.
    #[error("{service} is doing as many operations as it may ({max})")]
    Busy {
        service: &'static str,
        /// How many may run at once.
        max: usize,
    },
    /// The kind keeps failing and is stopped for now.
    #[error("{service} has stopped `{kind}` because it keeps failing")]
    Stopped {
        service: &'static str,
        kind: &'static str,
        /// After this long it may be tried again.
        retry_after: Duration,
    },
    /// Cut off after the operation time-out. What it began may still come to its end.
    #[error("`{kind}` of {service} took longer than {timeout:?}")]
    TimedOut {
        service: &'static str,
        kind: &'static str,
        /// How long it had.
        timeout: Duration,
    },
    /// It panicked: a bug, logged. What it began may still come to its end.
    #[error("`{kind}` of {service} failed inside")]
    Panicked { service: &'static str, kind: &'static str },
}
