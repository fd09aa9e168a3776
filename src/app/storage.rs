//! Opens the stores that `storage.uri` names: the embedded pair in a folder, or a database of MongoDB.
//! Always holds: a database is checked, its schema brought up to date and the right to drive taken before anything is
//! read of it; while this engine drives, no other does. Absent: several engines on one database at once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::config::Settings;
use crate::environment::Surroundings;
use crate::environment::mongodb::migrations::{Migrations, Migrator};
use crate::environment::mongodb::{Lease, MongoConnection, StartError};
use crate::event_store::contract::EventStore;
use crate::event_store::mongodb::MongoEventStore;
use crate::event_store::sqlite::{self, DataFolder, SqliteEventStore};
use crate::view::contract::View;
use crate::view::mongodb::MongoView;
use crate::view::sqlite::SqliteView;

/// The lease of the engine that drives.
const DRIVER: &str = "driver";
/// How long it drives without renewing: what an engine that takes over waits for after a crash.
const DRIVER_HELD: Duration = Duration::from_secs(10);
/// Between two renewals.
const DRIVER_RENEWED: Duration = Duration::from_secs(3);
/// Between two tries to become the driver.
const DRIVER_AGAIN: Duration = Duration::from_millis(500);

/// The stores, open.
pub(super) struct Storage {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) view: Arc<dyn View>,
    /// Where they are, as a log may show it.
    pub(super) place: String,
    pub(super) driving: Driving,
}

/// The right to drive all groups.
pub(super) enum Driving {
    /// The folder's lock is it.
    Embedded,
    /// A lease in the database.
    Leased(Box<Leased>),
}

/// What is needed to hold on to the lease.
pub(super) struct Leased {
    connection: MongoConnection,
    lease: Lease,
    outside: Surroundings,
}

/// Opens them; waits while another engine drives the database or changes its schema.
pub(super) async fn open(settings: &Settings, outside: &Surroundings) -> Result<Storage, AppError> {
    match settings.storage.mongodb_uri() {
        Some(uri) => on_mongodb(uri, settings, outside).await,
        None => embedded(settings, outside),
    }
}

fn embedded(settings: &Settings, outside: &Surroundings) -> Result<Storage, AppError> {
    let folder = Arc::new(DataFolder::open(settings.storage.folder())?);
    let room = sqlite::Settings {
        file_bytes_max: None,
        reserve_bytes: 0,
        disk_free_min: settings.storage.free_space_min_bytes,
        reserve_file_bytes: settings.storage.reserve_bytes,
        opened_at: outside.clock.now_ms(),
    };
    let id = outside.ids.mint().to_string();
    let store = SqliteEventStore::open(Arc::clone(&folder), &id, room)?;
    let view = SqliteView::open(&folder.view_file())?;
    Ok(Storage {
        store: Arc::new(store),
        view: Arc::new(view),
        place: settings.storage.folder().display().to_string(),
        driving: Driving::Embedded,
    })
}

async fn on_mongodb(
    uri: &str,
    settings: &Settings,
    outside: &Surroundings,
) -> Result<Storage, AppError> {
    let connection = MongoConnection::open(uri, Arc::clone(&outside.clock)).await?;
    connection.check().await?;
    Migrator::new(connection.clone(), Migrations::known()?).up().await?;
    let lease = drive(&connection, settings, outside).await?;
    outside.clock.sampled(connection.server_time().await.map_err(StartError::from)?);
    let id = outside.ids.mint().to_string();
    let store = MongoEventStore::open(connection.clone(), &id).await?;
    Ok(Storage {
        store: Arc::new(store),
        view: Arc::new(MongoView::new(connection.clone())),
        place: settings.storage.masked_uri(),
        driving: Driving::Leased(Box::new(Leased { connection, lease, outside: outside.clone() })),
    })
}

async fn drive(
    connection: &MongoConnection,
    settings: &Settings,
    outside: &Surroundings,
) -> Result<Lease, AppError> {
    let who = format!("{} (process {})", settings.server.listen, std::process::id());
    let mut waits = false;
    loop {
        let taken = Lease::take(connection, DRIVER, &who, DRIVER_HELD).await;
        if let Some(lease) = taken.map_err(StartError::from)? {
            return Ok(lease);
        }
        if !waits {
            tracing::info!("another engine drives this database; not ready until it ends");
            waits = true;
        }
        outside.clock.sleep(DRIVER_AGAIN).await;
    }
}

impl Driving {
    /// Holds on to the right until `over`; ends earlier when it is lost, with the reason.
    pub(super) async fn keep(&self, over: &CancellationToken) -> Option<String> {
        let Self::Leased(leased) = self else {
            over.cancelled().await;
            return None;
        };
        let Leased { connection, lease, outside } = &**leased;
        let clock = &outside.clock;
        loop {
            tokio::select! {
                () = over.cancelled() => return None,
                () = clock.sleep(DRIVER_RENEWED) => {}
            }
            match lease.renew().await {
                Ok(true) => {}
                Ok(false) => return Some("another engine drives this database by now".to_owned()),
                // While the database is silent nobody else can take it either, and no append of this engine goes
                // through; afterwards the next renewal tells whether somebody was faster.
                Err(error) => tracing::warn!(%error, "the right to drive was not renewed"),
            }
            if let Ok(now) = connection.server_time().await {
                clock.sampled(now);
            }
        }
    }

    /// Gives the right back, so that the next engine need not wait, and ends the connection.
    pub(super) async fn end(&self) {
        let Self::Leased(leased) = self else { return };
        let Leased { connection, lease, .. } = &**leased;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "the right to drive runs out by itself");
        }
        connection.close().await;
    }
}
