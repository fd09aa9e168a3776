//! What follows when it changes how long this engine's groups are surely its own.

use domain::ids::Millis;

use crate::engine::core::Core;

impl Core {
    /// Whether this engine's groups are surely its own now.
    pub(super) fn owns_groups(&self) -> bool {
        self.ownership.is_sure(self.now)
    }

    /// The lease on this engine's groups was renewed, or given up. After a time in which no heartbeat was kept every
    /// running attempt is good for one full period more.
    pub(in crate::engine::core) fn drives_until(&mut self, until: Millis) {
        if self.ownership.renew(until, self.now) {
            self.prolong_all();
        }
    }

    /// The clock stepped: no time passed for workers as it did for the clock, so every running attempt is good for one
    /// full period more, as after a load; and this engine's groups are its own as long as before.
    pub(in crate::engine::core) fn stepped(&mut self, by: Millis) {
        self.ownership.step(by);
        self.prolong_all();
    }

    fn prolong_all(&mut self) {
        for ix in self.slots.numbers().collect::<Vec<_>>() {
            if let Some(slot) = self.slots.get_mut(ix) {
                slot.work.prolong_leases(self.now);
            }
        }
    }
}
