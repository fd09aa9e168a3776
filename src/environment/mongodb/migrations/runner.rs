//! Looks what was applied, and applies what is missing.
//! Always holds: nothing is applied without the lock, and the lock is renewed while a command runs, however long it
//! takes; an applied migration is recorded with its checksum, the fence and the server's time.
//! Absent: waiting without end. Whoever waits for the lock says so in the log and goes on waiting until told to stop.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::Collection;

use super::super::{CallError, Cause, Lock, MongoConnection, StartError};
use super::files::{Migration, Migrations};

/// Where what was applied is recorded.
const APPLIED: &str = "schema_migrations";
/// The lock under which the schema is changed.
const LOCK: &str = "schema";
/// Held no longer without being renewed.
const LOCK_HELD: Duration = Duration::from_secs(30);
/// Between two tries to take the lock.
const LOCK_AGAIN: Duration = Duration::from_millis(500);
/// One command may take so long: an index over hundreds of millions of documents.
const COMMAND_MAX: Duration = Duration::from_hours(6);
/// The server's answer to making a collection that is there.
const NAMESPACE_EXISTS: i32 = 48;
/// A collection to drop, or an index of one, is gone already: the command was run before.
const NAMESPACE_NOT_FOUND: i32 = 26;
const INDEX_NOT_FOUND: i32 = 27;

/// One migration and whether it is applied.
#[derive(Debug, Clone)]
pub struct MigrationStatus {
    pub migration: Migration,
    /// When it was, by the server's clock, as RFC 3339; none: it is still to be.
    pub applied_at: Option<String>,
}

/// Brings a database's schema up to date.
#[derive(Debug)]
pub struct Migrator {
    connection: MongoConnection,
    known: Migrations,
}

impl Migrator {
    /// With these migrations.
    pub fn new(connection: MongoConnection, known: Migrations) -> Self {
        Self { connection, known }
    }

    /// Every migration that this engine knows, with what became of it.
    ///
    /// # Errors
    /// When the database has a newer schema, or an applied migration is not the one that this engine knows.
    pub async fn status(&self) -> Result<Vec<MigrationStatus>, StartError> {
        let applied = self.applied().await?;
        let newest = applied.iter().map(|(number, _)| *number).max().unwrap_or(0);
        if newest > self.known.newest() {
            return Err(StartError::Schema(format!(
                "the database {} has schema {newest}, and this engine knows {} only: start a newer version of orrery \
                 (an older one never changes a newer schema)",
                self.connection.database().name(),
                self.known.newest(),
            )));
        }
        let step = |migration: &Migration| {
            let there = applied.iter().find(|(number, _)| *number == migration.number);
            let Some((_, there)) = there else {
                return Ok(MigrationStatus { migration: migration.clone(), applied_at: None });
            };
            if there.get_str("checksum").ok() != Some(migration.checksum.as_str()) {
                return Err(StartError::Schema(format!(
                    "migration {} was applied to the database {} in another form than this engine knows: it is not a \
                     database of this version's line, or its record in {APPLIED} was changed",
                    migration.number,
                    self.connection.database().name(),
                )));
            }
            let at = there.get_datetime("applied_at").ok();
            let at = at.and_then(|at| at.try_to_rfc3339_string().ok()).unwrap_or_default();
            Ok(MigrationStatus { migration: migration.clone(), applied_at: Some(at) })
        };
        self.known.iter().map(step).collect()
    }

    /// Applies what is missing; waits while another engine does. Answers what it applied itself.
    ///
    /// # Errors
    /// As `status`; when a command is refused; when the lock was lost.
    pub async fn up(&self) -> Result<Vec<Migration>, StartError> {
        let mut waits = false;
        loop {
            let missing = self.missing().await?;
            if missing.is_empty() {
                return Ok(missing);
            }
            let Some(lock) =
                Lock::take(&self.connection, LOCK, "a change of schema", LOCK_HELD).await?
            else {
                if !waits {
                    tracing::info!("another engine changes the schema; not ready until it is done");
                    waits = true;
                }
                self.connection.calls().clock().sleep(LOCK_AGAIN).await;
                continue;
            };
            // Somebody may have been faster between the look and the lock.
            let missing = self.missing().await?;
            let mut done = Ok(());
            for migration in &missing {
                done = self.apply(migration, &lock).await;
                if done.is_err() {
                    break;
                }
            }
            lock.release().await?;
            return done.map(|()| missing);
        }
    }

