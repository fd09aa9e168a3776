//! The host: starts the services in order, keeps a pump running for each, and drains them in reverse.
//! Always holds: a service is prepared only after what it needs eagerly runs, or its time is over; it is drained
//! before anything it needs; a drain ends within its deadline and leaves no tick running. A host lives once.
//! Absent: knowing any service; `app` builds them and hands them in.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cell::{Cell, TickRecord};
use super::heartbeat::judge;
use super::launch::{Launch, START_TIMEOUT};
use super::order::start_order;
use super::pump::Pump;
use super::service::{HostedService, Need};
use super::snapshot::{DependencySnapshot, ServiceSnapshot, TickSnapshot};
use super::tasks::panic_text;
use super::{Operations, Service, ServiceState};
use crate::config::ServicesSettings;
use crate::environment::Surroundings;

/// The services cannot be hosted together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Two services have one name.
    #[error("there are two services named {name}")]
    Twice { name: &'static str },
    /// A required service is not there.
    #[error("{name} needs {needs}, which is not there")]
    Missing {
        /// Who needs it.
        name: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// Nobody could start first.
    #[error("services need each other in a circle: {path}")]
    Cycle {
        /// The way round, by names.
        path: String,
    },
}

/// A service that did not start; its pump keeps trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStart {
    pub service: &'static str,
    pub reason: String,
}

/// Services before they are hosted.
#[derive(Default)]
pub struct HostBuilder {
    services: Vec<Box<dyn HostedService>>,
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.services.iter().map(|service| service.name())).finish()
    }
}

impl HostBuilder {
    /// One more service.
    #[must_use]
    pub fn with<S: Service>(mut self, service: &Arc<S>) -> Self {
        self.services.push(Box::new(Arc::clone(service)));
        self
    }

    /// Puts them in order. Nothing runs yet.
    pub fn build(
        self,
        settings: ServicesSettings,
        outside: Surroundings,
    ) -> Result<ServiceHost, HostError> {
        let named: Vec<(&'static str, Vec<Need>)> =
            self.services.iter().map(|service| (service.name(), service.needs())).collect();
        let order = start_order(&named)?;
        let cells: Vec<Arc<Cell>> = named
            .iter()
            .map(|(name, _)| Arc::new(Cell::new(name, Arc::clone(&outside.clock))))
            .collect();
        let cell_of = |name: &str| cells.iter().find(|cell| cell.name() == name).map(Arc::clone);
        let stop = CancellationToken::new();
        let launches: Vec<Arc<Launch>> = self
            .services
            .into_iter()
            .zip(&cells)
            .zip(&named)
            .map(|((service, cell), (name, needs))| {
                let needs =
                    needs.iter().map(|need| (need.clone(), cell_of(need.service))).collect();
                let (cell, clock) = (Arc::clone(cell), Arc::clone(&outside.clock));
                // Each service has a token of its own: the drain ends their pumps one after the other.
                Arc::new(Launch {
                    cell,
                    service,
                    needs,
                    timeout: longest_wait(name, &named),
                    clock,
                    stop: stop.child_token(),
                })
            })
            .collect();
        let launches =
            order.iter().filter_map(|index| launches.get(*index).map(Arc::clone)).collect();
        Ok(ServiceHost {
            launches,
            settings,
            outside,
            phase: std::sync::Mutex::new(HostPhase::Built),
            draining: tokio::sync::Mutex::default(),
        })
    }
}

fn longest_wait(name: &str, named: &[(&'static str, Vec<Need>)]) -> Duration {
    let waits = named.iter().flat_map(|(_, needs)| needs).filter(|need| need.service == name);
    waits.map(|need| need.start_timeout).max().unwrap_or(START_TIMEOUT)
}

/// The hosted services.
pub struct ServiceHost {
    /// In the order of their start.
    launches: Vec<Arc<Launch>>,
    settings: ServicesSettings,
    outside: Surroundings,
    phase: std::sync::Mutex<HostPhase>,
    /// Held while draining: a second drain waits for the first, or goes on where a dropped one was.
    draining: tokio::sync::Mutex<()>,
}

/// How far the host's one life has come.
enum HostPhase {
    Built,
    /// A pump a launch, in the same order.
    Started(Vec<Option<JoinHandle<()>>>),
    /// Nothing starts any more; the drain takes pump after pump.
    Draining(Vec<Option<JoinHandle<()>>>),
}

impl std::fmt::Debug for ServiceHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.launches.iter().map(|launch| (launch.cell.name(), launch.cell.state())))
            .finish()
    }
}

impl ServiceHost {
    /// A host to put services into.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Starts every service, each when what it needs runs, and comes back when each is running or has failed. Those
    /// that failed are tried again by their pumps; whether the engine goes on without them is the caller's choice.
    /// Called again, it starts nothing more; called after a drain, nothing at all. Dropped, the start goes on.
    pub async fn start(&self) -> Vec<FailedStart> {
        self.spawn_pumps();
        for launch in &self.launches {
            launch
                .cell
                .reaches(|state| !matches!(state, ServiceState::Initializing | ServiceState::Ready))
                .await;
        }
        self.launches.iter().filter_map(|launch| failed_start(&launch.cell)).collect()
    }

    /// One pump a service, once; a pump brings its service up before it pumps.
    fn spawn_pumps(&self) {
        let mut phase = self.phase();
        if matches!(*phase, HostPhase::Built) {
            let spawn = |launch: &Arc<Launch>| {
                let settings = self.settings.of(launch.cell.name());
                let pump = Pump::new(Arc::clone(launch), settings, self.outside.clone());
                Some(tokio::spawn(pump.run()))
            };
            *phase = HostPhase::Started(self.launches.iter().map(spawn).collect());
        }
    }

