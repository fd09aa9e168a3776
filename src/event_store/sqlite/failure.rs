//! What SQLite's errors mean to the engine.
//! Always holds: a failed write or fsync is `Fatal` (after it nobody can say what is on the disk), a full disk is
//! not. Absent: retries; the caller decides.

use rusqlite::{Error, ErrorCode, ffi};

use crate::environment::fail_points::{self, Fault, Point};
use crate::event_store::contract::EventStoreError;

/// What a failure says of the transaction it happened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionFailure {
    /// No room; nothing was written.
    Full,
    /// Stored bytes make no sense.
    Damaged,
    /// The process must stop.
    Fatal,
    /// Anything else; nothing was written.
    Refused,
}

/// The index of the log could not grow, which on a full disk is all that this can mean; nothing was written.
const SHARED_INDEX_FULL: i32 = ffi::SQLITE_IOERR_SHMSIZE;

/// What a failure inside a write transaction, or of its commit, means.
pub(super) fn of_write(error: &Error) -> TransactionFailure {
    if matches!(error, Error::SqliteFailure(cause, _) if cause.extended_code == SHARED_INDEX_FULL) {
        return TransactionFailure::Full;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => TransactionFailure::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
            TransactionFailure::Damaged
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            TransactionFailure::Fatal
        }
        Some(_) => TransactionFailure::Refused,
    }
}

/// Passes a point; where a test has planted a fault, the error that SQLite would give.
pub(super) fn planted(point: Point) -> rusqlite::Result<()> {
    let code = match fail_points::fault(point) {
        None => return Ok(()),
        Some(Fault::Full) => ffi::SQLITE_FULL,
        Some(Fault::Io) => ffi::SQLITE_IOERR_FSYNC,
    };
    Err(Error::SqliteFailure(ffi::Error::new(code), None))
}

/// The answer to a read that failed.
pub(super) fn of_read(error: &Error, subject: &str) -> EventStoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
            EventStoreError::Damaged { subject: subject.to_owned(), reason: error.to_string() }
        }
        Some(_) => EventStoreError::Unavailable(error.to_string()),
    }
}

/// The answer to a write that failed and is not answered an item.
pub(super) fn to_store_error(failure: TransactionFailure, error: &Error) -> EventStoreError {
    match failure {
        TransactionFailure::Full => EventStoreError::Full,
        TransactionFailure::Damaged => EventStoreError::Damaged {
            subject: "the event store".to_owned(),
            reason: error.to_string(),
        },
        TransactionFailure::Fatal => EventStoreError::Fatal(error.to_string()),
        TransactionFailure::Refused => EventStoreError::Unavailable(error.to_string()),
    }
}
