//! The engine as one running thing: the only place that builds stores, core, services and server, and ends them in the
//! opposite order.
//! Always holds: ready is said only once everything runs, and taken back before anything ends; a store that cannot go
//! on, or a core that ended, ends the process with an error. Absent: signals and exit codes (`cli`).

mod cluster;
mod dates;
pub mod maintenance;
mod readiness;
mod schema;
mod server;
mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::core::CoreSettings;
use crate::engine::executor::{self, ExecutorEnd, Parts};
use crate::engine::forward::Forward;
use crate::engine::forwarding::{Forwarding, PeerDirectory};
use crate::engine::handle::Engine;
use crate::environment::mongodb::StartError;
use crate::environment::outbound::SendError;
use crate::environment::{Clock, Surroundings};
use crate::event_store::contract::{EventStoreError, PayloadSweep};
use crate::event_store::sqlite::FolderError;
use crate::http::hosts::Hosts;
use crate::http::lease_tokens::LeaseTokens;
use crate::http::router::router;
use crate::http::state::{self, Api, ApiSettings};
use crate::membership::contract::MembershipError;
use crate::services::driver::Driver;
use crate::services::housekeeping::{Housekeeping, Keep};
use crate::services::job_scheduler::{JobScheduler, SubmissionBounds};
use crate::services::lifecycle::{HostError, Operations, ServiceHost};
use crate::services::queries::Queries;
use crate::services::retry_manager::RetryManager;
use crate::services::view_writer::ViewWriter;
use crate::telemetry::log::{self, Destination, LogError};
use crate::telemetry::metrics::{self, MetricsError};
use crate::view::contract::ViewError;

use self::cluster::Joined;
pub use self::dates::ClockRefused;
pub use self::schema::{SchemaStep, schema, schema_up};
use self::server::Server;
use self::server::files::{FileShare, Store, TooFewFiles};
use self::storage::Storage;

