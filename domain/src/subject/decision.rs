//! What a command comes to, whatever the subject.

use crate::payload::PayloadBytes;
use crate::subject::answer::Answer;

/// What a command comes to. `E` is the event of its kind of subject.
#[derive(Debug)]
pub struct Decision<E> {
    /// What happened, if anything did.
    pub event: Option<E>,
    /// Durable no later than the event.
    pub payloads: Vec<PayloadBytes>,
    /// Leaves after the append.
    pub answer: Answer,
}

impl<E> Decision<E> {
    /// An answer without an event: there was nothing to do.
    pub(crate) fn unchanged(answer: Answer) -> Self {
        Self { event: None, payloads: Vec::new(), answer }
    }
}
