//! The service `view_writer`: sees that the view keeps up with the streams. The core writes it; this says when it is
//! behind, or being made anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::Millis;

use super::lifecycle::{Need, Service, Tick, TickReport, Ticks};
use crate::engine::handle::Engine;

/// Between two looks, milliseconds.
const LOOK_MS: Millis = 500;
/// How long the driver may take to start.
const DRIVER_START_MAX: Duration = Duration::from_secs(30);

/// Watches the view.
#[derive(Debug)]
pub struct ViewWriter {
    engine: Engine,
    lag_max_ms: Millis,
}

impl ViewWriter {
    /// Of this engine; beyond `lag_max` it is behind.
    pub fn new(engine: Engine, lag_max: Duration) -> Arc<Self> {
        let lag_max_ms = Millis::try_from(lag_max.as_millis()).unwrap_or(Millis::MAX);
        Arc::new(Self { engine, lag_max_ms })
    }
}

impl Service for ViewWriter {
    fn name(&self) -> &'static str {
        "view_writer"
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::required("driver", DRIVER_START_MAX)]
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        Ticks::none().with(Lag {
            engine: self.engine.clone(),
            max_ms: self.lag_max_ms,
            behind: Mutex::new(false),
        })
    }
}

struct Lag {
    engine: Engine,
    max_ms: Millis,
    behind: Mutex<bool>,
}

impl Tick for Lag {
    fn name(&self) -> &'static str {
        "lag"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        // From now, not from the core's last turn: a core that hangs leaves the view behind too.
        let since = self.engine.counts().unshown_since;
        let lag = since.map_or(0, |since| now.saturating_sub(since).max(0));
        let behind = lag > self.max_ms;
        let was_behind = std::mem::replace(
            &mut *self.behind.lock().unwrap_or_else(PoisonError::into_inner),
            behind,
        );
        if behind != was_behind {
            tracing::warn!(lag_ms = lag, behind, "the view's lag passed its bound");
        }
        let next = Some(now.saturating_add(LOOK_MS));
        // A view that is being made from the streams (always at the first start) is work, not a failure.
        let failure =
            behind.then(|| format!("the view is {lag} ms behind, {} are allowed", self.max_ms));
        TickReport { did: u64::from(since.is_some()), next_due: next, failure }
    }
}
