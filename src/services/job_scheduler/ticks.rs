//! The scheduler's ticks. The core acts on events and timers by itself; each tick says how much of one kind of work it
//! did since the last look. `stalled_dispatch` finds work and workers that wait for each other.

use std::sync::{Mutex, PoisonError};

use domain::ids::Millis;

use crate::engine::core::CoreCounts;
use crate::engine::handle::Engine;
use crate::services::lifecycle::{Tick, TickReport, Ticks};

/// Between two looks, milliseconds.
const LOOK_MS: Millis = 1_000;
/// A meeting of work and worker takes one turn; seen at this many looks in a row it does not happen.
const LOOKS_STALLED: u32 = 3;

/// All of them.
pub(super) fn all(engine: &Engine) -> Ticks {
    let counted = |name, count| CountedDelta {
        name,
        engine: engine.clone(),
        count,
        last: Mutex::new(count(&engine.counts())),
    };
    Ticks::none()
        .with(counted("admission", |counts| counts.grants_tried))
        .with(counted("due_starts", |counts| counts.starts_due))
        .with(counted("timeouts", |counts| counts.timeouts_due))
        .with(counted("lease_expiry", |counts| counts.leases_expired))
        .with(Stalled { engine: engine.clone(), seen: Mutex::default() })
}

/// Tells how often the core did something since the last look.
struct CountedDelta {
    name: &'static str,
    engine: Engine,
    count: fn(&CoreCounts) -> u64,
    last: Mutex<u64>,
}

impl Tick for CountedDelta {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn tick(&self, now: Millis) -> TickReport {
        let count = (self.count)(&self.engine.counts());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, count);
        TickReport::did(count.saturating_sub(before), Some(now.saturating_add(LOOK_MS)))
    }
}

/// Finds queues where ready nodes and parked requests wait for each other.
struct Stalled {
    engine: Engine,
    seen: Mutex<u32>,
}

impl Tick for Stalled {
    fn name(&self) -> &'static str {
        "stalled_dispatch"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        let queues = self.engine.counts().stalled_queues;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = if queues == 0 { 0 } else { seen.saturating_add(1) };
        let next_due = Some(now.saturating_add(LOOK_MS));
        if *seen < LOOKS_STALLED {
            return TickReport::did(0, next_due);
        }
        let failure =
            format!("in {queues} queues ready nodes and waiting workers do not come together");
        if *seen == LOOKS_STALLED {
            tracing::error!(queues, "{failure}");
        }
        TickReport { did: queues, next_due, failure: Some(failure) }
    }
}
