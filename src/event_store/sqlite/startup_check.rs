//! What is looked at before anything is served: the log of writes and the length of the file before SQLite opens
//! them, the structure of the file after.
//! Always holds: what is refused is refused by the name of its file, and before a byte of it is changed.
//! Absent: repair. It would decide which of the acknowledged commits to forget.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::Connection;

use super::folder::FolderError;
use super::mark::MarkClaims;
use super::rows::{self, FileFault};
use super::wal::Whole;
use super::{mark, wal, wal_salts};

/// The part of SQLite's header that is looked at: the version it is written with, 1 without a log, 2 with one.
const HEADER_BYTES: usize = 20;
const WRITE_VERSION_AT: usize = 18;
const WRITTEN_WITHOUT_LOG: u8 = 1;
/// Of SQLite's file header.
const HEADER: usize = 100;
/// A file of SQLite begins so.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// A file up to this long is checked page by page at every start, which takes less than a second; a longer one by
/// `orrery check`, and where it is read.
const CHECKED_BYTES_MAX: u64 = 256 * 1_024 * 1_024;

/// A copy has no log of writes; one that lies beside it belongs to another store and would be mixed into it.
pub(super) fn refuse_strange_log(file: &Path, named: &str) -> Result<(), FolderError> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let mut header = [0; HEADER_BYTES];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    if !has_log || read.is_err() || header[WRITE_VERSION_AT] != WRITTEN_WITHOUT_LOG {
        return Ok(());
    }
    Err(FolderError::Unreadable {
        file: named.to_owned(),
        reason: "events.db-wal beside it belongs to another store; restore a backup into a folder of its own".to_owned(),
    })
}

/// Before SQLite opens the file.
pub(super) fn before(file: &Path) -> Result<(), FolderError> {
    let wal = wal_salts::path_of(file);
    // A mark that lies beside a copy is another store's.
    let claims =
        if is_copy(file) { MarkClaims::default() } else { mark::read(&mark::path_of(file)) };
    let whole = wal::examine(&wal, &claims).map_err(|damage| damaged(&wal, &damage))?;
    match length(file, &whole) {
        Ok(None) => Ok(()),
        Ok(Some(page)) => {
            let reason = format!("it is too short: page {page} is neither in it nor in its log");
            Err(damaged(file, &reason))
        }
        Err(error) => Err(damaged(file, &error)),
    }
}

/// Whether the file was written without a log, as copies are until they are opened.
fn is_copy(file: &Path) -> bool {
    let mut head = [0; HEADER];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[WRITE_VERSION_AT] == WRITTEN_WITHOUT_LOG
}

/// After SQLite has opened the file. `made`: its tables are there. What nothing but a time rests on is made right, in
/// the same transaction in which everything else is found right.
pub(super) fn after(
    connection: &mut Connection,
    file: &Path,
    made: bool,
) -> Result<(), FolderError> {
    let unreadable = |error: rusqlite::Error| damaged(file, &error);
    // Pages that contradict themselves are errors from here on, not wrong answers.
    connection.execute_batch("PRAGMA cell_size_check = ON").map_err(unreadable)?;
    let small = std::fs::metadata(file).map_or(0, |found| found.len()) <= CHECKED_BYTES_MAX;
    let transaction = connection.transaction().map_err(unreadable)?;
    let woken = if made { rows_hold(&transaction, file)? } else { 0 };
    if small {
        let found = transaction.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let found: String = found.map_err(unreadable)?;
        if found != "ok" {
            return Err(damaged(file, &found.replace('\n', " ")));
        }
    }
    transaction.commit().map_err(unreadable)?;
    if woken > 0 {
        tracing::warn!(
            woken,
            "wake-ups were not what was written: all that began beside their subjects is looked at now"
        );
    }
    Ok(())
}

/// Every row that says what there is must be what was written. Answers in how many buckets wake-ups
/// were not.
fn rows_hold(file: &Connection, path: &Path) -> Result<usize, FolderError> {
    let unreadable = |error: rusqlite::Error| damaged(path, &error);
    let small = rows::small(file).map_err(unreadable)?;
    if let Some(FileFault { place, what }) = small.first() {
        return Err(damaged(path, &format!("{place}: {what}")));
    }
    let streams = rows::streams(file).map_err(unreadable)?;
    if let Some(FileFault { place, what }) = streams.faults.first() {
        return Err(damaged(path, &format!("{place}: {what}")));
    }
    rows::make_right(file, &streams).map_err(unreadable)
}

fn damaged(file: &Path, reason: &impl ToString) -> FolderError {
    FolderError::Damaged { file: file.display().to_string(), reason: reason.to_string() }
}

/// The first page that must be somewhere and is not.
fn length(path: &Path, whole: &Whole) -> io::Result<Option<u32>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && whole.frames == 0 => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    let mut head = [0; HEADER];
    if bytes < HEADER as u64 {
        // A file that was just made is empty; its first pages are in the log.
        return Ok((1..=whole.pages_after).find(|page| !whole.pages.contains(page)));
    }
    file.read_exact(&mut head)?;
    if !head.starts_with(MAGIC) {
        // SQLite says what it thinks of that.
        return Ok(None);
    }
    // 1 stands for 65,536.
    let page = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65_536,
        page => page.max(512),
    };
    let there = u32::try_from(bytes / page).unwrap_or(u32::MAX);
    let needed = match whole.frames {
        0 => u32::from_be_bytes([head[28], head[29], head[30], head[31]]),
        _ => whole.pages_after,
    };
    Ok((there.saturating_add(1)..=needed).find(|page| !whole.pages.contains(page)))
}
