//! Why a request to the engine came to nothing, and what an answer of the core holds for whoever asked.

use domain::refusal::Refusal;

use crate::engine::core::message::{Failure, Granted, QueueFacts, Response, Shown, WorkerFacts};
use crate::event_store::contract::EventStoreError;

/// Why a request to the engine came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not known whether the change is durable; asking again with the same key tells.
    #[error("the outcome is not known yet")]
    OutcomeUnknown,
    /// The store cannot be reached.
    #[error("the store cannot be reached")]
    Unavailable,
    /// There is no room for more.
    #[error("the store is full")]
    Full,
    /// Too much is waiting.
    #[error("too much is waiting")]
    Overloaded,
    /// The view is too far behind for new jobs.
    #[error("the view is too far behind")]
    ViewBehind,
    /// What is stored of this subject cannot be read.
    #[error("stored data cannot be read: {0}")]
    Damaged(String),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopping,
    /// The core answered something that its request does not ask for: a mistake of the engine, never of whoever asked.
    #[error("the engine answered with {0}, which was not asked for")]
    Unexpected(&'static str),
}

impl Response {
    /// What a read found.
    pub(super) fn into_read(self) -> Result<Option<Shown>, EngineError> {
        if let Self::Read(found) = self {
            return Ok(found);
        }
        Err(self.not_asked_for())
    }

    /// Leased attempts, perhaps none.
    pub(super) fn into_leases(self) -> Result<Vec<Granted>, EngineError> {
        if let Self::Leases(granted) = self {
            return Ok(granted);
        }
        Err(self.not_asked_for())
    }

    /// A part of the queues, and how many there are.
    pub(super) fn into_queues(self) -> Result<(Vec<QueueFacts>, u64), EngineError> {
        if let Self::Queues { facts, known } = self {
            return Ok((facts, known));
        }
        Err(self.not_asked_for())
    }

    /// A part of the workers, and how many there are.
    pub(super) fn into_workers(self) -> Result<(Vec<WorkerFacts>, u64), EngineError> {
        if let Self::Workers { facts, known } = self {
            return Ok((facts, known));
        }
        Err(self.not_asked_for())
    }

    /// Why an answer is none of those that its request asks for.
    pub(super) fn not_asked_for(self) -> EngineError {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::Failed(failure) => failure.into(),
            Self::Command { .. } => EngineError::Unexpected("the outcome of a command"),
            Self::Leases(_) => EngineError::Unexpected("leases"),
            Self::Heartbeat { .. } => EngineError::Unexpected("a lease that is kept"),
            Self::Read(_) => EngineError::Unexpected("a subject"),
            Self::Queues { .. } => EngineError::Unexpected("queues"),
            Self::Workers { .. } => EngineError::Unexpected("workers"),
            Self::Inspection(_) => EngineError::Unexpected("what is kept of a subject"),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutcomeUnknown => Self::OutcomeUnknown,
            Failure::Unavailable => Self::Unavailable,
            Failure::Full => Self::Full,
            Failure::Overloaded => Self::Overloaded,
            Failure::ViewBehind => Self::ViewBehind,
            Failure::Damaged(reason) => Self::Damaged(reason),
        }
    }
}

impl From<EventStoreError> for EngineError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Damaged { reason, .. } => Self::Damaged(reason),
            EventStoreError::Full => Self::Full,
            EventStoreError::Unavailable(_) | EventStoreError::Fatal(_) => Self::Unavailable,
        }
    }
}
