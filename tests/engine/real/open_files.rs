//! Engines with few open files: below what is needed they do not start, out of them they turn connections away and go on;
//! and an engine whose data folder is taken away takes nothing any more.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{EngineProcess, WorkerProcess, pause};

const BINARY: &str = env!("CARGO_BIN_EXE_orrery");
const TRIES_MAX: usize = 2_000;
const CONSISTENT_TRIES_MAX: usize = 10;

#[test]
fn below_the_files_that_it_needs_an_engine_says_how_many_and_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for limit in ["40", "100", "143"] {
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, BINARY, "serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .output()
            .expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let words = format!(
            "the limit of open files is {limit}, and this engine needs at least 144, or 10200 for all"
        );
        assert!(said.contains(&words), "{said}");
        assert!(!folder.path().join("data").exists(), "nothing was made");
    }
}

/// Leaves a running process the files that it has, and no other one.
fn no_more_files(process: &str) {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("its files").count();
    let limit = format!("--nofile={open}:");
    let done = Command::new("prlimit").args(["--pid", process, &limit]).status();
    assert!(done.expect("prlimit runs").success());
}

fn files_again(process: &str) {
    let limit = "--nofile=1024:";
    let done = Command::new("prlimit").args(["--pid", process, limit]).status();
    assert!(done.expect("prlimit runs").success());
}

/// Asks until a list that is consistent has as many jobs. Each question waits 2 s for the view.
async fn until_durably_shown(engine: &EngineProcess, jobs: u64) {
    let mut last = Value::Null;
    for _ in 0..CONSISTENT_TRIES_MAX {
        let (status, listed) = engine.answer("/api/v1/jobs?consistent=true&page_size=1").await;
        if status == 200 {
            assert_eq!(listed["total_count"], jobs, "{listed}");
            return;
        }
        last = listed;
    }
    panic!("the view does not show all: {last}");
}

#[tokio::test]
async fn an_engine_without_files_tells_who_comes_and_goes_on_for_those_who_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engine = EngineProcess::start(&folder.path().join("data")).await;
    let job = json!({ "name": "before", "nodes": [{ "key": "a" }] });
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    no_more_files(&engine.id());
    // More than there may be at all, so that even what is free is taken.
    let address = engine.url().trim_start_matches("http://").to_owned();
    let waiting: Vec<TcpStream> = (0..40)
        .map(|_| {
            let stream = TcpStream::connect(&address).expect("the system takes it");
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
            stream
        })
        .collect();
    // Whoever has a connection works on: the client keeps the one it has, as long as it uses it.
    for number in 0..200 {
        let job = json!({ "name": format!("job {number}"), "nodes": [{ "key": "a" }],
                          "input": { "padding": "x".repeat(20_000) } });
        let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
        assert_eq!(status, 201, "{made}");
    }
    // Without a file the view is written durably as well: it would be behind, and after 5 s nothing new would be taken.
    until_durably_shown(&engine, 201).await;
    let mut told = 0;
    for mut stream in waiting {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        told += usize::from(answer.starts_with("HTTP/1.1 503"));
    }
    // A file that the engine closed in the meantime may have gone to one of them.
    assert!(told >= 36, "{told} of 40 were told");
    files_again(&engine.id());
    let job = json!({ "name": "after", "nodes": [{ "key": "a" }] });
    let (_, made) = engine.post("/api/v1/jobs", &job, None).await;
    let _worker = WorkerProcess::start(&engine, 20, 0.0);
    let id = made["id"].as_str().expect("an id");
    let ended = engine.until(id, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    for _ in 0..TRIES_MAX {
        // Lists come from the view, whose writer has gone on as well.
        let listed = engine.get("/api/v1/jobs?status=completed&page_size=1").await.expect("a list");
        if listed["total_count"] == json!(202) {
            assert_eq!(engine.ended_by("-TERM"), Some(0));
            return;
        }
        pause().await;
    }
    panic!("the view did not show everything");
}

async fn until_folder(engine: &EngineProcess, ok: bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..TRIES_MAX {
        let (status, answer) = engine.answer("/readyz?verbose").await;
        if (status == 200) == ok {
            return answer;
        }
        last = answer;
        pause().await;
    }
    panic!("it did not notice: {last}");
}

#[tokio::test]
async fn a_data_folder_that_is_taken_away_is_noticed_and_nothing_is_acknowledged_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let log = fs::File::create(folder.path().join("log")).expect("a file");
    let mut engine = EngineProcess::start_as(&data, &[], |serve| {
        serve.stdout(log).stderr(std::process::Stdio::null())
    })
    .await;
    let job = |name: &str| json!({ "name": name, "nodes": [{ "key": "a" }] });
    let (status, _) = engine.post("/api/v1/jobs", &job("before"), None).await;
    assert_eq!(status, 201);
    fs::rename(&data, &away).expect("moved");
    let (status, refused) = engine.post("/api/v1/jobs", &job("without"), None).await;
    assert_eq!(status, 503, "{refused}");
    let told = until_folder(&engine, false).await;
    assert!(
        told.to_string().contains("was deleted, moved or replaced while the engine runs"),
        "{told}"
    );
    fs::rename(&away, &data).expect("moved back");
    until_folder(&engine, true).await;
    engine.until_submitted(&job("after")).await;

    fs::remove_dir_all(&data).expect("deleted");
    fs::create_dir(&data).expect("another one");
    let (status, refused) = engine.post("/api/v1/jobs", &job("lost"), None).await;
    assert_eq!(status, 503, "{refused}");
    until_folder(&engine, false).await;
    engine.ended_by("-TERM");
    let log = fs::read_to_string(folder.path().join("log")).expect("text");
    assert!(log.contains("nothing is taken any more"), "{log}");
}
