//! One client for the life of the process, on the database that the URI names.
//! Always holds: it is made without asking the server; `check` asks, and says what is wrong in words that tell what
//! to do. `Debug` shows the database only.
//! Absent: the stores' collections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocumentBuf};
use domain::ids::Millis;
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection, Database};

use super::bulk::{self, BulkAnswer, Inserted, next_command};
use super::{BulkStatement, CallError, Calls, CollectionQuery, Quarantine, checks, codec, uri};
use crate::environment::Clock;

/// A call that somebody waits for (`reliability.md` section 4).
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// A call that nobody waits for.
const LOOP_DEADLINE: Duration = Duration::from_secs(10);

/// Why an engine does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URI cannot be used.
    #[error("storage.uri {0}")]
    Uri(String),
    /// No primary answers.
    #[error("no primary of MongoDB answers at {hosts}: {reason}")]
    Unreachable {
        /// Where it was looked for, without user and password.
        hosts: String,
        /// What was found instead, and what to do.
        reason: String,
    },
    /// The server is there but cannot keep the promises.
    #[error("MongoDB at {hosts} cannot be used: {reason}")]
    Unsuitable {
        hosts: String,
        /// What it lacks, and what to do.
        reason: String,
    },
    /// A call was refused or not answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database's schema is not this engine's.
    #[error("{0}")]
    Schema(String),
}

/// The way to one database. Cheap to clone; all clones share the client.
#[derive(Clone)]
pub struct MongoConnection {
    client: Client,
    options: Arc<ClientOptions>,
    database: Database,
    calls: Calls,
    quarantine: Quarantine,
}

impl fmt::Debug for MongoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConnection")
            .field("database", &self.database.name())
            .finish_non_exhaustive()
    }
}

impl MongoConnection {
    /// Reads the URI and makes the client. No server is asked yet.
    ///
    /// # Errors
    /// What is wrong with the URI.
    pub async fn open(uri: &str, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (options, database) = uri::options_of(uri).await?;
        let client = Client::with_options(options.clone())
            .map_err(|error| StartError::Uri(format!("cannot be used: {error}")))?;
        let database = client.database(&database);
        let quarantine = Quarantine::new(&database);
        let calls = Calls::new(clock, CALL_DEADLINE);
        Ok(Self { client, options: Arc::new(options), database, calls, quarantine })
    }

    /// Whether this server can keep the engine's promises.
    ///
    /// # Errors
    /// What it lacks, and what to do.
    pub async fn check(&self) -> Result<(), StartError> {
        // Longer than the driver looks for a primary, so that its reason is heard.
        let patient = Self { calls: self.calls.with_deadline(LOOP_DEADLINE), ..self.clone() };
        checks::check(&patient, &self.options).await
    }

    /// Makes calls, with the deadline of those that somebody waits for.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Where documents that cannot be read are noted.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// A collection of the database.
    pub fn collection(&self, name: &str) -> Collection<RawDocumentBuf> {
        self.database.collection(name)
    }

    /// Where it connects to, for messages.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.options.hosts.iter().map(ToString::to_string).collect();
        hosts.join(",")
    }

    /// Runs a command on the database, or on the server's own.
    ///
    /// # Errors
    /// What the server or the driver says.
    pub async fn command(
        &self,
        what: &'static str,
        on_admin: bool,
        command: Document,
    ) -> Result<Document, CallError> {
        let database = if on_admin { self.client.database("admin") } else { self.database.clone() };
        self.calls.make(what, async move { database.run_command(command).await }).await
    }

    /// Runs update or delete statements, in commands of a bounded size; answers for each command, with the index of
    /// its first statement.
    ///
    /// # Errors
    /// As soon as nothing is known of some statement, or one was refused.
    pub async fn bulk(
        &self,
        what: &'static str,
        collection: &str,
        statements: &[BulkStatement],
    ) -> Result<Vec<(usize, BulkAnswer)>, CallError> {
        let (mut answers, mut at) = (Vec::new(), 0);
        while at < statements.len() {
            let rest = statements.get(at..).unwrap_or_default();
            let part = rest.get(..next_command(rest)).unwrap_or(rest);
            let answer = bulk::run(&self.calls, what, &self.database, collection, part).await?;
            answers.push((at, answer));
            at += part.len();
        }
        Ok(answers)
    }

    /// All documents that a query finds, in its order: for those of which there are few, or that a limit bounds.
    ///
    /// # Errors
    /// What the server or the driver says; then nothing is answered.
    pub async fn find(
        &self,
        what: &'static str,
        collection: &Collection<RawDocumentBuf>,
        query: CollectionQuery,
    ) -> Result<Vec<RawDocumentBuf>, CallError> {
        let (collection, deadline) = (collection.clone(), self.calls.deadline());
        let found = self.calls.make(what, async move {
            let mut cursor = query.run(&collection, deadline).await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.current().to_owned());
            }
            Ok(found)
        });
        found.await
    }

    /// Inserts documents in no order.
    ///
    /// # Errors
    /// When nothing is known of some document.
    pub async fn insert(
        &self,
        what: &'static str,
        collection: &str,
        documents: &[RawDocumentBuf],
    ) -> Result<Inserted, CallError> {
        bulk::insert(&self.calls, what, &self.database, collection, documents).await
    }

    /// The server's clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn server_time(&self) -> Result<Millis, CallError> {
        let hello = self.command("the server's time", true, bson::doc! { "hello": 1 }).await?;
        let at = hello.get_datetime("localTime").map(|at| codec::millis_of(*at));
        Ok(at.unwrap_or(0))
    }

    /// Ends the client: to be called once, at the end of the process, when nothing is under way any more.
    pub async fn close(&self) {
        let client = self.client.clone();
        // The driver's task must not be cut off; how it ends changes nothing any more.
        let _ = self
            .calls
            .make("the end of the connection", async move {
                client.shutdown().immediate(true).await;
                Ok(())
            })
            .await;
    }
}
