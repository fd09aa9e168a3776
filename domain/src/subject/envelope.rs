//! What every event says, whatever its subject: who, when, why, and which command it answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, CorrelationId, Millis};
use crate::payload::Hash;
use crate::subject::context::Context;

/// The version of events that this engine writes.
pub const EVENT_VERSION: u8 = 1;

/// What every event says, whatever its subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub v: u8,
    /// When it was decided, on the engine's clock.
    pub at: Millis,
    /// Who caused it: `client`, `worker/<name>`, `engine`.
    pub actor: Arc<str>,
    /// The command it answers, when that command can come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandMark>,
    /// Ties together what one request caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A command's identity in the event that answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandMark {
    /// From the Idempotency-Key, or minted.
    pub id: CommandId,
    /// Of the canonical body.
    pub body: Hash,
    /// From a caller's key (kept for the subject's life) or minted (kept 10 minutes).
    pub keyed: bool,
}

impl Envelope {
    /// Of an event that is decided in this context.
    pub(crate) fn of(context: &Context, at: Millis, reason: Option<&str>) -> Self {
        Self {
            v: EVENT_VERSION,
            at,
            actor: Arc::clone(&context.actor),
            command: context.command.clone(),
            correlation: context.correlation.clone(),
            reason: reason.map(str::to_owned),
        }
    }
}
