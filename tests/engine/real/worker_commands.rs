//! The contract between a worker and its command (docs/worker.md), with real commands: what it gets, what becomes of what
//! it gives, how it is stopped, and what happens where the host cannot run it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::process::{EngineProcess, WorkerProcess, pause};

const ONCE: &str = r#"{"max_attempts": 1, "strategy": "immediate"}"#;

async fn submit(engine: &EngineProcess, nodes: Value) -> String {
    let job = json!({ "name": "job", "nodes": nodes });
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// Waits until a worker has said so.
async fn until_said(said: &Path, words: &str) {
    for _ in 0..4_000 {
        if fs::read_to_string(said).expect("text").contains(words) {
            return;
        }
        pause().await;
    }
    panic!("it did not say {words}: {}", fs::read_to_string(said).expect("text"));
}

fn script(path: &Path, text: &str) {
    // Written beside it and moved, so that no process ever runs a half of it.
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("written");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("allowed");
    fs::rename(&beside, path).expect("moved");
}

/// What becomes of each of these commands, by its node's key.
const COMMANDS: &str = r#"#!/bin/sh
echo "about $ORRERY_NODE" >&2
case $ORRERY_NODE in
  cat) cat;;
  nothing) ;;
  nan) echo '{"a": NaN}';;
  mark) printf '\357\273\277{}';;
  noisy) echo loading; echo '{}';;
  latin) printf '"caf\351"';;
  large) head -c 300000 /dev/zero | tr '\0' 1;;
  exact) printf '"'; head -c 262142 /dev/zero | tr '\0' x; printf '"\n';;
  late) (sleep 0.3; echo 7) & ;;
  held) echo 7; sleep 600 & ;;
  own) echo '{"error": {"type": "Slow", "class": "throttled", "retry_after_ms": 1500.0, "hint": 1}}'; exit 3;;
  killed) kill -9 $$;;
  unread) echo 7;;
  told) echo "\"$ORRERY_NODE $ORRERY_ATTEMPT $ORRERY_KIND $ORRERY_ACTION_TYPE\"";;
esac
"#;

#[tokio::test]
async fn a_command_is_judged_by_what_it_writes_and_how_it_exits() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let command = folder.path().join("command");
    script(&command, COMMANDS);
    let once: Value = serde_json::from_str(ONCE).expect("JSON");
    let keys = [
        "cat", "nothing", "nan", "mark", "noisy", "latin", "large", "exact", "late", "held", "own",
        "killed", "unread", "told",
    ];
    let nodes: Vec<Value> = keys
        .iter()
        .map(|key| {
            let input =
                if *key == "unread" { json!("x".repeat(200_000)) } else { json!([1.50, "ü"]) };
            json!({ "key": key, "retry": once, "input": input, "action_type": "kind" })
        })
        .collect();
    let job = submit(&engine, json!(nodes)).await;
    let said = folder.path().join("said");
    let command = command.to_str().expect("Unicode");
    let _worker =
        WorkerProcess::running(&engine, "default", &["--concurrency", "4"], &[command], &said);
    engine.until(&job, |job| job["completed_at"].is_string()).await;
    for (key, output) in [
        ("cat", json!([1.5, "ü"])),
        ("nothing", json!({})),
        ("late", json!(7)),
        ("held", json!(7)),
        ("unread", json!(7)),
        ("told", json!("told 1 do kind")),
    ] {
        let node = node(&engine, &job, key).await;
        assert_eq!((&node["status"], &node["output"]), (&json!("completed"), &output), "{node}");
        let kept = json!([{ "stderr": format!("about {key}") }]);
        assert_eq!(node["artifacts"], kept, "{node}");
    }
    assert_eq!(node(&engine, &job, "exact").await["status"], "completed");
    for (key, kind, class) in [
        ("nan", "output_not_json", "data"),
        ("mark", "output_not_json", "data"),
        ("noisy", "output_not_json", "data"),
        ("latin", "output_not_utf8", "data"),
        ("large", "output_too_large", "validation"),
        ("own", "Slow", "throttled"),
        ("killed", "sigkill", "heartbeat.missed"),
    ] {
        let node = node(&engine, &job, key).await;
        let error = &node["attempts"][0]["error"];
        assert_eq!((&error["type"], &error["class"]), (&json!(kind), &json!(class)), "{node}");
        assert_eq!(error["details"]["stderr"], format!("about {key}"), "{node}");
    }
    let own = node(&engine, &job, "own").await;
    assert_eq!(own["attempts"][0]["error"]["retry_after_ms"], 1_500, "{own}");
}

async fn node(engine: &EngineProcess, job: &str, key: &str) -> Value {
    engine.get(&format!("/api/v1/jobs/{job}/nodes/{key}")).await.expect("a node")
}

