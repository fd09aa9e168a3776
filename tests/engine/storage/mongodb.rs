//! A database of its own for each case, on a real mongod: the one that `ORRERY_TEST_MONGODB_URI` names, else the one
//! that `scripts/mongod` runs, started when none is running and stopped when this process has ended.
//! The cases are ignored unless they are asked for (`cargo test -- --include-ignored`), which `scripts/test` does as soon as
//! it has a mongod. Whoever asks for them without one gets a failure: nothing passes without having been tried.

mod faults;
mod nodes;
mod queries;
mod schema;
pub(crate) mod start;
mod sweep;

use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use orrery::environment::mongodb::MongoConnection;
use orrery::environment::mongodb::migrations::{Migrations, Migrator};
use orrery::environment::{Clock, SystemClock};
use orrery::event_store::mongodb::MongoEventStore;
use orrery::membership::mongodb::MongoMembership;
use orrery::view::mongodb::MongoView;
use uuid::Uuid;

/// The URI of the mongod of this test run.
pub(crate) fn uri() -> &'static str {
    static URI: OnceLock<Option<String>> = OnceLock::new();
    let uri = URI.get_or_init(|| given().or_else(running).or_else(started));
    uri.as_deref().expect("a mongod: `scripts/mongod start 1` says why there is none")
}

#[expect(clippy::disallowed_methods, reason = "tests are told where their mongod is")]
fn given() -> Option<String> {
    std::env::var("ORRERY_TEST_MONGODB_URI").ok()
}

fn script(argument: &[&str]) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mongod");
    let done = Command::new(script).args(argument).stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (done.status.success() && !said.is_empty()).then_some(said)
}

fn running() -> Option<String> {
    let uri = script(&["uri"])?;
    // What a killed run left names a server that is gone.
    let address = uri.strip_prefix("mongodb://")?.split(['/', ',']).next()?.to_owned();
    std::net::TcpStream::connect(address).ok().map(|_| uri)
}

fn started() -> Option<String> {
    script(&["stop"]);
    let uri = script(&["start", "1"])?;
    // The set outlives this process by a second: the harness of tests ends without a last word.
    let watch = format!(
        "while kill -0 {} 2>/dev/null; do sleep 1; done; '{}/scripts/mongod' stop",
        std::process::id(),
        env!("CARGO_MANIFEST_DIR")
    );
    let watching =
        Command::new("sh").args(["-c", &watch]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    watching.ok().map(|_| uri)
}

/// `uri` with another database.
pub(crate) fn with_database(uri: &str, database: &str) -> String {
    let (before, options) = uri.split_once('?').map_or((uri, ""), |(before, rest)| (before, rest));
    let (scheme, hosts) = before.split_once("://").expect("a URI");
    let hosts = hosts.split('/').next().expect("hosts");
    format!("{scheme}://{hosts}/{database}?{options}")
}

/// An id of the API as it lies in a document.
pub(crate) fn uuid_of(id: &str) -> bson::Bson {
    orrery::environment::mongodb::uuid_bson(Uuid::parse_str(id).expect("an id"))
}

/// An empty database with this engine's schema; removed when it is let go of with `end`.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) connection: MongoConnection,
    pub(crate) uri: String,
}

impl Database {
    pub(crate) async fn fresh() -> Self {
        let database = Self::bare().await;
        let migrator =
            Migrator::new(database.connection.clone(), Migrations::known().expect("migrations"));
        migrator.up().await.expect("a schema");
        database
    }

    /// Without any schema.
    pub(crate) async fn bare() -> Self {
        let uri = with_database(uri(), &format!("test_{}", Uuid::now_v7().simple()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let connection = MongoConnection::open(&uri, clock).await.expect("a connection");
        Self { connection, uri }
    }

    pub(crate) async fn event_store(&self) -> MongoEventStore {
        MongoEventStore::open(self.connection.clone(), "store-a").await.expect("a store")
    }

    pub(crate) fn view(&self) -> MongoView {
        MongoView::new(self.connection.clone())
    }

    pub(crate) fn membership(&self) -> MongoMembership {
        MongoMembership::new(self.connection.clone())
    }

    pub(crate) async fn end(self) {
        let database = self.connection.database().clone();
        database.drop().await.expect("dropped");
        self.connection.close().await;
    }
}
