//! Randomness: one source in the product. Whoever needs the same draws again brings dice of their own.
//! Absent: secrets. Nothing drawn here may serve as a key or a token that must not be guessed.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!((0..10_000).map(|_| SystemDice.unit()).all(|draw| (0.0..1.0).contains(&draw)));
    }
}