#[tokio::test]
async fn text_is_an_output_only_where_it_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let said = folder.path().join("said");
    let command = ["echo", "two words"];
    let job = submit(&engine, json!([{ "key": "a", "queue": "text" }])).await;
    let _text = WorkerProcess::running(&engine, "text", &["--output", "text"], &command, &said);
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let node = node(&engine, &job, "a").await;
    assert_eq!(node["output"], json!({ "stdout": "two words\n" }), "{node}");
}

/// A grace of three seconds, so that heartbeats are a second apart.
const SHORT_GRACE: &[(&str, &str)] = &[("ORRERY__ENGINE__CANCEL_GRACE_MS", "3000")];

#[tokio::test]
async fn a_long_lease_does_not_keep_a_cancel_from_the_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start_with(&folder.path().join("data"), SHORT_GRACE).await;
    let (at, said) = (folder.path().join("runs"), folder.path().join("said"));
    let job = submit(&engine, json!([{ "key": "a" }])).await;
    let command = ["sh", "-c", "touch $0; sleep 600", at.to_str().expect("Unicode")];
    let options = ["--lease-ms", "3600000", "--grace-ms", "500"];
    let _worker = WorkerProcess::running(&engine, "default", &options, &command, &said);
    while !at.exists() {
        pause().await;
    }
    engine.post(&format!("/api/v1/jobs/{job}/cancel"), &json!({}), None).await;
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    // The worker's own word: otherwise the lease was revoked, and what became of the work is not known.
    let node = node(&engine, &job, "a").await;
    assert_eq!(node["attempts"][0]["error"]["type"], "cancelled", "{node}");
}

#[tokio::test]
async fn what_the_host_cannot_run_is_given_back_until_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let (command, said) = (folder.path().join("command"), folder.path().join("said"));
    let text = command.to_str().expect("Unicode").to_owned();
    script(&command, "#!/bin/sh\necho 1\n");
    let mut worker =
        WorkerProcess::running(&engine, "default", &["--concurrency", "3"], &[&text], &said);
    until_said(&said, "takes work").await;
    let reasons: [(&str, &dyn Fn()); 3] = [
        ("No such file", &|| fs::remove_file(&command).expect("removed")),
        ("Permission denied", &|| {
            fs::set_permissions(&command, fs::Permissions::from_mode(0o644)).expect("taken away");
        }),
        ("Exec format error", &|| script(&command, "neither a script nor a program\u{0}")),
    ];
    for (reason, make) in reasons {
        make();
        let nodes: Vec<Value> = (0..5).map(|n| json!({ "key": format!("n{n}") })).collect();
        let job = submit(&engine, json!(nodes)).await;
        until_said(&said, reason).await;
        script(&command, "#!/bin/sh\necho 1\n");
        let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    fs::remove_file(&command).expect("removed");
    let job = submit(&engine, json!([{ "key": "a" }])).await;
    assert_eq!(worker.ended().await, 1, "a fault that lasts ends the worker");
    let words = fs::read_to_string(&said).expect("text");
    assert!(words.contains("this host could not run any of its work 7 times in a row"), "{words}");
    // What a request that still waited was given is given back when the engine has seen that nobody takes it.
    for _ in 0..400 {
        if node(&engine, &job, "a").await["status"] == "ready" {
            return;
        }
        pause().await;
    }
    panic!("what a worker that ended had is not offered again");
}

#[tokio::test]
async fn a_command_that_is_missing_from_the_start_ends_the_worker_before_it_takes_work() {
    let engine = "http://127.0.0.1:1";
    let (code, _, said) =
        super::process::tried(&["worker", "--url", engine, "--", "/nonexistent/command"]);
    assert_eq!((code, said.contains("no such executable file")), (1, true), "{said}");
}

#[tokio::test]
async fn a_worker_with_few_open_files_runs_fewer_attempts_and_fails_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let nodes: Vec<Value> = (0..60).map(|n| json!({ "key": format!("n{n}") })).collect();
    for (limit, few) in [("100", "only 9 run at a time"), ("24", "only 1 run at a time")] {
        let job = submit(&engine, json!(nodes)).await;
        let script = format!(
            "ulimit -n {limit}; exec {} worker --concurrency 60 --url {} -- sh -c 'sleep 0.05; echo 1'",
            env!("CARGO_BIN_EXE_orrery"),
            engine.url()
        );
        let said = folder.path().join("said");
        let mut worker = std::process::Command::new("sh")
            .args(["-c", &script])
            .stderr(fs::File::create(&said).expect("a file"))
            .spawn()
            .expect("a worker starts");
        let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
        worker.kill().expect("it can be killed");
        worker.wait().expect("it ends");
        assert_eq!(ended["status"], "completed", "{ended}");
        let words = fs::read_to_string(&said).expect("text");
        assert!(words.contains(few), "{words}");
    }
}
