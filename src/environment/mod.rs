//! What the outside leaks into the engine: time, randomness and the ids minted from the two.
//! Each is a trait with a system version; the simulated clock stands beside the system's for the tests alone, and no build that ships has it. Nothing else in the tree reads a clock, draws a
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
#[cfg(any(test, feature = "proof"))]
mod simulated;
mod threads;
mod unfiled;

use std::sync::Arc;

pub use self::agreement::OwnKey;
pub use self::clock::{Clock, Sleep, SystemClock};
pub use self::dice::{Dice, SystemDice};
pub use self::discipline::{SLEW_DIVISOR, STEP_AHEAD_MS};
pub use self::ids::Ids;
pub use self::secrets::draw_secret;
#[cfg(any(test, feature = "proof"))]
pub use self::simulated::SimulatedClock;
pub use self::threads::{NotRun, Threads};
pub use self::unfiled::{Filing, Unfiled, UnfiledEntry};

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
}
