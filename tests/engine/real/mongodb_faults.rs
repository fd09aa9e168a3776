//! What can be wrong with a MongoDB when an engine starts on it or runs: each case says what to do, and never the
//! password. A full disk needs the right to mount a small one; says so where it has none.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bson::{Document, doc};
use orrery::environment::mongodb::Lock;
use serde_json::{Value, json};

use super::mongodb::on;
use super::process::{EngineProcess, refused_start, tried};
use crate::storage::mongodb::start::{PASSWORD, Server, server_with_users};
use crate::storage::mongodb::{self, Database};

fn no_password(said: &str) {
    assert!(!said.contains(PASSWORD), "{said}");
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn an_engine_that_cannot_start_says_what_to_do_and_never_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_with_users().await;
    let options = "&replicaSet=mine&authSource=admin";
    let who = |name: &str| format!("{name}:{PASSWORD}@");
    let cases = [
        (server.uri(&format!("reader:x{PASSWORD}@"), options), "check both, and authSource"),
        (server.uri(&who("reader"), options), "grant it the role readWrite"),
        (server.uri(&who("writer"), &format!("{options}&socketTimeoutMS=5")), "leave it out"),
        (server.uri(&who("writer"), "&replicaSet=other&authSource=admin"), "replicaSet=mine"),
        (
            format!("mongodb://{}127.0.0.1:1/db?serverSelectionTimeoutMS=300", who("me")),
            "is it running",
        ),
        (format!("mongodb://{}127.0.0.1:1/local", who("me")), "take another path"),
    ];
    for (uri, advice) in cases {
        let (code, said) = refused_start(folder.path(), &uri);
        assert_ne!(code, 0, "{said}");
        assert!(said.contains(advice), "{advice}: {said}");
        no_password(&said);
        let (code, out, said) = tried(&["migrate", "status", "--storage-uri", &uri]);
        let said = format!("{out}{said}");
        // Whoever may only read may look.
        assert!(code != 0 || uri.contains("reader"), "{said}");
        no_password(&said);
    }
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn the_schema_is_shown_and_brought_up_from_the_command_line() {
    let database = Database::bare().await;
    let migrate = |words: &[&str]| {
        let all = [&["migrate"], words, &["--storage-uri", &database.uri]].concat();
        let (code, out, said) = tried(&all);
        (code, format!("{out}{said}"))
    };
    let (code, said) = migrate(&["status"]);
    assert!(code == 0 && said.contains("not yet"), "{said}");
    let (code, said) = migrate(&["up", "--dry-run"]);
    assert!(
        code == 0 && said.contains("createIndexes") && said.contains("would be applied"),
        "{said}"
    );
    let there = database.connection.database().list_collection_names().await.expect("names");
    assert_eq!(there, Vec::<String>::new(), "so far nothing was changed");
    let (code, said) = migrate(&["up"]);
    assert!(code == 0 && said.contains("applied 0001"), "{said}");
    let (code, said) = migrate(&["up"]);
    assert!(code == 0 && said.contains("up to date"), "{said}");
    let (code, said) = migrate(&["status"]);
    assert!(code == 0 && !said.contains("not yet"), "{said}");
    let newer = doc! { "_id": 9_999_i64, "checksum": "x" };
    let records = database.connection.database().collection::<Document>("schema_migrations");
    records.insert_one(newer).await.expect("inserted");
    let (code, said) = migrate(&["up"]);
    assert!(code != 0 && said.contains("start a newer version of orrery"), "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let (code, said) = refused_start(folder.path(), &database.uri);
    assert!(code != 0 && said.contains("start a newer version of orrery"), "{said}");
    database.end().await;
}

/// Two seconds of the server's own clock are many tries of the waiting engine.
#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn an_engine_that_waits_for_the_schema_is_not_ready_until_it_is_up() {
    let database = Database::bare().await;
    let connection = &database.connection;
    let held = Duration::from_mins(2);
    let right = Lock::take(connection, "schema", "another engine", held).await;
    let right = right.expect("an answer").expect("the right");
    let folder = tempfile::tempdir().expect("a folder");
    let (path, settings) = (folder.path().to_owned(), on(&database));
    let starting = tokio::spawn(async move { EngineProcess::start_with(&path, settings).await });
    let began = connection.server_time().await.expect("the time");
    while connection.server_time().await.expect("the time") < began + 2_000 {
        assert!(!starting.is_finished(), "it serves on no schema");
    }
    let there = connection.database().list_collection_names().await.expect("names");
    assert_eq!(there, ["locks"]);
    right.release().await.expect("let go");
    let engine = starting.await.expect("it gets ready");
    assert_eq!(submit(&engine, "at last").await.0, 201);
    drop(engine);
    database.end().await;
}

async fn submit(engine: &EngineProcess, name: &str) -> (u16, Value) {
    let job = json!({ "name": name, "nodes": [{ "key": "a" }] });
    engine.post("/api/v1/jobs", &job, None).await
}

async fn finish_one(engine: &EngineProcess) -> Value {
    let ask = json!({ "worker": "w", "max": 1, "wait_ms": 20_000, "lease_ms": 600_000 });
    let (status, leased) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    assert_eq!(status, 200, "{leased}");
    let lease = &leased["leases"][0];
    let report = json!({ "items": [{ "lease": lease["lease"] }] });
    let (status, done) = engine.post("/api/v1/leases/complete", &report, None).await;
    assert_eq!((status, &done["results"][0]["outcome"]), (200, &json!("recorded")), "{done}");
    lease["job_id"].clone()
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_job_that_cannot_be_read_is_set_aside_and_the_others_go_on_also_after_a_restart() {
    let database = Database::bare().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start_with(folder.path(), on(&database)).await;
    let (_, bad) = submit(&engine, "bad").await;
    let (_, good) = submit(&engine, "good").await;
    engine.stop();
    let mongo = database.connection.database();
    let events = mongo.collection::<Document>("events");
    let of_bad = mongodb::uuid_of(bad["id"].as_str().expect("an id"));
    let first = doc! { "_id.i": of_bad, "_id.q": 1_i64 };
    let damaged = events.update_one(first, doc! { "$set": { "body": 7 } }).await.expect("changed");
    assert_eq!(damaged.matched_count, 1);
    for strange in [doc! { "_id": { "k": 5 } }, doc! { "_id": "a word" }] {
        let mut mark = strange;
        mark.extend(doc! { "group": 3, "due": bson::DateTime::from_millis(0), "number": 1_i64 });
        events.insert_one(mark).await.expect("inserted");
    }
    for _ in 0..2 {
        let mut engine = EngineProcess::start_with(folder.path(), on(&database)).await;
        let path = format!("/api/v1/jobs/{}/history", bad["id"].as_str().expect("an id"));
        let said: Value = serde_json::from_str(&engine.text(&path).await).expect("a problem");
        assert_eq!(said["code"], "stored_data_damaged", "{said}");
        let (status, another) = submit(&engine, "another").await;
        assert_eq!(status, 201, "{another}");
        let done = [finish_one(&engine).await];
        assert!(!done.contains(&bad["id"]), "{done:?}");
        engine.stop();
    }
    let notes = mongo.collection::<Document>("quarantine");
    let of_stream = doc! { "reason": { "$regex": "body" } };
    assert_eq!(notes.count_documents(of_stream).await.expect("a count"), 1);
    assert_eq!(notes.count_documents(doc! {}).await.expect("a count"), 3);
    assert!(good["id"].is_string());
    database.end().await;
}

/// A small disk in memory, gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1g", "tmpfs"])
            .arg(place.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "no disk can be mounted here");
        Self(place)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn others(&self) -> std::path::PathBuf {
        self.path().join("somebody-elses")
    }

    /// Somebody else takes all that is left.
    fn fill(&self) {
        let mut size = 512 * 1_024 * 1_024;
        fs::create_dir_all(self.others()).expect("a folder");
        while size >= 4_096 {
            let part = self.others().join(size.to_string());
            if fs::write(&part, vec![0; size]).is_err() {
                let _ = fs::remove_file(&part);
            }
            size /= 2;
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// A mongod whose disk is full ends itself; the engine stays, says so, and goes on when it is back.
#[tokio::test]
#[ignore = "needs a mongod and to mount a disk: scripts/test fetches the one and tries whether it may the other"]
async fn a_full_disk_of_the_primary_stops_writes_and_the_engine_goes_on_when_it_is_back() {
    let disk = SmallDisk::mount();
    let data = disk.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let mut server = Server::set_of_one(&data).await;
    let folder = tempfile::tempdir().expect("a folder");
    let uri: &'static str = Box::leak(server.uri("", "&replicaSet=mine").into_boxed_str());
    let settings = Box::leak(Box::new([("ORRERY__STORAGE__URI", uri)]));
    let engine = EngineProcess::start_with(folder.path(), settings).await;
    let (status, kept) = submit(&engine, "kept").await;
    assert_eq!(status, 201, "{kept}");
    disk.fill();
    let padding = "x".repeat(200_000);
    let mut refused = Value::Null;
    for number in 0..2_000 {
        let job =
            json!({ "name": format!("job {number}"), "input": padding, "nodes": [{ "key": "a" }] });
        let (status, answer) = engine.post("/api/v1/jobs", &job, None).await;
        if status != 201 {
            assert!([503, 507].contains(&status), "{status} {answer}");
            refused = answer;
            break;
        }
    }
    let words =
        ["store_unavailable", "outcome_unknown", "storage_full", "view_behind", "overloaded"];
    assert!(words.iter().any(|word| refused["code"] == *word), "{refused}");
    server.until_it_ends();
    assert!(engine.get("/livez").await.is_some(), "the engine stays");

    fs::remove_dir_all(disk.others()).expect("room");
    server.again().await;
    engine.until_submitted(&json!({ "name": "in time", "nodes": [{ "key": "a" }] })).await;
    let id = kept["id"].as_str().expect("an id");
    engine.until(id, |job| job["name"] == "kept").await;
}
