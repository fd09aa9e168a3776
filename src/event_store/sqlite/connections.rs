//! How a connection to `events.db` is opened: by the writer, by readers beside it, by whoever copies pages.
//! Always holds: a file that is not ours, is damaged or of another format is refused before a byte of it is changed.

use std::path::Path;

use domain::ids::Millis;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::folder::FolderError;
use super::meta::{self, FileIdentity};
use super::schema::{format_of, known, migrate};
use super::startup_check::{self, refuse_strange_log};

/// The statements a connection keeps prepared; more than the code has.
const STATEMENTS_MAX: usize = 64;

/// Opens the file for writing, making or migrating it. `now`: milliseconds of the wall clock, 0 where there is none.
pub(super) fn open_writer(
    file: &Path,
    new_store_id: &str,
    now: Millis,
) -> Result<(Connection, FileIdentity), FolderError> {
    let named = file.display().to_string();
    refuse_strange_log(file, &named)?;
    let unreadable = |error: rusqlite::Error| FolderError::Unreadable {
        file: named.clone(),
        reason: error.to_string(),
    };
    startup_check::before(file)?;
    let mut connection = Connection::open(file).map_err(unreadable)?;
    leaves_files_alone(&connection).map_err(unreadable)?;
    let format = format_of(&connection, &named)?;
    configure(&connection).map_err(unreadable)?;
    startup_check::after(&mut connection, file, format == known())?;
    if (1..known()).contains(&format) {
        tracing::info!(format, to = known(), "the event store is brought to a new format");
    }
    migrate(&mut connection, format, new_store_id).map_err(|error| not_migrated(file, &error))?;
    if (1..known()).contains(&format) {
        startup_check::after(&mut connection, file, true)?;
    }
    meta::raise_incarnation_of_copy(&mut connection, now).map_err(unreadable)?;
    meta::draw_lease_key(&connection).map_err(unreadable)?;
    let identity = meta::identity(&connection).map_err(unreadable)?;
    Ok((connection, identity))
}

/// Opens the file for reading beside anybody, changing nothing, in a format that is known here.
pub(super) fn open_beside(file: &Path) -> Result<Connection, FolderError> {
    let named = file.display().to_string();
    refuse_strange_log(file, &named)?;
    let unreadable = |error: rusqlite::Error| FolderError::Unreadable {
        file: named.clone(),
        reason: error.to_string(),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(unreadable)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let (found, known) = (format_of(&connection, &named)?, known());
    if found < known {
        let reason = format!(
            "it has format {found}: start an engine on it once, which brings it to {known}"
        );
        return Err(FolderError::Unreadable { file: named, reason });
    }
    Ok(connection)
}

/// A row that is not what was written is not carried over: nothing is changed then.
fn not_migrated(file: &Path, error: &rusqlite::Error) -> FolderError {
    let (file, reason) = (file.display().to_string(), error.to_string());
    match error.sqlite_error_code() {
        None => FolderError::Damaged { file, reason },
        Some(_) => FolderError::Unreadable { file, reason },
    }
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    leaves_files_alone(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// Opens the file for copying finished pages from the WAL into it.
pub(super) fn open_checkpointer(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    leaves_files_alone(&connection)?;
    connection.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
    )?;
    Ok(connection)
}

/// Closing a connection makes no checkpoint: after a failed sync that would be a second try, and take the WAL away.
fn leaves_files_alone(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Checkpoints are made by hand: SQLite's own forget the error of a failed fsync.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 268435456;",
    )
}
