//! The service `housekeeping`: what is done to stored data when nobody waits for it.
//! Always holds: each step is bounded and off the hot path; what is let go of is decided by the stream, never by the
//! view it was found in. Absent: rules (`domain`), and anything that jobs which run depend on.

mod payloads;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::{Need, Service, Ticks};
use crate::engine::handle::Engine;
use crate::event_store::contract::PayloadSweep;

pub use self::payloads::Payloads;
pub use self::retention::{Keep, Retention};

/// How long the driver may take to start.
const DRIVER_START_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Housekeeping {
    engine: Engine,
    keep: Keep,
    sweep: Option<Arc<dyn PayloadSweep>>,
}

impl Housekeeping {
    /// In this engine's store; `sweep` is that of a store that writes payloads apart.
    pub fn new(engine: Engine, keep: Keep, sweep: Option<Arc<dyn PayloadSweep>>) -> Arc<Self> {
        Arc::new(Self { engine, keep, sweep })
    }
}

impl Service for Housekeeping {
    fn name(&self) -> &'static str {
        "housekeeping"
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::required("driver", DRIVER_START_MAX)]
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        let ticks = Ticks::none().with(Retention::new(self.engine.clone(), self.keep));
        match &self.sweep {
            Some(store) => ticks.with(Payloads::new(Arc::clone(store))),
            None => ticks,
        }
    }
}