/// Kept of the drain's time for the engine's own end: a last append and its fsync.
const ENGINE_END: Duration = Duration::from_secs(3);
/// For handing everything over; what is not handed over in this time the others take when the engine has left.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// Why an engine did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] StartError),
    /// The engine cannot join the others.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The clock and what is stored do not fit.
    #[error(transparent)]
    Clock(#[from] ClockRefused),
    /// There is no way to other engines.
    #[error("other engines cannot be asked: {0}")]
    Forwarding(#[from] SendError),
    /// The event store cannot go on.
    #[error(transparent)]
    Store(#[from] EventStoreError),
    /// The engine ended by itself.
    #[error(transparent)]
    Ended(#[from] ExecutorEnd),
    /// The view cannot be opened.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The view cannot be made from the streams.
    #[error("the view cannot be made: {0}")]
    Rebuild(String),
    /// The services cannot be put together.
    #[error(transparent)]
    ServiceHost(#[from] HostError),
    /// A service did not start.
    #[error("{service} did not start: {reason}")]
    Service { service: &'static str, reason: String },
    /// The system allows too few open files.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Logging cannot begin.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The core ended by itself.
    #[error("the engine's core ended: {0}")]
    Core(String),
    /// It had to be cut off.
    #[error("the engine did not end within its deadline: {0}")]
    Deadline(&'static str),
}

type Running = JoinHandle<Result<(), ExecutorEnd>>;

/// Runs an engine until `leave` is raised and it has drained; `ready` gets the address once it serves.
///
/// # Errors
/// When it cannot start, ends by itself, or does not end in time.
pub async fn serve(
    settings: Settings,
    leave: CancellationToken,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), AppError> {
    match log::begin(&settings.log, Destination::Stdout) {
        // One process, several engines one after the other: the first began it.
        Ok(()) | Err(LogError::Twice(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let store = match settings.storage.mongodb_uri() {
        Some(_) => Store::Database,
        None => Store::Embedded,
    };
    let share = server::prepare(&settings.server, store)?;
    let outside = Surroundings::system();
    let address = settings.server.listen;
    let listen = |cause| AppError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let opened = async {
        let storage = storage::open(&settings, &outside).await?;
        let newest_at = storage.store.info().await?.newest_at;
        dates::check(&settings, newest_at, outside.clock.now_ms())?;
        let joined = cluster::join(&settings, &storage, address).await?;
        Ok::<_, AppError>((storage, joined))
    };
    let (storage, joined) = tokio::select! {
        opened = opened => opened?,
        // It may wait for another engine; a signal ends that too.
        () = leave.cancelled() => return Ok(()),
    };
    let connection = storage.connection.clone();
    let served = Listening { listener, share };
    let ended = serve_on(&settings, &outside, served, storage, joined, leave, ready).await;
    if let Some(connection) = connection {
        connection.close().await;
    }
    ended
}

/// Where connections come in, and how many there may be.
struct Listening {
    listener: TcpListener,
    share: FileShare,
}

/// Serves on open stores, as one of the engines.
async fn serve_on(
    settings: &Settings,
    outside: &Surroundings,
    Listening { listener, share }: Listening,
    storage: Storage,
    joined: Joined,
    leave: CancellationToken,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), AppError> {
    let recorder = metrics::install()?;
    let address = listener
        .local_addr()
        .map_err(|cause| AppError::Listen { address: settings.server.listen, cause })?;
    let (place, sweep) = (storage.place.clone(), storage.sweep.clone());
    let lease_key = storage.store.info().await?.lease_key;
    let leases = LeaseTokens::new(&lease_key, settings.cluster.secret());
    let (alone, folder) = (storage.alone, storage.folder.clone());
    let others = (!alone).then(|| PeerDirectory::new(joined.me, joined.part.peers.clone()));
    let (engine, mut core) =
        start_engine(settings, outside, storage, &joined, others.clone()).await?;
    let driver = Driver::new(engine.clone(), Arc::clone(&outside.clock), alone, joined.part);
    let scheduler = scheduler(settings, &engine, outside);
    let retries = RetryManager::new(engine.clone(), operations("retry_manager", settings, outside));
    let services = (&scheduler, &retries, sweep);
    let host = Arc::new(host(settings, &engine, &driver, services, outside)?);
    let parts = state::ApiParts {
        outside: outside.clone(),
        engine: engine.clone(),
        others,
        queries: Queries::new(engine.clone(), Arc::clone(&outside.clock)),
        scheduler,
        retries,
        host: Arc::clone(&host),
        recorder,
        ready: readiness::checks(&engine, &driver, folder, &leave),
        driver: Arc::clone(&driver),
        leases,
        hosts: hosts(settings, address),
        settings: ApiSettings::from(settings),
    };
    if let Some(failed) = host.start().await.into_iter().next() {
        host.drain(settings.server.drain_deadline).await;
        engine.stop().await;
        return Err(AppError::Service { service: failed.service, reason: failed.reason });
    }
    let clock = Arc::clone(&outside.clock);
    let server =
        Server::new(listener, router(Api::new(parts)), &settings.server, share, Arc::clone(&clock));
    tracing::info!(%address, engine = joined.me, data = place, "the engine serves");
    // Whoever started it may have gone; then it serves all the same.
    let _ = ready.send(address);
    let ended = tokio::select! {
        () = server.accept() => None,
        () = leave.cancelled() => None,
        ended = &mut core => Some(core_error(ended)),
    };
    if let Some(error) = ended {
        leave.cancel();
        host.drain(ENGINE_END).await;
        return Err(error);
    }
    let drain = Drain { clock, settings, server, host: &host, driver: &driver, engine: &engine };
    drain.run(core).await
}

fn core_error(ended: Result<Result<(), ExecutorEnd>, tokio::task::JoinError>) -> AppError {
    match ended {
        Ok(Ok(())) => AppError::Core("it was stopped".to_owned()),
        Ok(Err(error)) => error.into(),
        Err(panic) => AppError::Core(panic.to_string()),
    }
}

/// Starts the core on the stores.
async fn start_engine(
    settings: &Settings,
    outside: &Surroundings,
    storage: Storage,
    joined: &Joined,
    others: Option<PeerDirectory>,
) -> Result<(Engine, Running), AppError> {
    let forward = match others {
        Some(others) => {
            let forwarding = Forwarding::new(others, Arc::clone(&outside.clock))?;
            Some(Arc::new(forwarding) as Arc<dyn Forward>)
        }
        None => None,
    };
    let parts = Parts {
        settings: CoreSettings { alone: storage.alone, ..core_settings(settings) },
        me: joined.me,
        drivers: joined.drivers.clone(),
        store: storage.store,
        view: storage.view,
        surroundings: outside.clone(),
        append_deadline: settings.engine.append_deadline,
        forward,
    };
    Ok(executor::start(parts).await?)
}

fn core_settings(settings: &Settings) -> CoreSettings {
    let ms = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let engine = &settings.engine;
    CoreSettings {
        grace_ms: ms(engine.cancel_grace),
        batch_events_max: engine.batch_events_max,
        batch_bytes_max: engine.batch_bytes_max,
        queue_max: engine.command_queue_max,
        delay_max_ms: ms(engine.submit_delay_max),
        park_after_ms: ms(engine.park_after),
        snapshot_every_events: engine.snapshot_every_events,
        view_flush_ms: ms(engine.view_flush),
        view_lag_max_ms: ms(engine.view_lag_max),
        node_pages: engine.view_node_pages && settings.storage.mongodb_uri().is_some(),
        quotas: settings.quotas.to_quotas(),
        ..CoreSettings::default()
    }
}

fn scheduler(settings: &Settings, engine: &Engine, outside: &Surroundings) -> Arc<JobScheduler> {
    let operations = operations("job_scheduler", settings, outside);
    let bounds = SubmissionBounds {
        bounds: settings.bounds.to_bounds(),
        queue_timeout: settings.engine.default_queue_timeout,
    };
    JobScheduler::new(engine.clone(), outside.clone(), operations, bounds)
}

/// The tracked operations of a service, with its settings.
fn operations(service: &'static str, settings: &Settings, outside: &Surroundings) -> Operations {
    Operations::new(service, settings.services.of(service), Arc::clone(&outside.clock))
}

fn host(
    settings: &Settings,
    engine: &Engine,
    driver: &Arc<Driver>,
    (scheduler, retries, sweep): (
        &Arc<JobScheduler>,
        &Arc<RetryManager>,
        Option<Arc<dyn PayloadSweep>>,
    ),
    outside: &Surroundings,
) -> Result<ServiceHost, AppError> {
    let view_writer = ViewWriter::new(engine.clone(), settings.engine.view_lag_max);
    let built = ServiceHost::builder()
        .with(driver)
        .with(&view_writer)
        .with(&Housekeeping::new(engine.clone(), keep(settings), sweep))
        .with(scheduler)
        .with(retries)
        .build(settings.services.clone(), outside.clone());
    Ok(built?)
}

/// The names that this engine may be called by, where it listens.
fn hosts(settings: &Settings, listens: SocketAddr) -> Hosts {
    let advertised = settings.cluster.address(listens);
    // Where the system does not say it, the name is configured.
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    Hosts::new(listens, &advertised, machine.as_deref().map(str::trim), &settings.server.hosts)
}

fn keep(settings: &Settings) -> Keep {
    let retention = &settings.retention;
    Keep {
        age: retention.finished_keep,
        jobs: (retention.finished_jobs_max > 0).then_some(retention.finished_jobs_max),
        every: retention.look_every,
        any_clock: settings.storage.accept_clock,
    }
}

/// An orderly end, within its deadline.
struct Drain<'a> {
    clock: Arc<dyn Clock>,
    settings: &'a Settings,
    server: Server,
    host: &'a ServiceHost,
    driver: &'a Driver,
    engine: &'a Engine,
}

impl Drain<'_> {
    async fn run(self, mut core: Running) -> Result<(), AppError> {
        let settings = &self.settings.server;
        let end = self.clock.monotonic().saturating_add(settings.drain_deadline);
        let left = |kept: Duration| end.saturating_sub(kept).saturating_sub(self.clock.monotonic());
        tracing::info!("the engine stops: not ready any more");
        // First of all, so that no job waits for the rest.
        tokio::select! {
            () = self.driver.leave() => {}
            () = self.clock.sleep(HAND_OVER_MAX.min(left(ENGINE_END * 2))) => {
                tracing::warn!("not everything was handed over in time");
            }
        }
        // Load balancers look meanwhile; who comes is still served.
        tokio::select! {
            () = self.server.accept() => {}
            () = self.clock.sleep(settings.drain_delay.min(left(ENGINE_END * 2))) => {}
        }
        self.engine.end_waits().await;
        let answered = self.server.finish(left(ENGINE_END * 2)).await;
        if !answered {
            tracing::warn!("requests were cut off at the drain's deadline");
        }
        self.host.drain(left(ENGINE_END)).await;
        self.engine.stop().await;
        tokio::select! {
            ended = &mut core => match ended {
                Ok(Ok(())) => {}
                other => return Err(core_error(other)),
            },
            () = self.clock.sleep(left(Duration::ZERO)) => {
                core.abort();
                return Err(AppError::Deadline("an append was not answered"));
            }
        }
        tracing::info!("the engine has stopped");
        Ok(())
    }
}
