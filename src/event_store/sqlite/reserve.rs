//! Room that is kept for finishing work: free space below a mark that submissions may not use, and below that a file
//! that is given up when the disk is really full, whoever filled it.
//! Always holds: what may not use the reserve is refused from the mark on and while the file is not whole; the file is
//! whole again by itself once there is room. Absent: any deletion of data to make room.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file's name in the data folder.
const RESERVE_FILE: &str = "reserve.bin";
/// Written at once where a file cannot simply be given its room.
static ZEROS: [u8; 64 * 1_024] = [0; 64 * 1_024];

/// What is kept on the disk of a data folder.
#[derive(Debug)]
pub(super) struct Reserve {
    folder: PathBuf,
    /// Below so many free bytes the rest is for finishing work.
    free_min: u64,
    /// Bytes of the file; 0: none is kept.
    bytes: u64,
    whole: bool,
}

impl Reserve {
    /// Before the store in the folder is opened: a disk too full to open it on gets the file's room.
    pub(super) fn prepare(folder: &Path, free_min: u64, bytes: u64) -> Self {
        let mut reserve = Self { folder: folder.to_owned(), free_min, bytes, whole: bytes == 0 };
        if reserve.free().is_some_and(|free| free < bytes) {
            reserve.give_up_file();
        } else {
            reserve.restore();
        }
        reserve
    }

    /// Whether there is more than the reserve. A disk that cannot be asked is not called full: a write will tell.
    pub(super) fn has_room(&self) -> bool {
        self.whole && (self.free_min == 0 || self.free().is_none_or(|free| free >= self.free_min))
    }

    /// Whether nothing is missing: while something is, it is looked again whether there is room for it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Gives the file's room to whoever writes next. Answers whether there was any.
    pub(super) fn give_up(&mut self) -> bool {
        let had = self.whole && self.bytes > 0;
        if had {
            tracing::warn!("the disk is full: finishing work goes on from the reserve");
            self.give_up_file();
        }
        had
    }

    fn give_up_file(&mut self) {
        self.whole = self.bytes == 0;
        // One that is not there, or stays, is no worse than before.
        let _ = fs::remove_file(self.file());
    }

    /// Makes the file whole when there is room for it and for what else is kept.
    pub(super) fn restore(&mut self) {
        let has_file = fs::metadata(self.file()).is_ok_and(|file| file.len() == self.bytes);
        let room = self.free().is_none_or(|free| free >= self.bytes.saturating_add(self.free_min));
        if self.bytes == 0 || has_file {
            self.whole = true;
        } else if room {
            self.whole = fill(&self.file(), self.bytes).is_ok();
            if !self.whole {
                self.give_up_file();
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(RESERVE_FILE)
    }

    fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let given = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    if given.is_err() {
        write_zeros(&mut file, bytes)?;
    }
    file.sync_all()
}

fn write_zeros(file: &mut File, mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let now = usize::try_from(bytes).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..now])?;
        bytes -= now as u64;
    }
    Ok(())
}
