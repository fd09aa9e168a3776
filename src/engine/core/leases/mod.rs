//! Work for workers: what is offered and who wants it (`dispatch`), requests whose parts are being decided (`polls`),
//! claims that come again (`claims`), and of each subject what is offered, reserved and leased (`work`) and what workers said
//! of what they have (`heard`).
//! Always holds: nothing in here is the truth; all of it is made anew from the jobs that are loaded, or asked for again.

mod claims;
mod dispatch;
mod heard;
mod pauses;
mod polls;
mod work;

pub(crate) use self::claims::{
    AnsweredClaim, ClaimKey, ClaimQuestion, ClaimStep, Claims, Gone, PendingAsk, key_of,
};
pub(crate) use self::dispatch::{Dispatch, Entry, Kind, NotParked, QueueKey, score};
pub(crate) use self::heard::{Carried, SlotHeard};
pub(crate) use self::pauses::{Pauses, PausesAre, PausesChanged};
pub(crate) use self::polls::{PendingPoll, Polls};
pub(crate) use self::work::{LeaseTime, SlotWork, WorkPlace};

/// Bytes of inputs in one answer; a single larger input goes alone.
pub(crate) const ANSWER_BYTES_MAX: u64 = 8 * 1_024 * 1_024;
