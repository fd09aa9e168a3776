//! Calls of the engine as operations of a service: bounded, timed, counted, and stopped by the breaker of their kind when
//! they keep failing.
//! Always holds: a refusal by the rules is work done; only what the engine did not answer counts against a kind.

use super::{OperationError, OperationVerdict, Operations};
use crate::engine::core::message::Caller;
use crate::engine::error::EngineError;

/// Why a service's call of the engine gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineCallError {
    /// The engine said no, or could not say.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The service has too much to do, is stopped by its breaker, or took too long.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// Runs a call as an operation of this kind.
pub(in crate::services) async fn run_call<T>(
    operations: &Operations,
    kind: &'static str,
    correlation: &str,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineCallError> {
    Ok(operations.run(kind, correlation, judge, work).await??)
}

fn judge<T>(answer: &Result<T, EngineError>) -> OperationVerdict {
    answer.as_ref().err().map_or(OperationVerdict::Worked, judge_error)
}

/// A refusal by the rules, or because a bound is reached, is work done, and one damaged job says nothing about others.
pub(in crate::services) fn judge_error(error: &EngineError) -> OperationVerdict {
    match error {
        EngineError::Unexpected(_) => OperationVerdict::Failed,
        EngineError::OutcomeUnknown | EngineError::Unavailable => OperationVerdict::Unanswered,
        EngineError::Refused(_)
        | EngineError::Full
        | EngineError::Overloaded
        | EngineError::ViewBehind
        | EngineError::Damaged(_)
        | EngineError::Stopping => OperationVerdict::Worked,
    }
}

/// The request's correlation id, as operations show it.
pub(in crate::services) fn correlation_of(caller: &Caller) -> String {
    caller.correlation.as_ref().map(ToString::to_string).unwrap_or_default()
}
