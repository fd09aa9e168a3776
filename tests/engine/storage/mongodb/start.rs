//! What an engine says when it cannot start on a MongoDB: each case on a real server of its own, told apart and told
//! how to be mended, and never with the password.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bson::{Document, doc};
use mongodb::Client;
use orrery::environment::mongodb::MongoConnection;
use orrery::environment::mongodb::migrations::{Migrations, Migrator};
use orrery::environment::{Clock, SystemClock};

/// How often a server that starts is asked; each question waits for it, at most its own time-outs.
const ASKED_MAX: usize = 100;
pub(crate) const PASSWORD: &str = "pa55word";

/// A mongod of this test, gone with it.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    /// Its folder, when it is nobody else's.
    own: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    // Its way here brings the binary along.
    super::uri();
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mongod/bin/mongod");
    assert!(fetched.exists(), "a mongod that was named from outside cannot be started again");
    fetched
}

impl Server {
    async fn start(arguments: &[&str], with_key: bool) -> Self {
        let own = tempfile::tempdir().expect("a folder");
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        if with_key {
            let key = own.path().join("key");
            std::fs::write(&key, "c2VjcmV0c2VjcmV0").expect("a key");
            Command::new("chmod").arg("600").arg(&key).status().expect("the owner's only");
            arguments.extend(["--keyFile".to_owned(), key.display().to_string()]);
        }
        let mut server = Self::start_on(own.path(), arguments).await;
        server.own = Some(own);
        server
    }

    /// With its data in this folder.
    pub(crate) async fn start_on(folder: &Path, arguments: Vec<String>) -> Self {
        let binary = binary();
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
        let child = run(&binary, port, folder, &arguments);
        let folder = folder.to_owned();
        let server = Self { child, port, folder, arguments, own: None };
        server.until_it_answers().await;
        server
    }

