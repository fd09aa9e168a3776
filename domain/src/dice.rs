//! Numbers that follow from a seed, equal on every machine and in every version. Chance comes into a rule as such a
//! seed and nowhere else.
//! Absent: secrets. Nothing that follows from a seed may serve as a key or a token.

/// What the state of SplitMix64 grows by at each number.
pub const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The generator and where it stands: the same seed and as many draws give the same numbers.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose numbers follow from this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of the 2^64 equally likely.
    pub fn draw(&mut self) -> u64 {
        let drawn = splitmix64(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        drawn
    }
}

/// The number that SplitMix64 gives from this state.
pub fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The chance of one decision: a draw of its own for each node, so that nodes which fail together do not come back
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dice {
    seed: u64,
}

impl Dice {
    /// Dice whose draws follow from this seed.
    pub fn of(seed: u64) -> Self {
        Self { seed }
    }

    /// The node's draw, in [0, 1): the same each time it is asked for.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn unit(self, node: u32) -> f64 {
        let drawn = splitmix64(self.seed ^ splitmix64(u64::from(node)));
        (drawn >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_seed_0_is_the_published_one() {
        assert_eq!(splitmix64(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn nodes_of_one_decision_draw_apart_and_alike_when_asked_again() {
        let dice = Dice::of(7);
        let draws: Vec<f64> = (0..1_000).map(|node| dice.unit(node)).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        let mut tenths = [0; 10];
        for draw in &draws {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
            let tenth = (draw * 10.0) as usize;
            tenths[tenth] += 1;
        }
        assert!(tenths.iter().all(|count| *count > 60), "{tenths:?}");
        assert_eq!(dice.unit(3).to_bits(), dice.unit(3).to_bits());
        assert_ne!(dice.unit(3).to_bits(), Dice::of(8).unit(3).to_bits());
    }
}
