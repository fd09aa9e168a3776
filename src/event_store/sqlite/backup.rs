//! A copy of the streams, made beside whoever has them open: one read transaction sees one committed state, and what
//! is committed is synced. The copy is a data folder of its own and says that it is one, so that the first engine on
//! it raises the incarnation.
//! Always holds: the copy gets its name when it is whole and synced; before that it is called `<name>.partial`.
//! Absent: the view. It is made from the streams.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use domain::ids::Millis;

use super::connections;
use super::folder::{self, EVENTS_FILE, FolderError};
use super::meta::{self, COPIED_AT};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Streams in it.
    pub streams: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Milliseconds of its newest record, 0 in an empty store.
    pub newest_at: Millis,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is something at the place of the copy.
    #[error("{place} {what}; a backup goes to a folder that does not exist yet, or is empty")]
    Taken {
        place: String,
        /// What stands in the way.
        what: &'static str,
    },
    /// Another backup to the same place.
    #[error(
        "{partial} exists: another backup to this place is under way, or was cut off. When none is running, remove it"
    )]
    Partial {
        /// The unfinished copy.
        partial: String,
    },
    /// The copy cannot be written.
    #[error("the backup to {place} cannot be made: {reason}")]
    Failed {
        place: String,
        /// What the system or the store said.
        reason: String,
    },
}

/// Bytes that have been read, and are to be read, roughly: for whoever watches.
pub fn progress(data: &Path, to: &Path) -> (u64, u64) {
    let size = |file: PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
    (size(partial_of(to).join(EVENTS_FILE)), size(data.join(EVENTS_FILE)))
}

/// Copies the streams of the data folder `data` into a new data folder `to`. The store may be in use; its log of
/// writes grows while this runs. Blocks.
///
/// # Errors
/// `to` is taken, `data` is no data folder, or the disk says no; then nothing is left at `to`.
pub fn back_up(data: &Path, to: &Path, now: Millis) -> Result<BackedUp, BackupError> {
    let source = folder::existing(data)?.join(EVENTS_FILE);
    free(to)?;
    let partial = partial_of(to);
    let failed = |reason: String| BackupError::Failed { place: to.display().to_string(), reason };
    match folder::create_one(&partial) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Partial { partial: partial.display().to_string() });
        }
        Err(error) => return Err(failed(error.to_string())),
    }
    let copied = copy(&source, &partial.join(EVENTS_FILE), now).and_then(|made| {
        name(&partial, to).map_err(|error| error.to_string())?;
        Ok(made)
    });
    copied.map_err(|reason| {
        // It holds nothing but what was written here; what cannot be removed is named by the next backup.
        let _ = fs::remove_dir_all(&partial);
        failed(reason)
    })
}

fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.components().as_path().as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn free(to: &Path) -> Result<(), BackupError> {
    let taken = |what| BackupError::Taken { place: to.display().to_string(), what };
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(taken("is not empty")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(taken("is not a folder that can be read")),
    }
}

fn copy(source: &Path, target: &Path, now: Millis) -> Result<BackedUp, String> {
    let words = |error: rusqlite::Error| error.to_string();
    let from = connections::open_beside(source).map_err(|error| error.to_string())?;
    let place = target.to_str().ok_or("its name is not Unicode")?;
    from.execute("VACUUM INTO ?1", [place]).map_err(words)?;
    drop(from);
    let copy = rusqlite::Connection::open(target).map_err(words)?;
    meta::say(&copy, COPIED_AT, now).map_err(words)?;
    let newest_at = meta::identity(&copy).map_err(words)?.newest_at;
    let streams: i64 =
        copy.query_row("SELECT count(*) FROM streams", [], |row| row.get(0)).map_err(words)?;
    copy.close().map_err(|(_, error)| words(error))?;
    let file = File::open(target).map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| error.to_string())?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    Ok(BackedUp { streams: streams.try_into().unwrap_or(0), bytes, newest_at })
}

/// Gives the copy its name: from here on it is one.
fn name(partial: &Path, to: &Path) -> io::Result<()> {
    folder::sync_folder(partial)?;
    fs::rename(partial, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder::sync_folder(parent.unwrap_or_else(|| Path::new(".")))
}
