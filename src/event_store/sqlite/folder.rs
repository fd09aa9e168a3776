//! The data folder: made when it is missing, held by one engine at a time, readable by its owner only.
//! Always holds: whoever has a `DataFolder` holds the lock on it until the last clone of it is dropped.
//! Absent: any look at files that it does not know; they are left alone.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where an engine keeps its data when it is told nothing else.
pub const FOLDER_DEFAULT: &str = "./orrery-data";

const LOCK_FILE: &str = "engine.lock";
pub(super) const EVENTS_FILE: &str = "events.db";
const VIEW_FILE: &str = "view.db";

/// Why a data folder cannot be used. Each message names the folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Somebody else holds the lock.
    #[error(
        "the data folder {folder} is in use by another engine{holder}; stop it, or choose another folder with --data"
    )]
    InUse {
        folder: String,
        /// ` (process N)` when it is known, else empty.
        holder: String,
    },
    /// There is no store in it.
    #[error("{folder} is not a data folder of orrery: {reason}")]
    NoStore {
        folder: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error("the data folder {folder} cannot be used: {action}: {cause}")]
    Refused {
        folder: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The file was written by a later version.
    #[error(
        "{file} has format {found}, this version of orrery knows formats up to {known}; use a newer version"
    )]
    NewerFormat {
        file: String,
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// The file was written before the first release.
    #[error(
        "{file} has format {found}, from before the first release; this version of orrery reads and writes format {known} \
         only: start on another folder, or use the version that wrote it"
    )]
    OlderFormat {
        file: String,
        found: u32,
        /// The format that is known here.
        known: u32,
    },
    /// Not one of ours.
    #[error("{file} is not an event store of orrery: {reason}")]
    Foreign {
        file: String,
        /// How that shows.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error(
        "{file} is damaged: {reason}. Nothing was changed; keep a copy of the folder, then restore it from a backup"
    )]
    Damaged {
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store in it cannot be opened.
    #[error("{file} cannot be opened: {reason}")]
    Unreadable {
        file: String,
        /// What the store said.
        reason: String,
    },
}

/// A data folder that this process holds.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Whether it was said that the folder is gone.
    missed: AtomicBool,
    /// Released by the system when it is closed, also after kill -9.
    lock: File,
}

impl DataFolder {
    /// Takes the folder, making it when it is missing.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let refused = |action| {
            move |cause| FolderError::Refused { folder: path.display().to_string(), action, cause }
        };
        let missing = !path.exists();
        if missing {
            create(path).map_err(refused("it cannot be made"))?;
        }
        if !path.is_dir() {
            let cause = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(refused("it is not a folder")(cause));
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(refused("its lock file cannot be opened for writing"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::InUse {
                    folder: path.display().to_string(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(refused("it cannot be locked")(cause)),
        }
        record_holder(&mut lock).map_err(refused("its lock file cannot be written"))?;
        sync_folder(path).map_err(refused("it cannot be synced"))?;
        Ok(Self { path: path.to_owned(), missed: AtomicBool::new(false), lock })
    }

    /// Takes a folder that has a store in it; makes none.
    pub fn open_existing(path: &Path) -> Result<Self, FolderError> {
        Self::open(existing(path)?)
    }

    /// Whether the folder is still where it was opened. What is written to files that were deleted is lost with the
    /// process, however often it is synced, so nothing may be acknowledged from then on.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn is_in_place(&self) -> Result<(), String> {
        let (held, named) = (self.lock.metadata(), fs::metadata(self.path.join(LOCK_FILE)));
        let same = match (&held, &named) {
            (Ok(held), Ok(named)) => identity(held) == identity(named),
            // Only its absence is taken for absence: a file system may fail to answer for other reasons.
            (Ok(_), Err(error)) => error.kind() != io::ErrorKind::NotFound,
            (Err(_), _) => true,
        };
        if same == self.missed.load(Ordering::Relaxed) {
            self.missed.store(!same, Ordering::Relaxed);
            let folder = self.path.display();
            if same {
                tracing::info!(%folder, "the data folder is back in its place");
            } else {
                tracing::error!(
                    %folder,
                    "the data folder was deleted, moved or replaced while the engine runs: nothing is taken any more"
                );
            }
        }
        if same {
            return Ok(());
        }
        Err(format!(
            "the data folder {} was deleted, moved or replaced while the engine runs, so nothing can be stored; move it back, \
             or stop the engine and restore a backup",
            self.path.display()
        ))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file with the streams.
    pub fn events_file(&self) -> PathBuf {
        self.path.join(EVENTS_FILE)
    }

    /// The file with the documents for looking; it may be deleted while no engine runs.
    pub fn view_file(&self) -> PathBuf {
        self.path.join(VIEW_FILE)
    }

    /// Makes the names of files that were created in the folder durable.
    pub fn sync(&self) -> Result<(), FolderError> {
        sync_folder(&self.path).map_err(|cause| FolderError::Refused {
            folder: self.path.display().to_string(),
            action: "it cannot be synced",
            cause,
        })
    }
}

/// What tells a file from another one of the same name.
#[cfg(unix)]
fn identity(file: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
fn identity(_file: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// The folder itself, when there is a store in it.
pub(super) fn existing(path: &Path) -> Result<&Path, FolderError> {
    let reason = if !path.is_dir() {
        "there is no such folder"
    } else if !path.join(EVENTS_FILE).is_file() {
        "it has no events.db"
    } else {
        return Ok(path);
    };
    Err(FolderError::NoStore { folder: path.display().to_string(), reason })
}

fn create(path: &Path) -> io::Result<()> {
    builder().recursive(true).create(path)
}

/// Makes one folder; it is an error when there is one.
pub(super) fn create_one(path: &Path) -> io::Result<()> {
    builder().create(path)
}

#[cfg(unix)]
fn builder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    // Inputs and outputs of jobs may be secrets: the owner only.
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder() -> DirBuilder {
    DirBuilder::new()
}

/// A folder is synced through a handle on it; systems where that is no such thing need none.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn record_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    match write!(lock, "{}", std::process::id()).and_then(|()| lock.sync_data()) {
        // Who holds it is only told, and a full disk must not keep an engine from what may make room.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        done => done,
    }
}

/// The recorded process, as a part of a message. What the file says is checked before it is shown.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(20).read_to_string(&mut text) {
        Ok(_) => {
            text.trim().parse::<u32>().map_or(String::new(), |pid| format!(" (process {pid})"))
        }
        Err(_) => String::new(),
    }
}
