//! A replica set of three that the test kills, stops and brings back, member by member (`scripts/mongod`).

use std::process::{Command, Stdio};

use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, options::ClientOptions};

use crate::real::process::pause;
use crate::storage::mongodb::with_database;

/// Questions before a test gives up.
const ASKED_MAX: usize = 2_400;

/// The set; its processes end with it.
pub(super) struct ReplicaSet {
    name: String,
    /// Of all members, without a database.
    uri: String,
}

/// What becomes of a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Kill,
    Stop,
    Continue,
}

impl ReplicaSet {
    /// Starts it.
    pub(super) fn start() -> Self {
        let name = format!("test-{}", std::process::id());
        let uri = script(&name, &["start", "3"])
            .expect("a replica set: `scripts/mongod start 3` says why not");
        // The set outlives this process by a second: a test that panics leaves without a last word.
        let (watched, folder) = (std::process::id(), env!("CARGO_MANIFEST_DIR"));
        let watch = format!(
            "while kill -0 {watched} 2>/dev/null; do sleep 1; done; ORRERY_MONGOD_SET={name} '{folder}/scripts/mongod' stop"
        );
        let watching = Command::new("sh")
            .args(["-c", &watch])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        assert!(watching.is_ok(), "a shell watches the process");
        Self { name, uri }
    }

    pub(super) fn uri(&self) -> String {
        with_database(&self.uri, "orrery")
    }

    /// The port of the primary, as soon as there is one.
    pub(super) async fn primary(&self) -> u16 {
        for _ in 0..ASKED_MAX {
            for port in self.members().into_keys() {
                let hello = self.ask(port, doc! { "hello": 1 }).await;
                if hello.is_some_and(|hello| hello.get_bool("isWritablePrimary").is_ok_and(|is| is))
                {
                    return port;
                }
            }
            pause().await;
        }
        panic!("the set has no primary");
    }

    /// Waits until every member is primary, or a secondary that reads from another: a set that has just got one back bears no
    /// second loss. (One that looks for a member to read from as the primary is stopped asks that one, for 20 s.)
    pub(super) async fn until_whole(&self) {
        for _ in 0..ASKED_MAX {
            let primary = self.primary().await;
            let status =
                self.ask(primary, doc! { "replSetGetStatus": 1 }).await.unwrap_or_default();
            let members = status.get_array("members").cloned().unwrap_or_default();
            let serves = |member: &Bson| {
                member.as_document().is_some_and(|member| match member.get_i32("state") {
                    Ok(1) => true,
                    Ok(2) => member.get_str("syncSourceHost").is_ok_and(|host| !host.is_empty()),
                    Ok(_) | Err(_) => false,
                })
            };
            if members.len() == 3 && members.iter().all(serves) {
                return;
            }
            pause().await;
        }
        panic!("a member stays away");
    }

    /// Has the primary step down.
    pub(super) async fn step_down(&self, port: u16) {
        // It may close its connections instead of answering.
        self.ask(port, doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 }).await;
    }

    pub(super) fn signal(&self, port: u16, signal: Signal) {
        let word = match signal {
            Signal::Kill => "-KILL",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let process = self.members()[&port].to_string();
        let told = Command::new("kill").args([word, &process]).status().expect("a signal");
        assert!(told.success(), "the member at {port} is there");
    }

    /// Starts a member that was killed again.
    pub(super) fn again(&self, port: u16) {
        script(&self.name, &["again", &port.to_string()]);
    }

    /// Ports and processes; the newest process of a port counts.
    fn members(&self) -> std::collections::BTreeMap<u16, u32> {
        let folder = env!("CARGO_MANIFEST_DIR");
        let file = format!("{folder}/target/mongod/set-{}/pids", self.name);
        let lines = std::fs::read_to_string(file).expect("the members");
        let member = |line: &str| {
            let (process, port) = line.split_once(' ')?;
            Some((port.parse().ok()?, process.parse().ok()?))
        };
        lines.lines().filter_map(member).collect()
    }

    /// A command to one member; none when it does not answer.
    async fn ask(&self, port: u16, command: Document) -> Option<Document> {
        let uri = format!(
            "mongodb://127.0.0.1:{port}/?directConnection=true&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000"
        );
        let options = ClientOptions::parse(uri).await.ok()?;
        let client = Client::with_options(options).ok()?;
        let asked = client.clone();
        // Its futures must not be dropped half-way; a stopped member answers never.
        let answer =
            tokio::spawn(async move { asked.database("admin").run_command(command).await });
        let answer = tokio::time::timeout(std::time::Duration::from_secs(2), answer).await;
        answer.ok()?.ok()?.ok()
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        script(&self.name, &["stop"]);
    }
}

fn script(name: &str, arguments: &[&str]) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mongod");
    let mut command = Command::new(script);
    command.args(arguments).env("ORRERY_MONGOD_SET", name).stderr(Stdio::null());
    let done = command.output().ok()?;
    let said = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    done.status.success().then_some(said)
}
