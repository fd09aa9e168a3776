//! A small file of marks beside the file of the streams. One says, before pages are copied from the WAL into that file,
//! up to which frame: a WAL that is found shorter is damage, since the file has pages of commits that the WAL no longer
//! has. The other says, after each commit, up to which frame the WAL was synced: a WAL that is found shorter has lost what
//! was acknowledged.
//! Always holds: the first is synced before a page is copied. The second is written after what it says has come true,
//! and never synced for itself: it is whole after a crash of the process, and may be older after one of the machine,
//! which claims less. Both are rewritten in place, so that a full disk does not keep them from being written. A mark
//! that cannot be read, or none, claims nothing. Absent: any use of them while the store runs.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use sha2::{Digest, Sha256};

use super::wal_salts;

/// Bytes of a mark: of salts, frames and state, and behind them their hash.
const BODY: usize = 17;
const HASH: usize = 32;
const MARK: usize = BODY + HASH;
/// Where the mark of what is synced stands: behind the other.
const SYNCED_AT: usize = 64;
const LENGTH: usize = SYNCED_AT + MARK;
/// Beside the file of the streams.
const ENDING: &str = "-mark";

/// Up to where pages may have been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) salts: [u8; 8],
    /// Frames from its beginning.
    pub(super) frames: u64,
    /// All of them are copied and synced.
    pub(super) done: bool,
}

/// The file with the mark of the store in `events`.
pub(super) fn path_of(events: &Path) -> PathBuf {
    let mut name = events.as_os_str().to_owned();
    name.push(ENDING);
    PathBuf::from(name)
}

/// What a file of marks says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MarkClaims {
    /// Up to where pages may have been copied.
    pub(super) copied: Option<Mark>,
    /// Up to where the WAL was synced.
    pub(super) synced: Option<Mark>,
}

impl MarkClaims {
    /// Whether the pages of all frames that were synced were copied too: then the WAL owes nothing.
    pub(super) fn all_copied(&self) -> bool {
        let Some(synced) = self.synced else { return true };
        let copied = self.copied.filter(|copied| copied.done && copied.salts == synced.salts);
        synced.frames == 0 || copied.is_some_and(|copied| copied.frames >= synced.frames)
    }
}

/// What the file there says, if there is a readable one.
pub(super) fn read(path: &Path) -> MarkClaims {
    let bytes = std::fs::read(path).unwrap_or_default();
    let synced = bytes.get(SYNCED_AT..).and_then(parse);
    MarkClaims { copied: parse(&bytes), synced }
}

fn parse(bytes: &[u8]) -> Option<Mark> {
    let (body, rest) = bytes.split_at_checked(BODY)?;
    if rest.get(..HASH)? != Sha256::digest(body).as_slice() {
        return None;
    }
    let (salts, rest) = body.split_first_chunk::<8>()?;
    let (frames, state) = rest.split_first_chunk::<8>()?;
    Some(Mark { salts: *salts, frames: u64::from_be_bytes(*frames), done: state == [1] })
}

fn text(mark: Mark) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARK);
    bytes.extend_from_slice(&mark.salts);
    bytes.extend_from_slice(&mark.frames.to_be_bytes());
    bytes.push(u8::from(mark.done));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// The mark of an open store.
#[derive(Debug)]
pub(super) struct Marks {
    file: Mutex<File>,
    wal: PathBuf,
}

/// The right to copy pages: one at a time, so that nobody's mark hides another's.
#[derive(Debug)]
pub(super) struct Marking<'a> {
    file: MutexGuard<'a, File>,
    wal: &'a Path,
    written: Cell<Option<Mark>>,
}

impl Marks {
    /// Makes the file, of its full length, so that writing a mark later needs no room.
    pub(super) fn open(events: &Path) -> io::Result<Self> {
        let path = path_of(events);
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() < LENGTH as u64 {
            file.write_all(&[0; LENGTH])?;
            file.sync_all()?;
        }
        let wal = wal_salts::path_of(events);
        let salts = wal_salts::salts_of(&wal).ok();
        let claims = read(&path);
        // A mark of another WAL would say that this one is missing, once it is empty.
        if claims.copied.or(claims.synced).is_some_and(|mark| salts != Some(mark.salts)) {
            file.rewind()?;
            file.write_all(&[0; LENGTH])?;
            file.sync_all()?;
        }
        Ok(Self { file: Mutex::new(file), wal })
    }

    pub(super) fn lock(&self) -> Marking<'_> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        Marking { file, wal: &self.wal, written: Cell::new(None) }
    }
}

impl Marking<'_> {
    /// Says durably that pages of the first `frames` frames may be in the file from now on. Without frames it says
    /// nothing, since nothing will be copied.
    pub(super) fn may_be_copied(&self, frames: u64) -> io::Result<()> {
        if frames == 0 {
            return Ok(());
        }
        let mark = Mark { salts: wal_salts::salts_of(self.wal)?, frames, done: false };
        write(&self.file, mark)?;
        self.written.set(Some(mark));
        Ok(())
    }

    /// Says that all of them are, and are synced.
    pub(super) fn are_copied(&self) -> io::Result<()> {
        let Some(mark) = self.written.get() else { return Ok(()) };
        write(&self.file, Mark { done: true, ..mark })
    }
}

fn write(mut file: &File, mark: Mark) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text(mark))?;
    file.sync_data()
}

/// Says after each commit up to where the WAL is synced. It belongs to the writer, who waits for nobody with it.
#[derive(Debug)]
pub(super) struct Synced {
    marks: File,
    wal: File,
    /// Frames of the WAL, as SQLite counts them at each commit.
    frames: Arc<AtomicU64>,
}

impl Synced {
    /// After `Marks::open`, on the connection that writes.
    pub(super) fn open(events: &Path, connection: &mut Connection) -> Result<Self, String> {
        let text = |error: io::Error| error.to_string();
        let marks = OpenOptions::new().write(true).open(path_of(events)).map_err(text)?;
        let wal = File::open(wal_salts::path_of(events)).map_err(text)?;
        let frames = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&frames);
        connection
            .wal_hook(Some(move |_: &mut Wal, pages| {
                counted.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            }))
            .map_err(|error| error.to_string())?;
        Ok(Self { marks, wal, frames })
    }

    /// A commit is synced. What cannot be written is not claimed; what was claimed before stays true.
    pub(super) fn committed(&mut self) {
        // A WAL that began anew has other salts.
        let Ok(salts) = wal_salts::salts_in(&mut self.wal) else { return };
        let frames = self.frames.load(Ordering::Relaxed);
        self.say(Mark { salts, frames, done: false });
    }

    /// The WAL is emptied, in good order.
    pub(super) fn emptied(&mut self) {
        self.say(Mark { salts: [0; 8], frames: 0, done: false });
    }

    fn say(&mut self, mark: Mark) {
        let there = self.marks.seek(SeekFrom::Start(SYNCED_AT as u64));
        // Half a mark does not fit its hash, and claims nothing.
        let _ = there.and_then(|_| self.marks.write_all(&text(mark)));
    }
}
