//! The service `driver`: takes this engine's part of the groups (`groups`), and sees that its core turns and that the
//! store answers (`turning`). The core drives by itself; this says what, and when it does not.

mod groups;
mod time;
mod turning;

use std::sync::Arc;
use std::time::Duration;

use self::groups::{Groups, GroupsTick};
use self::time::{ClockTick, Time};
use self::turning::Turning;
use super::lifecycle::{Service, ServiceError, Ticks};
use crate::engine::handle::Engine;
use crate::environment::Clock;
use crate::membership::contract::{EngineId, MembershipResult};
use crate::membership::peers::Peers;

pub use self::groups::{DriverPart, Seen};

#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    time: Arc<Time>,
    groups: Arc<Groups>,
}

impl Driver {
    /// Of this engine, with its part among the engines. `wall`: the clock's source is this machine's wall clock.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>, wall: bool, part: DriverPart) -> Arc<Self> {
        let groups = Arc::new(Groups::new(engine.cluster(), Arc::clone(&clock), part));
        let time = Arc::new(Time::new(engine.cluster(), clock, wall));
        Arc::new(Self { engine, time, groups })
    }

    /// Samples the clock's source, where that is this machine's wall clock, and says whether the two are far apart.
    pub async fn look_at_clock(&self) {
        self.time.look().await;
    }

    /// What is wrong with the clock, for operators; none when it is near its source.
    pub fn clock_difference(&self) -> Option<String> {
        self.time.difference()
    }

    /// The engines and groups at the last look.
    pub fn seen(&self) -> Arc<Seen> {
        self.groups.seen()
    }

    /// The number that this engine goes by among the engines: another one after an eviction.
    pub fn number(&self) -> EngineId {
        self.groups.number()
    }

    /// What this engine is called under that number.
    pub fn name_of(&self, number: EngineId) -> String {
        self.groups.name_of(number)
    }

    /// The other engines, for whoever asks them.
    pub fn peers(&self) -> &Peers {
        self.groups.peers()
    }

    /// Whether this engine's tenure surely holds.
    pub fn holds(&self) -> bool {
        self.groups.holds()
    }

    /// Takes one step now: renews when that is due, takes over, hands over.
    ///
    /// # Errors
    /// What keeps the records from being read or changed; the next step tries again.
    pub async fn step(&self) -> MembershipResult<u64> {
        self.groups.step().await
    }

    /// Hands everything over: the engine is about to end. It serves on, and drives nothing any more.
    pub async fn leave(&self) {
        if let Err(error) = self.groups.leave().await {
            tracing::warn!(%error, "not everything was handed over at once");
        }
    }
}

impl Service for Driver {
    fn name(&self) -> &'static str {
        "driver"
    }

    /// The core must answer once, and the engines' records too.
    async fn start(&self) -> Result<(), ServiceError> {
        self.engine.has_heard().await.map_err(ServiceError::new)?;
        self.groups.step().await.map(drop).map_err(ServiceError::new)
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        Ticks::none()
            .with(GroupsTick(Arc::clone(&self.groups)))
            .with(ClockTick(Arc::clone(&self.time)))
            .with(Turning::new(self.engine.clone()))
    }

    /// Others need not wait until its tenure is over.
    async fn drain(&self, _deadline: Duration) -> Result<(), ServiceError> {
        self.groups.end().await.map_err(ServiceError::new)
    }
}
