//! Numbers that depend only on a seed and the draws before them: the same inputs give the same engine.

use domain::dice::{GOLDEN, splitmix64};

/// The core's dice.
#[derive(Debug)]
pub(crate) struct CoreDice(u64);

impl CoreDice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        let drawn = splitmix64(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        drawn
    }
}
