//! What a decision may look at beside the state. Time and chance come in here and nowhere else.

use std::sync::Arc;

use crate::dice::Dice;
use crate::ids::{CorrelationId, Millis};
use crate::node::attempt::Heard;
use crate::payload::PayloadBytes;
use crate::refusal::Refusal;
use crate::subject::envelope::CommandMark;

/// What a decision may look at beside the state.
#[derive(Debug, Clone)]
pub struct Context {
    /// The engine's clock.
    pub now: Millis,
    /// Thrown for this decision.
    pub dice: Dice,
    /// The store's incarnation: leases that an older one gave are void.
    pub incarnation: u32,
    /// How long running attempts may go on after an ending is decided, milliseconds.
    pub grace_ms: Millis,
    /// Who asks: `client`, `worker/<name>`, `engine`.
    pub actor: Arc<str>,
    /// The command's identity, when it can come again.
    pub command: Option<CommandMark>,
    /// Ties together what the request causes.
    pub correlation: Option<CorrelationId>,
    /// The version that the caller's If-Match names.
    pub expected_version: Option<u64>,
    /// What running attempts said in heartbeats and no event has yet, with what of it is stored beside the stream.
    pub heard: Vec<(Heard, Option<PayloadBytes>)>,
    /// Commands from callers' keys that the subject may remember.
    pub keyed_commands_max: usize,
}

impl Context {
    /// Whether the subject is at the version that the caller has seen, if it named one.
    pub(crate) fn expects(&self, current: u64) -> Result<(), Refusal> {
        match self.expected_version {
            Some(expected) if expected != current => {
                Err(Refusal::VersionMismatch { expected, current })
            }
            Some(_) | None => Ok(()),
        }
    }
}
