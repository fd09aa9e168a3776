//! Ids minted by the engine: UUID version 7 from the engine's clock and dice.
//! Always holds: ids of a later millisecond sort after those of an earlier one; with a simulated clock and seeded
//! dice the ids are the same in every run. One type, no trait: what varies is the clock and the dice behind it.
//! Absent: ids that follow from a key or a name (those are rules, in `domain`).

use std::sync::Arc;

use uuid::Uuid;

use super::{Clock, Dice};

/// Mints ids; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
}

impl Ids {
    /// Ids from this clock and these dice.
    pub fn new(clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Self {
        Self { clock, dice }
    }

    /// A new id: 48 bits of the engine's time in milliseconds, 74 bits of chance.
    pub fn mint(&self) -> Uuid {
        // Before 1970 there is no version 7; such a clock is corrected by its floor before anything is minted.
        let ms = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        let mut chance = [0_u8; 10];
        chance[..8].copy_from_slice(&self.dice.next_u64().to_be_bytes());
        chance[8..].copy_from_slice(&self.dice.next_u64().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(ms, &chance).into_uuid()
    }
}
