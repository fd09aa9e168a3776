//! Dice that follow from a seed.
//! Always holds: a draw depends on the seed and on how often they were thrown, on nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::dice::{GOLDEN, splitmix64};
use orrery::environment::Dice;

/// SplitMix64 over one counter: equal seeds give equal draws, on every machine, for ever.
#[derive(Debug)]
pub struct SeededDice {
    state: AtomicU64,
}

impl SeededDice {
    /// Dice whose throws follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }
}

impl Dice for SeededDice {
    fn next_u64(&self) -> u64 {
        splitmix64(self.state.fetch_add(GOLDEN, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_draws() {
        let (a, b, c) = (SeededDice::new(7), SeededDice::new(7), SeededDice::new(8));
        let draws = |dice: &SeededDice| (0..100).map(|_| dice.next_u64()).collect::<Vec<_>>();
        let drawn = draws(&a);
        assert_eq!(drawn, draws(&b));
        assert_ne!(drawn, draws(&c));
        assert!((0..10_000).map(|_| c.unit()).all(|draw| (0.0..1.0).contains(&draw)));
    }
}
