//! The engine's process of one cell: started armed, waited for, started again unarmed, always on the same folder.
//! What it says goes into files, so that a panic is found; it is killed when the cell lets go of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_orrery");
/// Between two looks at a process.
const LOOK_AGAIN: Duration = Duration::from_millis(4);
/// Looks before a test gives up: about a minute.
const LOOKS_MAX: usize = 15_000;

/// Settings under which fifty jobs do everything: snapshots, parking, time for the view to be behind.
const SETTINGS: &[(&str, &str)] = &[
    ("ORRERY__ENGINE__SNAPSHOT_EVERY_EVENTS", "4"),
    ("ORRERY__ENGINE__PARK_AFTER_MS", "2000"),
    ("ORRERY__STORAGE__FREE_SPACE_MIN_BYTES", "0"),
    ("ORRERY__LOG__LEVEL", "warn"),
];

/// How a start went.
pub(super) enum Started {
    /// It serves there.
    At(String),
    /// It ended before it served.
    Ended(ExitStatus),
}

pub(super) struct Engine {
    folder: PathBuf,
    settings: Vec<(&'static str, &'static str)>,
    child: Option<Child>,
    starts: usize,
}

impl Engine {
    pub(super) fn on(folder: &Path, settings: &[(&'static str, &'static str)]) -> Self {
        let settings = SETTINGS.iter().chain(settings).copied().collect();
        Self { folder: folder.to_owned(), settings, child: None, starts: 0 }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, with a fail point or without, and waits until it serves or has ended.
    pub(super) async fn start(&mut self, armed: Option<&str>) -> Started {
        self.starts += 1;
        let file = |what: &str| {
            File::create(self.folder.join(format!("{what}-{}", self.starts))).expect("a file")
        };
        let mut command = Command::new(BINARY);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.data());
        command.envs(self.settings.iter().copied());
        command.stdin(Stdio::null()).stdout(file("log")).stderr(file("said"));
        if let Some(armed) = armed {
            command.env("ORRERY_FAIL_POINT", armed);
        }
        self.child = Some(command.spawn().expect("the engine starts"));
        for _ in 0..LOOKS_MAX {
            if let Some(url) = listening(&self.said()) {
                return Started::At(url);
            }
            if let Some(status) = self.ended() {
                return Started::Ended(status);
            }
            pause().await;
        }
        panic!("the engine neither serves nor ends: {}", self.said());
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("a child")
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Standard error of the newest start.
    pub(super) fn said(&self) -> String {
        let path = self.folder.join(format!("said-{}", self.starts));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Nothing that it ever said is a panic.
    pub(super) fn check_said(&self) {
        for start in 1..=self.starts {
            for what in ["said", "log"] {
                let path = self.folder.join(format!("{what}-{start}"));
                let said = std::fs::read_to_string(path).unwrap_or_default();
                assert!(!says_it_panicked(&said), "start {start}: {said}");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// As Rust's own hook writes it, and so the engine's log.
pub(super) fn says_it_panicked(said: &str) -> bool {
    said.contains("panicked at")
}

fn listening(said: &str) -> Option<String> {
    let rest = said.split_once("listening on ")?.1;
    Some(rest.split_once(';')?.0.to_owned())
}

/// Real processes run on real time: between two looks the machine is left to them.
pub(super) async fn pause() {
    tokio::time::sleep(LOOK_AGAIN).await;
}
