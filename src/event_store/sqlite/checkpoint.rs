//! When finished pages are copied from the WAL into the file: by a thread of its own, beside the writer, so that
//! appends do not wait for it; the writer adds only what came in the meantime, so that the WAL starts over.
//! Always holds: a failed write or fsync of a checkpoint ends the store; before pages are copied the mark says up to
//! where. Absent: SQLite's own checkpoints, while it runs and when it is closed, which forget such an error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Row};

use super::failure::{self, TransactionFailure};
use super::mark::{Marks, Synced};
use crate::environment::fail_points::{self, Point};
use crate::environment::open_files::is_out_of_files;

/// Commits after which the WAL's length is looked up: the look costs a tenth of a commit.
const COMMITS_BETWEEN_LOOKS: u32 = 32;
/// Bytes after which it is looked up however few the commits were.
const BYTES_BETWEEN_LOOKS: usize = 4 * 1_024 * 1_024;
/// Pages not yet copied after which a checkpoint starts: 16 MiB, read back in well under a second after a crash.
const PAGES_PENDING_MAX: i64 = 4_096;

#[derive(Debug, Default)]
struct CheckpointShared {
    /// The thread has finished a round that the writer has not followed up.
    finished: bool,
    failed: Option<String>,
}

#[derive(Debug)]
pub(super) struct Checkpoints {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Mutex<CheckpointShared>>,
    marks: Arc<Marks>,
    commits: u32,
    bytes: usize,
}

impl Checkpoints {
    pub(super) fn start(file: &Path) -> Result<Self, String> {
        let opened =
            || super::connections::open_checkpointer(file).map_err(|error| error.to_string());
        let (connection, holder) = (opened()?, opened()?);
        let marks = Arc::new(Marks::open(file).map_err(|error| error.to_string())?);
        let shared = Arc::new(Mutex::new(CheckpointShared::default()));
        let (wake, woken) = sync_channel(1);
        let copying = Copying {
            file: connection,
            holder,
            marks: Arc::clone(&marks),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("event-checkpoint".to_owned())
            .spawn(move || copying.run(&woken))
            .map_err(|error| error.to_string())?;
        Ok(Self { wake: Some(wake), thread: Some(thread), shared, marks, commits: 0, bytes: 0 })
    }

    /// Why a checkpoint failed, if one did.
    pub(super) fn failed(&self) -> Option<String> {
        lock(&self.shared).failed.clone()
    }

    /// Called by the writer between transactions; an error is the reason why the store has ended.
    pub(super) fn after_commit(&mut self, file: &Connection, bytes: usize) -> Result<(), String> {
        self.commits += 1;
        self.bytes += bytes;
        if std::mem::take(&mut lock(&self.shared).finished) {
            fail_points::pass(Point::CheckpointFollow);
            checkpoint(file, &self.marks)?;
            fail_points::pass(Point::CheckpointFollowed);
            return Ok(());
        }
        if self.commits < COMMITS_BETWEEN_LOOKS && self.bytes < BYTES_BETWEEN_LOOKS {
            return Ok(());
        }
        (self.commits, self.bytes) = (0, 0);
        if pending(file)? < PAGES_PENDING_MAX {
            return Ok(());
        }
        match self.wake.as_ref().map(|wake| wake.try_send(())) {
            Some(Ok(()) | Err(TrySendError::Full(()))) => Ok(()),
            Some(Err(TrySendError::Disconnected(()))) | None => {
                Err("the checkpoint thread has ended".to_owned())
            }
        }
    }

    /// Frees what the WAL holds, when the disk is full. It is an attempt: without room it changes nothing.
    pub(super) fn make_room(&self, file: &Connection) {
        if let Err(reason) = checkpoint(file, &self.marks) {
            lock(&self.shared).failed = Some(reason);
        }
    }

    /// An orderly end: everything is copied, and the WAL emptied. Not called after a failure, which leaves the files
    /// as they are: a write or sync that failed is never tried again.
    pub(super) fn finish(&mut self, file: &Connection, synced: &mut Synced) {
        self.end_thread();
        if self.failed().is_some() {
            return;
        }
        let copied = checkpoint(file, &self.marks);
        let emptied = copied.is_ok()
            && file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).is_ok();
        if emptied {
            synced.emptied();
        } else {
            tracing::warn!("the event store keeps its log of writes for the next start");
        }
    }

    fn end_thread(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has reported that itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end_thread();
    }
}

/// What the thread owns.
struct Copying {
    file: Connection,
    /// Reads while pages are copied, which keeps the copying at what the mark says.
    holder: Connection,
    marks: Arc<Marks>,
    shared: Arc<Mutex<CheckpointShared>>,
}

impl Copying {
    fn run(self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            fail_points::pass(Point::CheckpointWoken);
            match self.copy() {
                Ok(()) => lock(&self.shared).finished = true,
                Err(reason) => lock(&self.shared).failed = Some(reason),
            }
            fail_points::pass(Point::CheckpointDone);
        }
    }

    fn copy(&self) -> Result<(), String> {
        let text = |error: rusqlite::Error| error.to_string();
        let held = self.holder.unchecked_transaction().map_err(text)?;
        // Only a read begins it.
        held.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).map_err(text)?;
        checkpoint(&self.file, &self.marks)
    }
}

/// Copies what no reader still needs from the WAL, up to what the mark says before. An error is one after which the
/// store must end.
fn checkpoint(file: &Connection, marks: &Marks) -> Result<(), String> {
    let marks = marks.lock();
    let counts = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let begun = file.query_row("PRAGMA wal_checkpoint(NOOP)", [], counts);
    let Ok((frames, _)) = begun else { return Ok(()) };
    match marks.may_be_copied(u64::try_from(frames).unwrap_or(0)) {
        Ok(()) => {}
        // Without the mark nothing is copied; the next time there may be room, or a file to look into.
        Err(error) if error.kind() == io::ErrorKind::StorageFull || is_out_of_files(&error) => {
            return Ok(());
        }
        Err(error) => return Err(format!("the mark of checkpoints cannot be written: {error}")),
    }
    let copied = failure::planted(Point::CheckpointBegin)
        .and_then(|()| file.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], counts));
    match copied {
        Ok(copied) if copied == (frames, frames) => marks
            .are_copied()
            .map_err(|error| format!("the mark of checkpoints cannot be written: {error}")),
        Ok(_) => Ok(()),
        Err(error) => match failure::of_write(&error) {
            TransactionFailure::Fatal => Err(error.to_string()),
            // Busy, full, damaged: nothing is lost by trying again later.
            TransactionFailure::Full
            | TransactionFailure::Damaged
            | TransactionFailure::Refused => Ok(()),
        },
    }
}

/// The file, and the frames of its WAL up to the last commit.
pub(super) fn frames(file: &Connection) -> Option<(PathBuf, i64)> {
    let frames = file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).ok()?;
    Some((file.path()?.into(), frames))
}

/// Pages in the WAL that are not in the file yet.
fn pending(file: &Connection) -> Result<i64, String> {
    let look = file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
    });
    look.map_err(|error| error.to_string())
}

fn lock(shared: &Mutex<CheckpointShared>) -> std::sync::MutexGuard<'_, CheckpointShared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