    async fn missing(&self) -> Result<Vec<Migration>, StartError> {
        let steps = self.status().await?.into_iter();
        Ok(steps.filter(|step| step.applied_at.is_none()).map(|step| step.migration).collect())
    }

    async fn applied(&self) -> Result<Vec<(u32, Document)>, StartError> {
        let records: Collection<Document> = self.connection.database().collection(APPLIED);
        let found = self.connection.calls().make("the applied migrations", async move {
            // A handful, all of which are wanted, in the order of their numbers.
            let mut cursor = records.find(doc! {}).sort(doc! { "_id": 1 }).await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.deserialize_current()?);
            }
            Ok(found)
        });
        let wrong = || StartError::Schema(format!("a record in {APPLIED} has no number"));
        let number =
            |record: &Document| record.get_i64("_id").ok().and_then(|n| u32::try_from(n).ok());
        found
            .await?
            .into_iter()
            .map(|record| Ok((number(&record).ok_or_else(wrong)?, record)))
            .collect()
    }

    async fn apply(&self, migration: &Migration, lock: &Lock) -> Result<(), StartError> {
        tracing::info!(number = migration.number, name = migration.name, "a migration begins");
        for command in &migration.commands {
            self.hold(lock).await?;
            self.run(command.clone(), lock).await?;
        }
        self.hold(lock).await?;
        let records: Collection<Document> = self.connection.database().collection(APPLIED);
        let record = vec![doc! { "$set": {
            "name": &migration.name,
            "checksum": &migration.checksum,
            "fence": lock.fence(),
            "applied_at": "$$NOW",
        } }];
        let which = doc! { "_id": i64::from(migration.number) };
        let kept = self.connection.calls().make("the record of a migration", async move {
            records.update_one(which, record).upsert(true).await.map(drop)
        });
        kept.await?;
        tracing::info!(number = migration.number, name = migration.name, "a migration is done");
        Ok(())
    }

    async fn hold(&self, lock: &Lock) -> Result<(), StartError> {
        if lock.renew().await? {
            return Ok(());
        }
        Err(StartError::Schema(
            "the right to change the schema went to another engine meanwhile; start again"
                .to_owned(),
        ))
    }

    /// One command, the lock renewed while it runs.
    async fn run(&self, command: Document, lock: &Lock) -> Result<(), StartError> {
        let calls = self.connection.calls().with_deadline(COMMAND_MAX);
        let database = self.connection.database().clone();
        let run = calls
            .make("a command of a migration", async move { database.run_command(command).await });
        tokio::pin!(run);
        let third = lock.held() / 3;
        loop {
            tokio::select! {
                done = &mut run => return match done {
                    Err(CallError {
                        cause:
                            Cause::Refused {
                                code: NAMESPACE_EXISTS | NAMESPACE_NOT_FOUND | INDEX_NOT_FOUND,
                                ..
                            },
                        ..
                    }) => Ok(()),
                    other => went_through(&other?),
                },
                () = calls.clock().sleep(third) => self.hold(lock).await?,
            }
        }
    }
}

/// What a command of statements did not do, it says in an answer that is none of an error.
fn went_through(answer: &Document) -> Result<(), StartError> {
    let refused =
        ["writeErrors", "writeConcernError"].iter().find(|field| answer.contains_key(**field));
    match refused {
        None => Ok(()),
        Some(field) => Err(StartError::Schema(format!(
            "a command of a migration did not go through ({field}); run `orrery migrate up` again"
        ))),
    }
}
