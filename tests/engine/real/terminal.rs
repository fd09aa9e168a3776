//! What other people wrote is shown by commands and never obeyed by a terminal; what is secret is not shown at all.

use serde_json::json;

use super::process::{EngineProcess, tried};

/// Clears the screen, sets the title, forges a row, and turns around what follows.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;owned\u{7}\nforged\u{9b}31m\u{202e}b";

#[tokio::test]
async fn names_and_reasons_are_shown_as_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let once = json!({ "max_attempts": 1, "strategy": "immediate" });
    let job = json!({ "name": "a\u{202e}b", "nodes": [{ "key": "a", "retry": once }] });
    let (status, made) = engine.post("/api/v1/jobs", &job, None).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id");
    let ask = json!({ "worker": "w", "max": 1, "wait_ms": 5_000 });
    let (_, leased) = engine.post("/api/v1/queues/default/lease", &ask, None).await;
    let error = json!({ "type": "x", "message": HOSTILE, "class": "bug" });
    let report = json!({ "items": [{ "lease": leased["leases"][0]["lease"], "error": error }] });
    let (_, answer) = engine.post("/api/v1/leases/fail", &report, None).await;
    assert_eq!(answer["results"][0]["outcome"], "recorded", "{answer}");
    engine.until(id, |job| job["completed_at"].is_string()).await;
    let url = engine.url();
    for command in [
        &["jobs", "list"][..],
        &["jobs", "list", "-o", "json"],
        &["jobs", "get", id],
        &["jobs", "get", id, "-o", "json"],
        &["jobs", "explain", id],
        &["jobs", "explain", id, "a"],
        &["jobs", "explain", id, "a", "-o", "json"],
        &["watch", id],
        &["jobs", "get", HOSTILE],
    ] {
        let (_, out, said) = tried(&[command, &["--url", &url]].concat());
        for text in [out, said] {
            let obeyed =
                |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
            assert!(!text.chars().any(obeyed), "{command:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("forged")), "{command:?}: {text:?}");
        }
    }
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    let secret = "http://me:s3cret@127.0.0.1:1/?token=s3cret";
    let job = "01890000-0000-7000-8000-000000000000";
    for command in [
        &["jobs", "list"][..],
        &["watch", job, "--timeout-s", "1"],
        &["worker", "--help"],
        &["healthcheck"],
        &["jobs", "cancel", job],
        &["bench", "single", "--seconds", "1"],
    ] {
        for url in [secret, "me:s3cret@host", "ftp://me:s3cret@host"] {
            let (_, out, said) = tried(&[command, &["--url", url]].concat());
            assert!(
                !out.contains("s3cret") && !said.contains("s3cret"),
                "{command:?}: {out}{said}"
            );
            // The bench drops what stands before the host, and names the flag where it cannot read an address.
            let of_bench = said.contains("http://127.0.0.1:1") || said.contains("--url");
            let is_bench = command.contains(&"bench") && of_bench;
            let shown = said.contains("***@127.0.0.1:1") || said.contains("***@host") || is_bench;
            assert!(shown || command.contains(&"--help"), "{command:?} names the address: {said}");
        }
    }
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_orrery"))
        .args(["jobs", "list", "--help"])
        .env("ORRERY_URL", secret)
        .output()
        .expect("it runs");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("s3cret"));
}

#[test]
fn a_watch_that_nobody_answers_says_so_at_once() {
    let job = "01890000-0000-7000-8000-000000000000";
    let (code, _, said) = tried(&["watch", job, "--timeout-s", "1", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, 124, "{said}");
    assert!(said.starts_with("cannot reach the engine at http://127.0.0.1:1"), "{said}");
}
