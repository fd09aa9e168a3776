//! What `orrery migrate` shows and does: the schema of the database that `storage.uri` names.
//! Always holds: looking changes nothing, and `up` does what the start of an engine does.
//! Absent: the embedded store, whose files are brought up to date as they are opened.

use std::sync::Arc;

use super::AppError;
use crate::config::Settings;
use crate::environment::Surroundings;
use crate::environment::mongodb::migrations::{MigrationStatus, Migrations, Migrator};
use crate::environment::mongodb::{MongoConnection, StartError};

/// One migration, as it is shown.
#[derive(Debug, Clone)]
pub struct SchemaStep {
    /// Counted from 1.
    pub number: u32,
    /// What it is about.
    pub name: String,
    /// Why it is.
    pub why: String,
    /// sha-256 of its text.
    pub checksum: String,
    /// When it was applied, by the server's clock; none: it is still to be.
    pub applied_at: Option<String>,
    /// The commands it consists of, as JSON.
    pub commands: Vec<String>,
}

impl From<MigrationStatus> for SchemaStep {
    fn from(step: MigrationStatus) -> Self {
        let commands = step.migration.commands.iter().map(ToString::to_string).collect();
        Self {
            number: step.migration.number,
            name: step.migration.name,
            why: step.migration.why,
            checksum: step.migration.checksum,
            applied_at: step.applied_at,
            commands,
        }
    }
}

/// All migrations, with what became of them.
///
/// # Errors
/// When the settings name no database, or it cannot be used.
pub async fn schema(settings: &Settings) -> Result<Vec<SchemaStep>, AppError> {
    let (connection, migrator) = migrator(settings).await?;
    let steps = migrator.status().await;
    connection.close().await;
    Ok(steps?.into_iter().map(SchemaStep::from).collect())
}

/// Applies what is missing; answers what it applied.
///
/// # Errors
/// When the settings name no database, or it cannot be used.
pub async fn schema_up(settings: &Settings) -> Result<Vec<SchemaStep>, AppError> {
    let (connection, migrator) = migrator(settings).await?;
    let applied = migrator.up().await;
    connection.close().await;
    let step = |migration| SchemaStep::from(MigrationStatus { migration, applied_at: None });
    Ok(applied?.into_iter().map(step).collect())
}

async fn migrator(settings: &Settings) -> Result<(MongoConnection, Migrator), AppError> {
    let none = || {
        StartError::Schema(
            "the embedded store needs no migrations; name a database with --storage-uri mongodb://HOSTS/DATABASE"
                .to_owned(),
        )
    };
    let uri = settings.storage.mongodb_uri().ok_or_else(none)?;
    let outside = Surroundings::system();
    let connection = MongoConnection::open(uri, Arc::clone(&outside.clock)).await?;
    connection.check().await?;
    let migrator = Migrator::new(connection.clone(), Migrations::known()?);
    Ok((connection, migrator))
}
