//! Doubles for the tests: what stands in for a disk, a database and other engines, with faults drawn from a seed.
//! Always: they are whole implementations of the engine's contracts, held to the same conformance tests as those that
//! ship (`tests/engine/storage`); equal seeds and equal calls give equal answers. Absent: what ships; the binary never
//! sees this package.

mod chance;
mod dice;
pub mod event_store;
pub mod membership;
pub mod stress;
pub mod view;

use std::sync::Arc;

use orrery::environment::{SimulatedClock, Surroundings};

pub use self::dice::SeededDice;

/// Surroundings that depend on nothing but the arguments: the clock stands at `start_ms` (milliseconds since 1970) until
/// it is advanced, the dice follow from `seed`.
pub fn simulated(start_ms: i64, seed: u64) -> (Surroundings, SimulatedClock) {
    let clock = SimulatedClock::at(start_ms);
    (Surroundings::new(Arc::new(clock.clone()), Arc::new(SeededDice::new(seed))), clock)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let (outside, clock) = simulated(1_700_000_000_000, 1);
        let first = outside.ids.mint();
        clock.advance(Duration::from_millis(1));
        let second = outside.ids.mint();
        assert_eq!(first.get_version_num(), 7);
        assert!(first < second);
    }

    #[test]
    fn equal_surroundings_mint_equal_ids() {
        let mint = || {
            let (outside, _) = simulated(5, 9);
            (0..10).map(|_| outside.ids.mint()).collect::<Vec<_>>()
        };
        assert_eq!(mint(), mint());
    }
}