    /// One that writes: a replica set of one.
    pub(crate) async fn set_of_one(folder: &Path) -> Self {
        let arguments = ["--replSet", "mine"].map(str::to_owned).to_vec();
        let server = Self::start_on(folder, arguments).await;
        initiate(&server, "mine").await;
        server
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn until_it_ends(&mut self) {
        self.child.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub(crate) async fn again(&mut self) {
        self.kill();
        let binary = binary();
        self.child = run(&binary, self.port, &self.folder, &self.arguments);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        let client = self.client().await;
        for _ in 0..ASKED_MAX {
            if client.database("admin").run_command(doc! { "ping": 1 }).await.is_ok() {
                return;
            }
        }
        panic!("the server did not start");
    }

    async fn client(&self) -> Client {
        let uri = format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=2000",
            self.port
        );
        Client::with_uri_str(uri).await.expect("a client")
    }

    pub(crate) fn uri(&self, who: &str, options: &str) -> String {
        format!(
            "mongodb://{who}127.0.0.1:{}/orrery?serverSelectionTimeoutMS=1500{options}",
            self.port
        )
    }
}

fn run(binary: &Path, port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new(binary)
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--port", &port.to_string(), "--dbpath"])
        .arg(folder)
        .args(["--wiredTigerCacheSizeGB", "0.25"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a mongod")
}

async fn connection(uri: &str) -> MongoConnection {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    MongoConnection::open(uri, clock).await.expect("a URI that can be read")
}

async fn refusal(uri: &str) -> String {
    let refused = connection(uri).await.check().await.expect_err("refused").to_string();
    assert!(!refused.contains(PASSWORD), "{refused}");
    refused
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
    let uri = format!("mongodb://me:{PASSWORD}@127.0.0.1:{free}/db?serverSelectionTimeoutMS=300");
    let said = refusal(&uri).await;
    assert!(said.contains(&format!("no primary of MongoDB answers at 127.0.0.1:{free}")), "{said}");
    assert!(said.contains("is it running"), "{said}");
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_standalone_server_is_refused_with_what_to_do() {
    let server = Server::start(&[], false).await;
    for options in ["", "&replicaSet=orrery"] {
        let said = refusal(&server.uri("", options)).await;
        assert!(said.contains("standalone") && said.contains("--replSet"), "{options}: {said}");
    }
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_replica_set_that_nobody_initiated_or_of_another_name_is_told_so() {
    let server = Server::start(&["--replSet", "mine"], false).await;
    let said = refusal(&server.uri("", "&replicaSet=mine")).await;
    assert!(said.contains("rs.initiate()"), "{said}");
    initiate(&server, "mine").await;
    let said = refusal(&server.uri("", "&replicaSet=other")).await;
    assert!(said.contains("replicaSet=mine"), "{said}");
    connection(&server.uri("", "&replicaSet=mine")).await.check().await.expect("a good one");
}

/// Makes a replica set of one, and waits until it writes.
async fn initiate(server: &Server, name: &str) {
    let client = server.client().await;
    let members = doc! { "_id": 0, "host": format!("127.0.0.1:{}", server.port) };
    let set = doc! { "_id": name, "members": [members] };
    client
        .database("admin")
        .run_command(doc! { "replSetInitiate": set })
        .await
        .expect("a replica set");
    for _ in 0..ASKED_MAX {
        let uri = server.uri("", &format!("&replicaSet={name}"));
        let waiting = Client::with_uri_str(uri).await.expect("a client");
        // Choosing a server waits for a primary.
        if waiting.database("admin").run_command(doc! { "hello": 1 }).await.is_ok() {
            return;
        }
    }
    panic!("no primary");
}

/// A replica set of one with users: `root`, `reader` and `writer`, all with the same password.
pub(crate) async fn server_with_users() -> Server {
    let server = Server::start(&["--replSet", "mine"], true).await;
    initiate(&server, "mine").await;
    let admin = server.client().await;
    let user = |name: &str, role: Document| {
        doc! { "createUser": name, "pwd": PASSWORD, "roles": [role] }
    };
    let root = user("root", doc! { "role": "root", "db": "admin" });
    admin.database("admin").run_command(root).await.expect("the first user");
    let as_root = server.uri(&format!("root:{PASSWORD}@"), "&replicaSet=mine&authSource=admin");
    let root = Client::with_uri_str(&as_root).await.expect("a client");
    for (name, role) in [("reader", "read"), ("writer", "readWrite")] {
        let role = doc! { "role": role, "db": "orrery" };
        root.database("admin").run_command(user(name, role)).await.expect("a user");
    }
    server
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn wrong_credentials_and_a_user_that_may_only_read_are_told_apart() {
    let server = server_with_users().await;
    let options = "&replicaSet=mine&authSource=admin";
    let as_root = server.uri(&format!("root:{PASSWORD}@"), options);
    let said = refusal(&server.uri("reader:wrong@", options)).await;
    assert!(said.contains("refuses the user or the password"), "{said}");

    let reads = connection(&server.uri(&format!("reader:{PASSWORD}@"), options)).await;
    reads.check().await.expect("it may look");
    let migrator = Migrator::new(reads, Migrations::known().expect("migrations"));
    let said = migrator.up().await.expect_err("it may not write").to_string();
    assert!(said.contains("readWrite") && !said.contains(PASSWORD), "{said}");

    connection(&as_root).await.check().await.expect("all checks");
    let migrator =
        Migrator::new(connection(&as_root).await, Migrations::known().expect("migrations"));
    migrator.up().await.expect("a schema");
    // From here on a user that may read and write is enough.
    let writes = connection(&server.uri(&format!("writer:{PASSWORD}@"), options)).await;
    writes.check().await.expect("what it may not ask is passed over");
    let migrator = Migrator::new(writes, Migrations::known().expect("migrations"));
    assert_eq!(migrator.up().await.expect("nothing to do").len(), 0);
}
