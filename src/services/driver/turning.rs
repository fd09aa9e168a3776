//! Whether the core turns and the store answers. Absent: metrics of what the core counts; whoever renders them asks it.

use std::sync::{Mutex, PoisonError};

use domain::ids::Millis;

use crate::engine::core::CoreCounts;
use crate::engine::handle::Engine;
use crate::services::lifecycle::{Tick, TickReport};

/// Between two looks, milliseconds.
const LOOK_MS: Millis = 1_000;
/// The core turns at least every 5 s; after this long without a turn it hangs.
const TURN_MAX_MS: Millis = 15_000;

/// The tick `turning`.
#[derive(Debug)]
pub(super) struct Turning {
    engine: Engine,
    last: Mutex<CoreCounts>,
}

impl Turning {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, last: Mutex::default() }
    }
}

impl Tick for Turning {
    fn name(&self) -> &'static str {
        "turning"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        let counts = self.engine.counts();
        let last = std::mem::replace(
            &mut *self.last.lock().unwrap_or_else(PoisonError::into_inner),
            counts,
        );
        let next = Some(now.saturating_add(LOOK_MS));
        let silent = now.saturating_sub(self.engine.turned_at());
        let failure = if silent > TURN_MAX_MS {
            Some(format!("the core has not turned for {silent} ms"))
        } else if self.engine.store_answers() {
            None
        } else {
            Some("the event store did not answer the last append".to_owned())
        };
        TickReport { did: counts.events.saturating_sub(last.events), next_due: next, failure }
    }
}
