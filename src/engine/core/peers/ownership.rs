//! How long this engine's groups are surely its own. What rests on volatile facts (keeping an attempt by a heartbeat,
//! ending one that was silent, letting a subject leave memory) is done only until then, with time in hand.
//! Absent: anything that correctness rests on; what two engines write at once the append settles.

use domain::ids::Millis;

/// The engine's clock may run a tenth faster or slower than time, and a lease is 10 s: with this in hand it ends here
/// before it ends for anybody else.
const SAFETY_MARGIN_MS: Millis = 2_000;

/// Until when what is believed about the groups holds.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// Nobody else writes to the store: the groups are always its own.
    alone: bool,
    /// Until when this engine's groups are its own.
    until: Millis,
    /// Until when those from whom groups were taken may write to them unheard.
    former_until: Millis,
}

impl Ownership {
    pub(crate) fn new(alone: bool) -> Self {
        Self { alone, until: Millis::MIN, former_until: Millis::MIN }
    }

    /// Whether this engine's groups are surely its own now.
    pub(crate) fn is_sure(&self, now: Millis) -> bool {
        self.alone || now.saturating_add(SAFETY_MARGIN_MS) < self.until
    }

    /// The lease on the groups was renewed, or given up. Answers whether it is sure again, after a time in which it was
    /// not and no heartbeat was kept.
    pub(crate) fn renew(&mut self, until: Millis, now: Millis) -> bool {
        let was_sure = self.is_sure(now);
        self.until = until;
        !was_sure && self.is_sure(now)
    }

    /// Engines from which groups were taken may write to them unheard until then.
    pub(crate) fn former_may_write(&mut self, until: Millis) {
        self.former_until = self.former_until.max(until);
    }

    /// Whether nobody who drove a group before can write to it unheard any more.
    pub(crate) fn former_are_over(&self, now: Millis) -> bool {
        now >= self.former_until
    }

    /// The clock stepped: the groups are its own for as long as before.
    pub(crate) fn step(&mut self, by: Millis) {
        self.until = self.until.saturating_add(by);
        self.former_until = self.former_until.saturating_add(by);
    }
}
