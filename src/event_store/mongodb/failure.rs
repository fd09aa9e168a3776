//! What a failed call means to the engine.
//! Always holds: a call whose outcome is open is `Unavailable`; nothing here is `Fatal`, since another primary may
//! serve a moment later. Absent: the driver's error types (`environment::mongodb`).

use domain::ids::SubjectId;

use crate::environment::mongodb::{CallError, Cause, Undecodable};
use crate::event_store::contract::EventStoreError;

#[expect(clippy::needless_pass_by_value, reason = "what a failed call leaves ends here")]
pub(super) fn of_call(error: CallError) -> EventStoreError {
    match error.cause {
        Cause::Full => EventStoreError::Full,
        Cause::Late(_)
        | Cause::Unreachable(_)
        | Cause::Credentials
        | Cause::Forbidden(_)
        | Cause::Refused { .. }
        | Cause::Unstorable(_)
        | Cause::Ended => EventStoreError::Unavailable(error.to_string()),
    }
}

pub(super) fn damaged(subject: &SubjectId, reason: &Undecodable) -> EventStoreError {
    EventStoreError::Damaged { subject: subject.to_string(), reason: reason.to_string() }
}
