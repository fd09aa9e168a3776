//! What may go wrong with the in-memory view, and how often; drawn from a seed, off by default.
//! Always holds: a fault never breaks the seq guard. Absent: wrong answers; the view is late or silent, never false.

use crate::chance::Chance;

/// How often each fault happens, in thousandths of the calls; 0 by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Draws follow from it.
    pub seed: u64,
    /// A call gives way to other tasks up to so many times before it acts.
    pub delay_turns_max: u32,
    /// Flushes that land in part (none, some or all of the documents) and fail.
    pub flush_in_part_per_mille: u16,
    /// All other calls that answer `Unavailable`.
    pub call_fails_per_mille: u16,
}

#[derive(Debug)]
pub(super) struct FaultSource {
    faults: Faults,
    chance: Chance,
}

impl FaultSource {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, chance: Chance::new(faults.seed) }
    }

    /// How many of `documents` a flush that fails writes; none when it does not fail.
    pub(super) fn flush_cut(&mut self, documents: usize) -> Option<usize> {
        let happens = self.chance.happens(self.faults.flush_in_part_per_mille);
        happens.then(|| self.below(documents + 1))
    }

    pub(super) fn call_fails(&mut self) -> bool {
        self.chance.happens(self.faults.call_fails_per_mille)
    }

    pub(super) fn turns(&mut self) -> u32 {
        self.chance.turns(self.faults.delay_turns_max)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.chance.draw() % end).unwrap_or(0)
    }
}
