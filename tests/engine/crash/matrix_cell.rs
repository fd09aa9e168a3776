//! One cell of the matrix: an engine on a fresh folder, armed at one point, under load until it aborts there; then
//! something may happen to its files; then it starts again and the run goes on to its end, which is checked.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::checker;
use super::client::Link;
use super::load::{self, Size};
use super::process::{Engine, Started, pause};

/// Bytes of a WAL's header, and of a frame without its page.
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// SQLite's default, which both files have.
const PAGE: u64 = 4_096;
/// The signal of `abort`.
const ABORTED: i32 = 6;

/// What happens between the abort and the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    Nothing,
    /// The view is far behind, because it is seldom written.
    ViewBehind,
    /// The view's files are deleted.
    ViewDeleted,
    /// What was written and not synced is gone, as after a power cut.
    UnsyncedForgotten,
}

/// What an armed engine does at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// It aborts.
    Aborts,
    /// It says this and ends by itself, with exit code 1.
    Saying(&'static str),
    /// It answers 507 for a while, and goes on.
    Never,
}

/// Runs one cell; whether the point was reached.
pub(super) async fn run(armed: &str, between: Between, size: Size) -> bool {
    run_to(armed, Ends::Aborts, between, size).await
}

/// As `run`, with another end.
pub(super) async fn run_to(armed: &str, ends: Ends, between: Between, size: Size) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let behind: &[_] = match between {
        Between::ViewBehind => &[("ORRERY__ENGINE__VIEW_FLUSH_MS", "3000")],
        _ => &[],
    };
    let mut engine = Engine::on(folder.path(), behind);
    let (up, url) = watch::channel(None);
    let link = Link::new(url);
    let load = AbortOnDropHandle::new(tokio::spawn({
        let link = link.clone();
        async move { load::run(&link, size).await }
    }));
    let ended = until_aborted(&mut engine, armed, &up, || load.is_finished()).await;
    up.send_replace(None);
    match ended {
        Some(status) => {
            let said = engine.said();
            match ends {
                Ends::Aborts => assert_eq!(status.signal(), Some(ABORTED), "{armed}: {said}"),
                Ends::Saying(what) => {
                    assert_eq!(status.code(), Some(1), "{armed}: {said}");
                    assert!(said.contains(what), "{armed}: {said}");
                }
                Ends::Never => panic!("{armed}: {status}: {said}"),
            }
            happen(between, &engine.data());
        }
        // Not armed any more, so that the check does not meet the point.
        None => engine.kill(),
    }
    match engine.start(None).await {
        Started::At(url) => up.send_replace(Some(url)),
        Started::Ended(status) => panic!("{armed}: {status}: {}", engine.said()),
    };
    load.await.unwrap_or_else(|error| panic!("{armed}: {error}"));
    let refused = link.with_log(|log| log.full);
    checker::check(&link).await.unwrap_or_else(|broken| panic!("{armed}: {broken}"));
    engine.check_said();
    ended.is_some() || refused > 0
}

/// Starts it armed; how it ended, none when the load was over before.
async fn until_aborted(
    engine: &mut Engine,
    armed: &str,
    up: &watch::Sender<Option<String>>,
    over: impl Fn() -> bool,
) -> Option<ExitStatus> {
    match engine.start(Some(armed)).await {
        Started::At(url) => up.send_replace(Some(url)),
        Started::Ended(status) => return Some(status),
    };
    loop {
        if let Some(status) = engine.ended() {
            return Some(status);
        }
        if over() {
            return None;
        }
        pause().await;
    }
}

fn happen(between: Between, data: &Path) {
    match between {
        Between::Nothing | Between::ViewBehind => {}
        Between::ViewDeleted => {
            for part in ["view.db", "view.db-wal", "view.db-shm"] {
                // It may have aborted before there was one.
                let _ = std::fs::remove_file(data.join(part));
            }
        }
        Between::UnsyncedForgotten => {
            for file in ["events.db", "view.db"] {
                forget_unsynced(data, file);
            }
        }
    }
}

/// Cuts a WAL to the frames that were synced. What it holds beyond them never had to reach the disk.
fn forget_unsynced(data: &Path, file: &str) {
    let synced = std::fs::read_to_string(data.join(format!("{file}-wal.synced")));
    let synced = synced.unwrap_or_default();
    // Without a note nothing was told yet; half a note would be a test that tests something else.
    let frames: u64 = if synced.is_empty() { 0 } else { synced.parse().expect("a whole note") };
    let Ok(wal) = OpenOptions::new().write(true).open(data.join(format!("{file}-wal"))) else {
        return;
    };
    let kept = if frames == 0 { 0 } else { WAL_HEADER + frames * (FRAME_HEADER + PAGE) };
    let there = wal.metadata().expect("its length").len();
    wal.set_len(kept.min(there)).expect("cut");
}
