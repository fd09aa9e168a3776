//! The embedded event store: one SQLite file in the data folder, WAL with synchronous FULL, one writer thread.
//! Always holds: what was answered `Committed` is fsynced; appends that queue up while a commit runs share the next
//! one; one item's conflict never touches another; a failed fsync or write ends the store for good.
//! Absent: other processes. The folder's lock keeps a second engine away (`folder`).

mod backup;
mod checkpoint;
mod connections;
mod failure;
mod folder;
mod format_3;
mod heads;
mod inspect;
mod keys;
mod mark;
mod meta;
mod notices;
mod packed;
mod reads;
mod reserve;
mod row_checksums;
mod rows;
mod schema;
mod startup_check;
mod store;
mod streams;
mod transaction;
mod wakes;
mod wal;
mod wal_salts;
mod writer;

pub use self::backup::{BackedUp, BackupError, back_up, progress as backup_progress};
pub use self::folder::{DataFolder, FOLDER_DEFAULT, FolderError};
pub use self::inspect::Inspection;
pub use self::packed::unpacked;
pub use self::rows::FileFault;
pub use self::store::{SqliteEventStore, SqliteSettings};
