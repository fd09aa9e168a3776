//! What is known of a failure, whoever reads it: the verdict, a policy's `when`, a preview.

use super::derive::{self, Signs};

/// What is known of the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorFacts<'a> {
    /// The reporter's word for it.
    pub error_type: &'a str,
    /// Class of the taxonomy; empty when nothing is known of it.
    pub class: &'a str,
    /// What the reporter says to people.
    pub message: &'a str,
    /// The code that the failing service gave.
    pub code: Option<&'a str>,
    /// The HTTP status that it gave.
    pub status: Option<u16>,
    /// The reporter's word on whether another execution can help.
    pub retryable: Option<bool>,
    /// The wait the reporter asks for, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the node may run again when it may have had its effect: not `at_most_once`.
    pub idempotent: bool,
}

impl<'a> ErrorFacts<'a> {
    /// Its class: as it was given, else as it follows from what else is known.
    pub fn known_class(&self) -> &'a str {
        if !self.class.is_empty() {
            return self.class;
        }
        derive::class_of(Signs {
            error_type: self.error_type,
            code: self.code,
            status: self.status,
            asks_to_wait: self.retry_after_ms.is_some(),
        })
    }
}

impl ErrorFacts<'_> {
    /// Of a failure of which nobody said anything.
    pub const NONE: Self = ErrorFacts {
        error_type: "",
        class: "",
        message: "",
        code: None,
        status: None,
        retryable: None,
        retry_after_ms: None,
        idempotent: true,
    };
}
