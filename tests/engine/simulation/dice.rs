//! Chance of the simulation: one seed, one stream of draws, the same on every machine. The engines have dice of their
//! own, seeded from here. Absent on purpose: any other source of chance, and any float.

use domain::dice::SplitMix64;
use orrery_model::random_trees::Chance;

/// The generator and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Dice(SplitMix64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// Below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// From `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// As `between`, for times.
    pub(crate) fn wait(&mut self, first: i64, last: i64) -> i64 {
        let (first, last) = (first.unsigned_abs(), last.unsigned_abs());
        i64::try_from(self.between(first, last)).expect("waits are short")
    }

    /// A position in a list of this length.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("a position")
    }

    /// Draws nothing where the chance is 0, so that a fault that is off does not shift the others.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1_000) < per_mille
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }
}

impl Chance for Dice {
    fn number_below(&mut self, bound: u64) -> u64 {
        self.below(bound)
    }
}
