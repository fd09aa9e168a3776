//! Streams that nobody reads, whose reader went away, or whose disk is full: the engine goes on answering, and ends when
//! it is told to; commands end as commands do.

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};

use serde_json::json;

use super::process::{EngineProcess, WorkerProcess};

/// Every word, so that a pipe is full after a few requests.
const WORDY: &[(&str, &str)] = &[("ORRERY__LOG__LEVEL", "trace")];
const BINARY: &str = env!("CARGO_BIN_EXE_orrery");

/// Sixty jobs are taken, and their work is done by a worker whose own words nobody reads either.
async fn works(engine: &EngineProcess, said: &std::path::Path) {
    let mut last = String::new();
    for number in 0..60 {
        let job = json!({ "name": format!("job {number}"), "nodes": [{ "key": "a" }] });
        let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
        assert_eq!(status, 201, "{number}: {made}");
        made["id"].as_str().expect("an id").clone_into(&mut last);
    }
    let options = ["--concurrency", "4"];
    let _worker = WorkerProcess::running(engine, "default", &options, &["true"], said);
    let ended = engine.until(&last, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

async fn lost(engine: &EngineProcess) -> u64 {
    let metrics = engine.text("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("orrery_log_lines_lost_total "));
    line.map_or(0, |number| number.parse().expect("a number"))
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut engine = EngineProcess::start_as(&data, WORDY, |serve| {
        serve.stdout(Stdio::piped()).stderr(Stdio::piped())
    })
    .await;
    works(&engine, &folder.path().join("said")).await;
    assert_eq!(engine.ended_by("-TERM"), Some(0));
}

#[tokio::test]
async fn a_log_whose_reader_went_away_stops_nothing_and_what_is_lost_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut engine = EngineProcess::start_as(&data, WORDY, |serve| {
        serve.stdout(Stdio::piped()).stderr(Stdio::piped())
    })
    .await;
    engine.stop_reading();
    works(&engine, &folder.path().join("said")).await;
    assert!(lost(&engine).await > 0, "lines are lost, and that is counted");
    assert_eq!(engine.ended_by("-HUP"), Some(0), "a hang-up is an orderly end");
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing_and_what_is_lost_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let data = folder.path().join("data");
    let mut engine =
        EngineProcess::start_as(&data, WORDY, |serve| serve.stdout(full()).stderr(full())).await;
    works(&engine, std::path::Path::new("/dev/full")).await;
    assert!(lost(&engine).await > 0, "lines are lost, and that is counted");
    assert_eq!(engine.ended_by("-TERM"), Some(0));
}

#[tokio::test]
async fn a_hang_up_that_the_starter_ignores_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let (data, port) = (folder.path().join("data"), "127.0.0.1:0");
    let said = folder.path().join("said");
    let mut child = Command::new("sh")
        .args(["-c", script, BINARY, "serve", "--listen", port, "--data"])
        .arg(&data)
        .stdout(Stdio::null())
        .stderr(File::create(&said).expect("a file"))
        .spawn()
        .expect("it starts");
    while !std::fs::read_to_string(&said).expect("text").contains("listening on") {
        super::process::pause().await;
    }
    let id = child.id().to_string();
    assert!(super::process::send("-HUP", &id) && super::process::send("-TERM", &id));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let words = std::fs::read_to_string(&said).expect("text");
    assert_eq!(words.matches("leaving").count(), 1, "only the later signal was heard: {words}");
}

#[test]
fn commands_end_as_commands_do_when_nobody_takes_what_they_write() {
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let closed = || {
        // A pipe whose reading end is closed at once.
        let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().expect("a reader");
        let pipe = reader.stdin.take().expect("its pipe");
        reader.wait().expect("it ends");
        Stdio::from(pipe)
    };
    let code = |arguments: &[&str], out: Stdio, err: Stdio| {
        let mut command = Command::new(BINARY);
        command.args(arguments).stdout(out).stderr(err).status().expect("it runs").code()
    };
    for arguments in [&["openapi"][..], &["--help"], &["completions", "bash"], &["config", "show"]]
    {
        assert_eq!(code(arguments, closed(), Stdio::null()), Some(0), "{arguments:?}");
        assert_eq!(code(arguments, full().into(), Stdio::null()), Some(1), "{arguments:?}");
        assert_eq!(code(arguments, full().into(), full().into()), Some(1), "{arguments:?}");
    }
    let nobody = ["jobs", "list", "--url", "http://127.0.0.1:1"];
    assert_eq!(code(&nobody, Stdio::null(), closed()), Some(5));
    assert_eq!(code(&nobody, Stdio::null(), full().into()), Some(5));
    assert_eq!(code(&["nonsense"], Stdio::null(), closed()), Some(2));
    assert_eq!(code(&["demo", "--exit"], closed(), closed()), Some(0));
}
