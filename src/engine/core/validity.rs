//! How long this engine's groups are surely its own. What rests on volatile facts (keeping an attempt by a heartbeat,
//! ending one that was silent, letting a subject leave memory) is done only until then, with time in hand.
//! Absent: anything that correctness rests on; what two engines write at once the append settles.

use domain::ids::Millis;

use crate::engine::core::Core;

/// The engine's clock may run a tenth faster or slower than time, and a lease is 10 s: with this in hand it ends here
/// before it ends for anybody else.
const SAFETY_MARGIN_MS: Millis = 2_000;

impl Core {
    /// Whether this engine's groups are surely its own now.
    pub(super) fn owns_groups(&self) -> bool {
        self.settings.alone || self.now.saturating_add(SAFETY_MARGIN_MS) < self.drives_until
    }

    /// The lease on this engine's groups was renewed, or given up. After a time in which no heartbeat was kept every
    /// running attempt is good for one full period more.
    pub(super) fn drives_until(&mut self, until: Millis) {
        let held = self.owns_groups();
        self.drives_until = until;
        if held || !self.owns_groups() {
            return;
        }
        self.prolong_all();
    }

    /// The clock stepped: no time passed for workers as it did for the clock, so every running attempt is good for one
    /// full period more, as after a load; and this engine's groups are its own as long as before.
    pub(super) fn stepped(&mut self, by: Millis) {
        self.drives_until = self.drives_until.saturating_add(by);
        self.former_until = self.former_until.saturating_add(by);
        self.prolong_all();
    }

    fn prolong_all(&mut self) {
        for ix in self.slots.numbers().collect::<Vec<_>>() {
            let Some(mut slot) = self.slots.take(ix) else { continue };
            self.prolong_leases(&mut slot);
            self.slots.put(ix, slot);
        }
    }
}
