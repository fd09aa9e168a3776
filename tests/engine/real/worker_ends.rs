//! Workers that end while their commands run, in every way a process can end: no job fails by it, and nothing that an
//! attempt started is left behind.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::process::{EngineProcess, WorkerProcess, pause, runs, send};

/// Writes the numbers of its processes: its own, a child's in its group, and one that left the group. Then it hangs.
const HANGS: &str = "setsid sleep 600 & echo $! > $0.$ORRERY_NODE.away; sleep 600 & echo $! > $0.$ORRERY_NODE.child; \
                     echo $$ > $0.$ORRERY_NODE.own; wait";
const LOOKS_MAX: usize = 4_000;

async fn submit(engine: &EngineProcess, queue: &str, nodes: usize) -> String {
    let node = |number| json!({ "key": format!("n{number}"), "queue": queue });
    let nodes: Vec<Value> = (0..nodes).map(node).collect();
    let job = json!({ "name": "job", "nodes": nodes });
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// The numbers in all files of `folder` that end so, once there are as many.
async fn numbers(folder: &Path, ending: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..LOOKS_MAX {
        let files = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
        let files = files.filter(|path| path.to_string_lossy().ends_with(ending));
        found = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
        found.retain(|text: &String| text.ends_with('\n'));
        if found.len() == count {
            return found.iter().map(|text| text.trim().to_owned()).collect();
        }
        pause().await;
    }
    panic!("not all attempts run: {found:?}");
}

async fn until_gone(processes: &[String]) {
    for _ in 0..LOOKS_MAX {
        if !processes.iter().any(|process| runs(process)) {
            return;
        }
        pause().await;
    }
    let left: Vec<&String> = processes.iter().filter(|process| runs(process)).collect();
    panic!("still running: {left:?}");
}

#[tokio::test]
async fn a_worker_and_its_commands_that_are_told_to_end_together_fail_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let (marks, said) = (folder.path().join("marks"), folder.path().join("said"));
    fs::create_dir(&marks).expect("a folder");
    let at = marks.join("pid");
    let at = at.to_str().expect("Unicode");
    let job = submit(&engine, "shared", 12).await;
    // Commands that a signal ends, that tell the signal as a shell does, and that end with a code of their own.
    let script = "case $ORRERY_NODE in n1*) trap 'exit 143' TERM;; n2) trap 'exit 1' TERM;; n3) trap 'echo 7; exit 0' TERM;; \
                  esac; echo $$ > $0.$ORRERY_NODE.own; sleep 600 & wait";
    let command = ["sh", "-c", script, at];
    let mut worker =
        WorkerProcess::running(&engine, "shared", &["--concurrency", "12"], &command, &said);
    let own = numbers(&marks, ".own", 12).await;
    // As systemd and a shutdown do, in the worst order: the commands first, their supervisors next, the worker last.
    let supervisors: Vec<String> = own.iter().map(|pid| parent_of(pid)).collect();
    for process in own.iter().chain(&supervisors) {
        send("-TERM", process);
    }
    pause().await;
    worker.signal("-TERM");
    assert_eq!(worker.ended().await, 0);
    let nodes = engine.get(&format!("/api/v1/jobs/{job}/nodes")).await.expect("nodes");
    for node in nodes["nodes"].as_array().expect("nodes") {
        let expected = if node["key"] == "n3" { "completed" } else { "ready" };
        assert_eq!(node["status"], expected, "{node}");
    }
    until_gone(&own).await;

    let _next =
        WorkerProcess::running(&engine, "shared", &["--concurrency", "12"], &["true"], &said);
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["retries"], json!(0), "{ended}");
}

fn parent_of(process: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let rest = stat.rsplit_once(") ").expect("a state").1;
    rest.split(' ').nth(1).expect("a parent").to_owned()
}

#[tokio::test]
async fn a_command_that_somebody_ends_on_purpose_has_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let (at, said) = (folder.path().join("pid"), folder.path().join("said"));
    let job = submit(&engine, "alone", 1).await;
    let command = ["sh", "-c", HANGS, at.to_str().expect("Unicode")];
    let _worker = WorkerProcess::running(&engine, "alone", &[], &command, &said);
    let own = numbers(folder.path(), ".own", 1).await;
    send("-TERM", &own[0]);
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["class"]),
        (&json!("failed"), &json!("terminated"))
    );
    let left = numbers(folder.path(), ".child", 1).await;
    until_gone(&left).await;
}

