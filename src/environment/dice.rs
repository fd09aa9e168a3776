//! Randomness: one source in the product, a seeded one for tests and simulation.
//! Always holds: a seeded die depends on its seed and on how often it was thrown, on nothing else.
//! Absent: secrets. Nothing drawn here may serve as a key or a token that must not be guessed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::dice::{GOLDEN, splitmix64};

/// Draws numbers. Retry jitter is drawn through it once and stored, never drawn again at replay.
pub trait Dice: fmt::Debug + Send + Sync {
    /// Any of the 2^64 numbers, each equally likely.
    fn next_u64(&self) -> u64;

    /// A number in [0, 1).
    fn unit(&self) -> f64 {
        // 53 bits are what a double holds exactly, so 1.0 can never come out.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let draw = (self.next_u64() >> 11) as f64;
        draw / 9_007_199_254_740_992.0
    }
}

/// The thread's generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    #[expect(clippy::disallowed_methods, reason = "these are the dice that everybody else throws")]
    fn next_u64(&self) -> u64 {
        use rand::Rng as _;
        rand::rng().next_u64()
    }
}

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
    }

    #[test]
    fn a_unit_is_never_one() {
        #[derive(Debug)]
        struct Highest;
        impl Dice for Highest {
            fn next_u64(&self) -> u64 {
                u64::MAX
            }
        }
        assert!(Highest.unit() < 1.0);
        let dice = SeededDice::new(1);
        assert!((0..10_000).map(|_| dice.unit()).all(|draw| (0.0..1.0).contains(&draw)));
        assert!((0.0..1.0).contains(&SystemDice.unit()));
    }
}