    /// Ends the ticks of every service and lets it give back what it holds, those started last first, all within
    /// `deadline`. Afterwards nothing of theirs runs. Called again it waits for the first call; called while a start
    /// is under way it ends that too.
    pub async fn drain(&self, deadline: Duration) {
        let end = self.outside.clock.monotonic().saturating_add(deadline);
        let _one_at_a_time = self.draining.lock().await;
        {
            let mut phase = self.phase();
            *phase = HostPhase::Draining(match std::mem::replace(&mut *phase, HostPhase::Built) {
                HostPhase::Built => Vec::new(),
                HostPhase::Started(pumps) | HostPhase::Draining(pumps) => pumps,
            });
        }
        for (index, launch) in self.launches.iter().enumerate().rev() {
            if launch.cell.drained() {
                continue;
            }
            let pump = match &mut *self.phase() {
                HostPhase::Draining(pumps) => pumps.get_mut(index).and_then(Option::take),
                HostPhase::Built | HostPhase::Started(_) => None,
            };
            // An equal share of what is left, so that one that hangs does not rob those it needs of their end.
            let now = self.outside.clock.monotonic();
            let share = end.saturating_sub(now) / u32::try_from(index + 1).unwrap_or(u32::MAX);
            self.drain_one(launch, pump, now.saturating_add(share)).await;
            launch.cell.set_drained();
        }
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, HostPhase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drain_one(&self, launch: &Launch, pump: Option<JoinHandle<()>>, end: Duration) {
        let left = || end.saturating_sub(self.outside.clock.monotonic());
        let cell = &launch.cell;
        launch.stop.cancel();
        if cell.state() == ServiceState::Initializing {
            cell.fail("the engine stopped before it had started");
        }
        cell.enter(ServiceState::Stopping);
        let mut trouble = None;
        if let Some(mut pump) = pump {
            tokio::select! {
                biased;
                ended = &mut pump => if ended.is_err() {
                    trouble = Some("its pump panicked".to_owned());
                },
                () = self.outside.clock.sleep(left()) => {
                    // Nothing may be half done at an await of a tick, so it is cut off there.
                    pump.abort();
                    let _ = pump.await;
                    trouble = Some("a tick did not end within the deadline".to_owned());
                }
            }
        }
        let drained = AssertUnwindSafe(launch.service.drain(left())).catch_unwind();
        let drained = tokio::select! {
            biased;
            drained = drained => match drained {
                Ok(outcome) => outcome.err().map(|error| error.to_string()),
                Err(panic) => {
                    cell.count_panic();
                    Some(format!("drain panicked: {}", panic_text(panic.as_ref())))
                }
            },
            () = self.outside.clock.sleep(left()) => Some("did not drain within the deadline".to_owned()),
        };
        match (cell.state(), drained.or(trouble)) {
            (ServiceState::Stopping, Some(reason)) => {
                cell.fail(&reason);
            }
            (_, reason) => {
                if let Some(reason) = reason {
                    tracing::error!(
                        service = cell.name(),
                        reason,
                        "a service in error did not drain"
                    );
                }
                cell.enter(ServiceState::Stopped);
            }
        }
    }

    /// Every service at this moment, in the order of their start.
    pub fn snapshot(&self) -> Vec<ServiceSnapshot> {
        self.launches.iter().map(|launch| self.snapshot_of(launch)).collect()
    }

    fn snapshot_of(&self, launch: &Launch) -> ServiceSnapshot {
        let name = launch.cell.name();
        let operations = launch.service.operations();
        let now = self.outside.clock.now_ms();
        let judgement = judge(launch, operations.as_ref(), self.settings.of(name).heartbeat, now);
        let record = launch.cell.record();
        let dependency = |(need, cell): &(Need, Option<Arc<Cell>>)| DependencySnapshot {
            service: need.service,
            required: need.required,
            eager: need.eager,
            state: cell.as_ref().map(|cell| cell.state()),
        };
        ServiceSnapshot {
            name,
            state: launch.cell.state(),
            health: judgement.health,
            reasons: judgement.reasons,
            degraded: judgement.degraded,
            since: record.since,
            last_heartbeat_at: record.last_heartbeat_at,
            restarts: record.restarts,
            panics: record.panics,
            dependencies: launch.needs.iter().map(dependency).collect(),
            operations: operations.as_ref().map(Operations::kinds).unwrap_or_default(),
            running_operations: operations.as_ref().map(Operations::running).unwrap_or_default(),
            breakers: operations.as_ref().map(Operations::breakers).unwrap_or_default(),
            ticks: record.ticks.into_iter().map(tick_snapshot).collect(),
        }
    }
}

fn failed_start(cell: &Cell) -> Option<FailedStart> {
    (cell.state() == ServiceState::Error).then(|| FailedStart {
        service: cell.name(),
        reason: cell.record().failure.unwrap_or_else(|| "in error".to_owned()),
    })
}

fn tick_snapshot((name, tick): (&'static str, TickRecord)) -> TickSnapshot {
    TickSnapshot {
        name,
        last_run_at: tick.last_run_at,
        last_did: tick.last_did,
        next_due: tick.next_due,
        runs: tick.runs,
        failures: tick.failures,
        failures_in_a_row: tick.failures_in_a_row,
        last_failure: tick.last_failure,
        duration: tick.durations.snapshot(),
    }
}
