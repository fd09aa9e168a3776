//! Where the log of writes lies, and the salts in its head, by which one life of it is told from the next.
//! Absent: whether it is whole (`wal`), and what was synced of it (`mark`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a WAL's head.
pub(super) const HEADER: usize = 32;

/// The log of writes of the file.
pub(super) fn path_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The salts that stand there in a head, or in the header of a frame.
pub(super) fn salts(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..].first_chunk().copied().unwrap_or_default()
}

/// The salts of the WAL at `path`, by which its frames are told from older ones.
pub(super) fn salts_of(path: &Path) -> io::Result<[u8; 8]> {
    salts_in(&mut File::open(path)?)
}

/// As `salts_of`, of a WAL that is open.
pub(super) fn salts_in(wal: &mut File) -> io::Result<[u8; 8]> {
    let mut head = [0; HEADER];
    wal.seek(SeekFrom::Start(0))?;
    wal.read_exact(&mut head)?;
    Ok(salts(&head, 16))
}
