//! The tick `clock`: samples the source of the engine's clock, each second where that is this machine's wall clock, and says
//! when the two are far apart. A store that has a clock of its own is sampled with each renewal (`groups`).
//! Always holds: a difference is told once when it begins and once when it is over, and shown by `/readyz` all the while.
//! Absent: what is done about it (`environment/discipline`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::ids::Millis;

use crate::engine::cluster::Cluster;
use crate::environment::{Clock, STEP_AHEAD_MS};
use crate::services::lifecycle::{Tick, TickReport};

/// Between two samples, milliseconds.
const SAMPLE_MS: Millis = 1_000;
/// A difference is far when working it off takes 50 s at a tenth of the rate.
const FAR_MS: Millis = STEP_AHEAD_MS;

/// The clock and its source.
#[derive(Debug)]
pub(super) struct Time {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    /// The source is this machine's wall clock.
    wall: bool,
    far: AtomicBool,
}

impl Time {
    pub(super) fn new(cluster: Cluster, clock: Arc<dyn Clock>, wall: bool) -> Self {
        Self { cluster, clock, wall, far: AtomicBool::new(false) }
    }

    /// Samples the source, when that is the wall clock. A difference that begins or is over is told.
    pub(super) async fn look(&self) {
        if self.wall {
            self.cluster.clock_sampled(self.clock.wall_ms()).await;
        }
        let difference = self.difference();
        let far = difference.is_some();
        if far == self.far.swap(far, Ordering::Relaxed) {
            return;
        }
        if let Some(difference) = difference {
            tracing::warn!(ahead_ms = self.clock.ahead_ms(), "{difference}");
        } else {
            tracing::info!("the engine's clock is near its source again");
        }
    }

    /// What is wrong with the clock, for operators; none when it is near its source.
    pub(super) fn difference(&self) -> Option<String> {
        let ahead = self.clock.ahead_ms();
        let by = ahead.unsigned_abs();
        if ahead > FAR_MS {
            Some(format!(
                "the engine's clock is {by} ms ahead of its source and runs a tenth slow until they meet: the source was \
                 set back, or was wrong when what is stored happened"
            ))
        } else if ahead < -FAR_MS {
            Some(format!("the engine's clock is {by} ms behind its source"))
        } else {
            None
        }
    }
}

/// Samples the source of the clock at each tick.
#[derive(Debug)]
pub(super) struct ClockTick(pub(super) Arc<Time>);

impl Tick for ClockTick {
    fn name(&self) -> &'static str {
        "clock"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        self.0.look().await;
        TickReport { did: 1, next_due: Some(now.saturating_add(SAMPLE_MS)), failure: None }
    }
}
