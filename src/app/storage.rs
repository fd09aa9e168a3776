//! Opens the stores that `storage.uri` names: the embedded pair in a folder, or a database of MongoDB.
//! Always holds: a database is checked and its schema brought up to date before anything else is read of it; the
//! engine's clock stands at the server's time before it serves. Absent: joining the other engines (`cluster`).

use std::sync::Arc;

use super::AppError;
use crate::config::Settings;
use crate::environment::Surroundings;
use crate::environment::mongodb::migrations::{Migrations, Migrator};
use crate::environment::mongodb::{MongoConnection, StartError};
use crate::event_store::contract::{EventStore, PayloadSweep};
use crate::event_store::mongodb::MongoEventStore;
use crate::event_store::sqlite::{self, DataFolder, SqliteEventStore};
use crate::membership::alone::Alone;
use crate::membership::contract::Membership;
use crate::membership::mongodb::MongoMembership;
use crate::view::contract::View;
use crate::view::mongodb::MongoView;
use crate::view::sqlite::SqliteView;

/// The stores, open.
pub(super) struct Storage {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) view: Arc<dyn View>,
    /// Of a store that writes payloads apart from their records.
    pub(super) sweep: Option<Arc<dyn PayloadSweep>>,
    /// Where they are, as a log may show it.
    pub(super) place: String,
    /// Where the engines meet.
    pub(super) membership: Arc<dyn Membership>,
    /// Nobody else can write to it.
    pub(super) alone: bool,
    /// Of the embedded store.
    pub(super) folder: Option<Arc<DataFolder>>,
    /// To be closed at the end.
    pub(super) connection: Option<MongoConnection>,
}

/// Opens them; waits while another engine changes the database's schema.
pub(super) async fn open(settings: &Settings, outside: &Surroundings) -> Result<Storage, AppError> {
    match settings.storage.mongodb_uri() {
        Some(uri) => on_mongodb(uri, settings, outside).await,
        None => embedded(settings, outside),
    }
}

fn embedded(settings: &Settings, outside: &Surroundings) -> Result<Storage, AppError> {
    let folder = Arc::new(DataFolder::open(settings.storage.folder())?);
    let room = sqlite::SqliteSettings {
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
        sweep: None,
        place: settings.storage.folder().display().to_string(),
        membership: Arc::new(Alone::new(Arc::clone(&outside.clock))),
        alone: true,
        folder: Some(folder),
        connection: None,
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
    outside.clock.sampled(connection.server_time().await.map_err(StartError::from)?);
    let id = outside.ids.mint().to_string();
    let store = Arc::new(MongoEventStore::open(connection.clone(), &id).await?);
    Ok(Storage {
        sweep: Some(Arc::clone(&store) as _),
        store,
        view: Arc::new(MongoView::new(connection.clone())),
        place: settings.storage.masked_uri(),
        membership: Arc::new(MongoMembership::new(connection.clone())),
        alone: false,
        folder: None,
        connection: Some(connection),
    })
}
