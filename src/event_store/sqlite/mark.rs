//! The mark of checkpoints: a small file that says, before pages are copied from the WAL into the file of the streams,
//! up to which frame. Then a WAL that is found shorter than that is damage: the file has pages of commits that the
//! WAL no longer has.
//! Always holds: the mark is synced before the first page is copied, and rewritten in place, so that a full disk does
//! not keep it from being written. A mark that cannot be read, or none, claims nothing.
//! Absent: any use of it while the store runs.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::wal;

/// Bytes of salts, frames and state; the rest of the file is their hash.
const BODY: usize = 17;
const LENGTH: usize = BODY + 32;
/// Beside the file of the streams.
const ENDING: &str = "-mark";

/// Up to where pages may have been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which WAL.
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

/// The mark there, if there is a readable one.
pub(super) fn read(path: &Path) -> Option<Mark> {
    let bytes = std::fs::read(path).ok()?;
    let (body, hash) = bytes.split_at_checked(BODY)?;
    if hash != Sha256::digest(body).as_slice() {
        return None;
    }
    let (salts, rest) = body.split_first_chunk::<8>()?;
    let (frames, state) = rest.split_first_chunk::<8>()?;
    Some(Mark { salts: *salts, frames: u64::from_be_bytes(*frames), done: state == [1] })
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
        let wal = wal::path_of(events);
        let salts = wal::salts_of(&wal).ok();
        // A mark of another WAL would say that this one is missing, once it is empty.
        if read(&path).is_some_and(|mark| salts != Some(mark.salts)) {
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
        let mark = Mark { salts: wal::salts_of(self.wal)?, frames, done: false };
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
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(&mark.salts);
    bytes.extend_from_slice(&mark.frames.to_be_bytes());
    bytes.push(u8::from(mark.done));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)?;
    file.sync_data()
}
