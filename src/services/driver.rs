//! The service `driver`: sees that the engine's core turns and that the store answers. The core drives by itself; this
//! says when it does not.
//! Absent: leases on groups; the embedded engine drives all of them.

use std::sync::Mutex;
use std::sync::{Arc, PoisonError};

use domain::ids::Millis;

use super::lifecycle::{Service, ServiceError, Tick, TickReport, Ticks};
use crate::engine::core::CoreCounts;
use crate::engine::handle::Engine;
use crate::telemetry::metrics::{COMMAND_QUEUE, LEASE_EXPIRATIONS, STALE_REPORTS};

/// Between two looks, milliseconds.
const LOOK_MS: Millis = 1_000;
/// The core turns at least every 5 s, when it looks for what is due; after this long without a turn it hangs.
const TURN_MAX_MS: Millis = 15_000;

/// Watches core and store.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
}

impl Driver {
    /// Of this engine.
    pub fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Self { engine })
    }
}

impl Service for Driver {
    fn name(&self) -> &'static str {
        "driver"
    }

    /// The core must answer once.
    async fn start(&self) -> Result<(), ServiceError> {
        let namespace = domain::ids::Namespace::default_namespace();
        self.engine.queues(&namespace).await.map(|_| ()).map_err(ServiceError::new)
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        Ticks::none().with(Turning { engine: self.engine.clone(), last: Mutex::default() })
    }
}

/// Whether the core turns and the store answers; tells the metrics what the core counted.
struct Turning {
    engine: Engine,
    last: Mutex<CoreCounts>,
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
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
        metrics::gauge!(COMMAND_QUEUE).set(counts.queued as f64);
        let expired = counts.leases_expired.saturating_sub(last.leases_expired);
        metrics::counter!(LEASE_EXPIRATIONS).increment(expired);
        let stale = counts.stale_reports.saturating_sub(last.stale_reports);
        metrics::counter!(STALE_REPORTS).increment(stale);
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
