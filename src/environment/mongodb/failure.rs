//! What an error of the driver means, in words that tell what to do.
//! Always holds: nothing here shows a URI, a password or a document's contents.
//! Absent: what a store makes of it (its own error type).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what the driver may say besides is a server that cannot be reached"
)]

use std::time::Duration;

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// A duplicate key: the document is there.
pub const DUPLICATE_KEY: i32 = 11_000;
/// The user may not do that.
const UNAUTHORIZED: i32 = 13;
/// The user or password is wrong.
const AUTHENTICATION_FAILED: i32 = 18;
/// A document breaks its collection's rules.
const VALIDATION_FAILED: i32 = 121;
/// No room on the server's disk (6.1 and later; before, the server ends).
const OUT_OF_DISK_SPACE: i32 = 14_031;

/// Why a call gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct CallError {
    /// What was asked for.
    pub what: &'static str,
    pub cause: Cause,
}

/// Causes that call for different deeds.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    /// No answer in time; nothing is known of a write.
    #[error("MongoDB did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// No server can be reached, or the one that was reached went away; nothing is known of a write.
    #[error("MongoDB cannot be reached: {0}")]
    Unreachable(String),
    /// The user or its password is refused.
    #[error("MongoDB refuses the user or the password of storage.uri; check both, and authSource")]
    Credentials,
    /// The user may not do this.
    #[error(
        "the user of storage.uri may not do this; grant it the role readWrite (and dbAdmin for migrations) on the \
         engine's database: {0}"
    )]
    Forbidden(String),
    /// The server's disk is full.
    #[error("the disk of MongoDB's primary is full")]
    Full,
    /// The server refuses it; it will again.
    #[error("MongoDB refuses it (code {code}): {message}")]
    Refused {
        /// The server's number for it.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// Too large, or it cannot be written as BSON: it was not sent.
    #[error("it cannot be stored: {0}")]
    Unstorable(String),
    /// The call's own task ended: the process is ending, or the driver panicked.
    #[error("the call was cut short")]
    Ended,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match *error.kind {
            ErrorKind::Authentication { .. } => Self::Credentials,
            ErrorKind::Command(refused) => of_code(refused.code, &refused.message),
            ErrorKind::Write(WriteFailure::WriteError(refused)) => {
                of_code(refused.code, &refused.message)
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(late)) => {
                Self::Unreachable(format!("a majority did not confirm: {}", late.message))
            }
            ErrorKind::InsertMany(refused) => {
                refused.write_errors.as_ref().and_then(|errors| errors.first()).map_or_else(
                    || Self::Unreachable("a majority did not confirm".to_owned()),
                    |first| of_code(first.code, &first.message),
                )
            }
            ErrorKind::InvalidArgument { message, .. } => Self::Unstorable(message),
            ErrorKind::Bson(wrong) => Self::Unstorable(wrong.to_string()),
            ErrorKind::ServerSelection { message, .. } => {
                if message.contains("Authentication failed") || message.contains("SCRAM failure") {
                    Self::Credentials
                } else {
                    Self::Unreachable(message)
                }
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// What an error code of the server means.
pub(super) fn of_code(code: i32, message: &str) -> Cause {
    match code {
        UNAUTHORIZED => Cause::Forbidden(message.to_owned()),
        AUTHENTICATION_FAILED => Cause::Credentials,
        OUT_OF_DISK_SPACE => Cause::Full,
        // Its words quote the document.
        VALIDATION_FAILED => Cause::Refused {
            code,
            message: "the document breaks its collection's rules".to_owned(),
        },
        DUPLICATE_KEY => Cause::Refused { code, message: "it is there already".to_owned() },
        // Of the state of the replica set, not of what was asked.
        _ if is_of_the_set(code) => Cause::Unreachable(message.to_owned()),
        _ => Cause::Refused { code, message: message.to_owned() },
    }
}

/// Codes of elections, shutdowns and time-outs: the same may go through a moment later.
fn is_of_the_set(code: i32) -> bool {
    matches!(
        code,
        6 | 7
            | 50
            | 64
            | 89
            | 91
            | 100
            | 112
            | 134
            | 189
            | 202
            | 262
            | 9_001
            | 10_058
            | 10_107
            | 11_600
            | 11_602
            | 13_435
            | 13_436
    )
}
