//! What the outside leaks into the engine: time, randomness and the ids minted from the two.
//! Each is a trait with a system version; the simulated ones stand beside them as plain types, because the
//! tests, the simulation and the demo use the very same doors. Nothing else in the tree reads a clock, draws a
//! number or mints an id (`clippy.toml` bans the calls). `mongodb` is the way to that database, `outbound` the one to
//! other engines. Absent on purpose: HTTP to addresses that callers name (comes with the node runner), process
//! environment variables (`config` owns them; the one of the tests' fail points is theirs).

mod agreement;
mod clock;
mod dice;
mod discipline;
pub mod fail_points;
mod ids;
pub mod mongodb;
pub mod open_files;
pub mod outbound;
pub mod packing;
mod secrets;
mod simulated;
mod threads;
mod unfiled;

use std::sync::Arc;

pub use self::agreement::OwnKey;
pub use self::clock::{Clock, Sleep, SystemClock};
pub use self::dice::{Dice, SeededDice, SystemDice};
pub use self::discipline::{SLEW_DIVISOR, STEP_AHEAD_MS};
pub use self::ids::Ids;
pub use self::secrets::draw_secret;
pub use self::simulated::SimulatedClock;
pub use self::threads::{NotRun, Threads};
pub use self::unfiled::{Entry, Filing, Unfiled};

/// Clock, dice and ids that belong together; cheap to clone, handed to whatever needs the outside.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The engine's clock.
    pub clock: Arc<dyn Clock>,
    /// The engine's randomness.
    pub dice: Arc<dyn Dice>,
    /// Ids minted from the two above.
    pub ids: Ids,
}

impl Surroundings {
    /// Clock and dice of one's own choice, with ids minted from them.
    pub fn new(clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Self {
        let ids = Ids::new(Arc::clone(&clock), Arc::clone(&dice));
        Self { clock, dice, ids }
    }

    /// The real ones, started now.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock::start()), Arc::new(SystemDice))
    }

    /// Simulated ones that depend on nothing but the arguments: the clock stands at `start_ms` (milliseconds
    /// since 1970) until it is advanced, the dice follow from `seed`.
    pub fn simulated(start_ms: i64, seed: u64) -> (Self, SimulatedClock) {
        let clock = SimulatedClock::at(start_ms);
        (Self::new(Arc::new(clock.clone()), Arc::new(SeededDice::new(seed))), clock)
    }
}
