//! Every service that ships, started and drained from many sides at once, over and over: each with what it needs, and
//! all together as in the product. The engine is a whole one over stores in memory.

use std::sync::Arc;
use std::time::Duration;

use domain::bounds::{Bounds, GROUPS};
use orrery::config::{Secret, ServicesSettings, Settings};
use orrery::engine::core::CoreSettings;
use orrery::engine::executor;
use orrery::engine::handle::Engine;
use orrery::environment::Surroundings;
use orrery::membership::alone::Alone;
use orrery::membership::contract::{Introduction, Membership};
use orrery::membership::peers::Peers;
use orrery::services::driver::{Driver, DriverPart};
use orrery::services::housekeeping::{Housekeeping, Keep};
use orrery::services::job_scheduler::{JobScheduler, SubmissionBounds};
use orrery::services::lifecycle::{HostBuilder, Operations};
use orrery::services::retry_manager::RetryManager;
use orrery::services::view_writer::ViewWriter;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::stress::start_and_stop;
use orrery_testing::view::MemoryView;

const ROUNDS: usize = 12;

/// An engine, and what its services are made of.
struct Stage {
    engine: Engine,
    outside: Surroundings,
    settings: ServicesSettings,
    /// One for each round: a driver joins the engines once.
    drivers: Vec<Arc<Driver>>,
}

impl Stage {
    async fn new() -> Self {
        let (outside, _clock) = orrery_testing::simulated(1_700_000_000_000, 7);
        let parts = executor::Parts {
            settings: CoreSettings::default(),
            me: 1,
            drivers: vec![Some(1); usize::from(GROUPS)],
            store: Arc::new(MemoryEventStore::new("stress")),
            view: Arc::new(MemoryView::default()),
            surroundings: outside.clone(),
            append_deadline: Duration::from_secs(10),
            forward: None,
        };
        let (engine, _executor) = executor::start(parts).await.expect("the engine starts");
        let mut drivers = Vec::new();
        for _ in 0..ROUNDS {
            drivers.push(driver(&engine, &outside).await);
        }
        let settings = Settings::defaults().expect("the defaults are settings").services;
        Self { engine, outside, settings, drivers }
    }

    fn view_writer(&self) -> Arc<ViewWriter> {
        ViewWriter::new(self.engine.clone(), Duration::from_secs(10))
    }

    fn housekeeping(&self) -> Arc<Housekeeping> {
        let hour = Duration::from_hours(1);
        let keep = Keep { age: Some(hour), jobs: Some(1_000), every: hour, any_clock: false };
        Housekeeping::new(self.engine.clone(), keep, None)
    }

    fn operations(&self, service: &'static str) -> Operations {
        Operations::new(service, self.settings.of(service), Arc::clone(&self.outside.clock))
    }

    fn retry_manager(&self) -> Arc<RetryManager> {
        RetryManager::new(self.engine.clone(), self.operations("retry_manager"))
    }

    fn job_scheduler(&self) -> Arc<JobScheduler> {
        let operations = self.operations("job_scheduler");
        let bounds = SubmissionBounds { bounds: Bounds::default(), queue_timeout: None };
        JobScheduler::new(self.engine.clone(), self.outside.clone(), operations, bounds)
    }

    /// Each round with a driver of its own, and the services that `add` adds to it.
    async fn survives(mut self, add: impl Fn(&Self, HostBuilder) -> HostBuilder) {
        let drivers = std::mem::take(&mut self.drivers);
        let unused = std::cell::RefCell::new(drivers.into_iter());
        let held = start_and_stop(ROUNDS, &self.settings, &self.outside, |builder| {
            let driver = unused.borrow_mut().next().expect("a driver for each round");
            add(&self, builder.with(&driver))
        });
        held.await.expect("every round ends with everything stopped");
    }
}

async fn driver(engine: &Engine, outside: &Surroundings) -> Arc<Driver> {
    let membership: Arc<dyn Membership> = Arc::new(Alone::new(Arc::clone(&outside.clock)));
    let introduction = Introduction {
        name: String::new(),
        address: "127.0.0.1:8080".to_owned(),
        version: "test".to_owned(),
        public_key: String::new(),
    };
    let joined_as = membership.join(&introduction).await.expect("a number");
    let (told, peers) = Peers::new(Secret::new("secret"));
    let drivers = vec![Some(joined_as); usize::from(GROUPS)];
    let part = DriverPart { membership, introduction, joined_as, told, peers, drivers };
    Driver::new(engine.clone(), Arc::clone(&outside.clock), true, part)
}

#[tokio::test]
async fn the_driver_survives_the_start_and_stop_stress() {
    Stage::new().await.survives(|_, builder| builder).await;
}

#[tokio::test]
async fn the_view_writer_survives_the_start_and_stop_stress() {
    Stage::new().await.survives(|stage, builder| builder.with(&stage.view_writer())).await;
}

#[tokio::test]
async fn housekeeping_survives_the_start_and_stop_stress() {
    Stage::new().await.survives(|stage, builder| builder.with(&stage.housekeeping())).await;
}

#[tokio::test]
async fn the_job_scheduler_survives_the_start_and_stop_stress() {
    Stage::new().await.survives(|stage, builder| builder.with(&stage.job_scheduler())).await;
}

#[tokio::test]
async fn the_retry_manager_survives_the_start_and_stop_stress() {
    Stage::new().await.survives(|stage, builder| builder.with(&stage.retry_manager())).await;
}

#[tokio::test]
async fn all_services_together_survive_the_start_and_stop_stress_and_start_again() {
    let stage = Stage::new().await;
    let (view_writer, housekeeping) = (stage.view_writer(), stage.housekeeping());
    let (job_scheduler, retry_manager) = (stage.job_scheduler(), stage.retry_manager());
    stage
        .survives(|_, builder| {
            let builder = builder.with(&view_writer).with(&housekeeping);
            builder.with(&job_scheduler).with(&retry_manager)
        })
        .await;
}