#[tokio::test]
async fn whatever_ends_a_worker_ends_all_that_its_attempts_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let said = folder.path().join("said");
    for (way, signals, code) in [
        ("killed", &["-KILL"][..], -9),
        ("impatient", &["-INT", "-INT"], 130),
        ("hung-up", &["-HUP"], 0),
        ("quit", &["-QUIT"], 0),
        ("aborted", &["-ABRT"], -6),
    ] {
        let marks = folder.path().join(way);
        fs::create_dir(&marks).expect("a folder");
        submit(&engine, way, 2).await;
        let at = marks.join("pid");
        // A second signal is only sent to a worker whose commands do not end at the first.
        let stubborn = if signals.len() > 1 { "trap '' TERM; " } else { "" };
        let script = format!("{stubborn}{HANGS}");
        let command = ["sh", "-c", &script, at.to_str().expect("Unicode")];
        let mut worker =
            WorkerProcess::running(&engine, way, &["--concurrency", "2"], &command, &said);
        let mut processes = numbers(&marks, ".own", 2).await;
        processes.extend(numbers(&marks, ".child", 2).await);
        processes.extend(numbers(&marks, ".away", 2).await);
        assert!(processes.iter().all(|process| runs(process)), "{way}: {processes:?}");
        for (number, signal) in signals.iter().enumerate() {
            if number > 0 {
                // The first one is heard before the second is sent.
                while !fs::read_to_string(&said).expect("text").contains("leaving") {
                    pause().await;
                }
            }
            worker.signal(signal);
        }
        assert_eq!(worker.ended().await, code, "{way}");
        until_gone(&processes).await;
    }
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_command_along_and_the_policy_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let (at, said) = (folder.path().join("pid"), folder.path().join("said"));
    let job = submit(&engine, "bare", 1).await;
    // The first execution hangs, the next one ends.
    let script = format!("if [ $ORRERY_ATTEMPT -gt 1 ]; then exit 0; fi; {HANGS}");
    let command = ["sh", "-c", &script, at.to_str().expect("Unicode")];
    let _worker = WorkerProcess::running(&engine, "bare", &[], &command, &said);
    let own = numbers(folder.path(), ".own", 1).await;
    let child = numbers(folder.path(), ".child", 1).await;
    send("-KILL", &parent_of(&own[0]));
    until_gone(&own).await;
    until_gone(&child).await;
    let ended = engine.until(&job, |job| job["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

#[tokio::test]
#[ignore = "needs a container: scripts/test tries whether one can be made"]
async fn as_the_first_process_of_a_container_a_worker_takes_every_orphan() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let job = submit(&engine, "contained", 1).await;
    let at = folder.path().join("pid");
    let command = format!(
        "exec unshare --pid --fork --mount-proc {} worker --queue contained --url {} -- sh -c '{HANGS}' {}",
        env!("CARGO_BIN_EXE_orrery"),
        engine.url(),
        at.display()
    );
    let mut contained =
        std::process::Command::new("sh").args(["-c", &command]).spawn().expect("a shell starts");
    let started = async {
        loop {
            if contained.try_wait().expect("it can be waited for").is_some() {
                return None;
            }
            let first = fs::read_to_string(format!("/proc/{0}/task/{0}/children", contained.id()));
            let first = first.unwrap_or_default().trim().to_owned();
            if at.with_extension("n0.own").exists() && !first.is_empty() {
                return Some(first);
            }
            pause().await;
        }
    };
    let first = started.await.expect("a container can be made");
    // Somebody looks into the container and leaves a process behind, which becomes the first one's child.
    let orphan = "sleep 0.2 & echo left";
    let looked = std::process::Command::new("nsenter")
        .args(["--target", &first, "--pid", "sh", "-c", orphan])
        .output()
        .expect("nsenter runs");
    assert_eq!(String::from_utf8_lossy(&looked.stdout), "left\n");
    let zombies = || {
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let children = children.unwrap_or_default();
        let of_it = children.split(' ').filter(|id| !id.is_empty() && !runs(id)).count();
        (of_it, children.split(' ').filter(|id| !id.is_empty()).count())
    };
    for _ in 0..LOOKS_MAX {
        if zombies() == (0, 1) {
            break;
        }
        pause().await;
    }
    assert_eq!(zombies(), (0, 1), "only the worker is left below the first process");
    send("-TERM", &first);
    let code = contained.wait().expect("it ends").code();
    assert_eq!(code, Some(0));
    let nodes = engine.get(&format!("/api/v1/jobs/{job}/nodes")).await.expect("nodes");
    assert_eq!(nodes["nodes"][0]["status"], "ready", "{nodes}");
}
