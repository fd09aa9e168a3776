//! What the engine does, step by step, across its parts: only files in here name `Core`, and only they know which part
//! must hear of what. A step that needs one part alone is a method of that part.
//! Always holds: a slot is taken out of memory's reach while a step works on it (`with_slot`), so no step finds another
//! one half way through the same subject.

mod announcing;
mod asking;
mod claim_index;
mod claims;
mod committing;
mod counting;
mod effects;
mod evaluating;
mod foreign_appends;
mod granting;
mod heartbeats;
mod inspection;
mod leasing;
mod loading;
mod outcomes;
mod overload;
mod ownership;
mod pausing;
mod quotas;
mod reading;
mod routing;
mod showing;
mod timers;

pub use self::heartbeats::heartbeat_ms;

use crate::engine::core::Core;
use crate::engine::core::residency::Slot;

impl Core {
    /// Works on a subject beside the rest of the core, and puts it back; none: it is not in memory, or in hands already.
    fn with_slot<T>(&mut self, ix: u32, work: impl FnOnce(&mut Self, &mut Slot) -> T) -> Option<T> {
        let mut slot = self.slots.take(ix)?;
        let done = work(self, &mut slot);
        self.slots.put(ix, slot);
        Some(done)
    }

    /// The same, and lets the subject go on with what waits for it.
    fn work_on<T>(&mut self, ix: u32, work: impl FnOnce(&mut Self, &mut Slot) -> T) -> Option<T> {
        self.with_slot(ix, |core, slot| {
            let done = work(core, slot);
            core.resume(ix, slot);
            done
        })
    }

    /// Lets a subject go on with what waits.
    fn resume(&mut self, ix: u32, slot: &mut Slot) {
        if !slot.asks.is_empty() {
            self.grant_next(ix, slot);
        }
        if slot.may_decide() && !slot.queue.is_empty() {
            self.backlog.is_runnable(ix, slot.queue.urgency(), self.now);
        }
        if slot.is_idle() {
            self.parking.check(ix);
        }
    }
}
