//! The tables of `view.db`, and how it is opened. Every index costs each flush, so each says which list needs it;
//! those over columns that most jobs lack are partial, and none is in an order that says nothing about when a job came:
//! in a large index that would be a page a job.
//! Always holds: a file of another format is made anew, one that is not a database is renamed, another program's
//! file is refused. Absent: migrations. The streams are the truth, so a new format is a rebuild.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::view::contract::{ViewError, ViewResult};

/// Written into the file's header, so that another program's file is not taken for ours: "ORRV".
const APPLICATION_ID: i32 = 0x4F52_5256;
/// Raised with every change of the tables.
const FORMAT: i32 = 2;
/// The statements a connection keeps prepared: those of a flush, and the lists that are asked for again and again.
const STATEMENTS_MAX: usize = 64;

pub(super) const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE namespaces (ns INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE jobs (
        row INTEGER PRIMARY KEY, ns INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL,
        status TEXT NOT NULL, priority INTEGER NOT NULL, name TEXT NOT NULL, job_type TEXT,
        environment TEXT NOT NULL, parent BLOB, triggered_by TEXT, error_class TEXT, tags TEXT,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, body ANY NOT NULL) STRICT;
    -- The row of a job, by the beginning of its id; filed in bulk (`ids`).
    CREATE TABLE ids (key INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (key, row)) STRICT, WITHOUT ROWID;
    -- The three sorts; also created_after and created_before.
    CREATE INDEX jobs_created ON jobs (ns, created_at, id);
    CREATE INDEX jobs_updated ON jobs (ns, updated_at, id);
    CREATE INDEX jobs_priority ON jobs (ns, priority, created_at, id);
    -- The filters, each in the order of the default sort.
    CREATE INDEX jobs_status ON jobs (ns, status, created_at, id);
    CREATE INDEX jobs_name ON jobs (ns, name);
    CREATE INDEX jobs_type ON jobs (ns, job_type, created_at, id) WHERE job_type IS NOT NULL;
    CREATE INDEX jobs_environment ON jobs (ns, environment, created_at, id) WHERE environment <> 'default';
    CREATE INDEX jobs_parent ON jobs (ns, parent, created_at, id) WHERE parent IS NOT NULL;
    CREATE INDEX jobs_triggered ON jobs (ns, triggered_by, created_at, id) WHERE triggered_by IS NOT NULL;
    CREATE INDEX jobs_error ON jobs (ns, error_class, created_at, id) WHERE error_class IS NOT NULL;
    CREATE TABLE tags (
        ns INTEGER NOT NULL, tag TEXT NOT NULL, created_at INTEGER NOT NULL, id BLOB NOT NULL, row INTEGER NOT NULL,
        PRIMARY KEY (ns, tag, created_at, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE named (
        row INTEGER PRIMARY KEY, ns INTEGER NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL,
        name TEXT NOT NULL, body ANY NOT NULL) STRICT;
    CREATE UNIQUE INDEX named_id ON named (ns, kind, id);
    CREATE INDEX named_name ON named (ns, kind, name);
    CREATE TABLE deleted (
        ns INTEGER NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, keep_until INTEGER NOT NULL,
        PRIMARY KEY (ns, kind, id)) STRICT, WITHOUT ROWID;
    CREATE INDEX deleted_over ON deleted (keep_until);";

/// The tables that hold what came from the streams.
pub(super) const CONTENTS: [&str; 5] = ["jobs", "ids", "tags", "named", "deleted"];

/// What SQLite's errors mean to the engine.
pub(super) fn view_error(error: &rusqlite::Error) -> ViewError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, SystemIoFailure};
    // The index of the log could not grow: on a full disk.
    const SHARED_INDEX_FULL: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    if matches!(error, rusqlite::Error::SqliteFailure(cause, _) if cause.extended_code == SHARED_INDEX_FULL)
    {
        return ViewError::Full;
    }
    match error.sqlite_error_code() {
        Some(DiskFull) => ViewError::Full,
        // After a failed write nobody knows what the file holds; it can be rebuilt.
        Some(DatabaseCorrupt | NotADatabase | SystemIoFailure) | None => {
            ViewError::Damaged(error.to_string())
        }
        Some(_) => ViewError::Unavailable(error.to_string()),
    }
}

/// Opens the file for writing, making it when it is missing, of another format, or unreadable.
pub(super) fn open_writer(file: &Path) -> ViewResult<Connection> {
    match opened(file) {
        Ok(Opened::Usable(connection)) => Ok(connection),
        Ok(Opened::Foreign) => Err(foreign(file)),
        Ok(Opened::OtherFormat) => {
            remove(file)?;
            fresh(file)
        }
        Err(error) => match view_error(&error) {
            ViewError::Damaged(_) => {
                set_aside(file)?;
                fresh(file)
            }
            other @ (ViewError::Unavailable(_) | ViewError::Full) => Err(other),
        },
    }
}

/// Opens the file for reading, changing nothing; none when it is empty or of another format.
pub(super) fn open_beside(file: &Path) -> rusqlite::Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0))
    };
    let ours = pragma("application_id")? == APPLICATION_ID && pragma("user_version")? == FORMAT;
    Ok(ours.then_some(connection))
}

/// Throws the file away with everything in it; it is an error when it belongs to another program.
pub(super) fn throw_away(file: &Path) -> ViewResult<()> {
    if matches!(opened(file), Ok(Opened::Foreign)) {
        return Err(foreign(file));
    }
    remove(file)
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// The file that commits are written to first.
pub(super) fn wal_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

/// The file, and the frames of its WAL up to the last commit.
pub(super) fn frames(file: &Connection) -> Option<(PathBuf, i64)> {
    let frames = file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).ok()?;
    Some((file.path()?.into(), frames))
}

enum Opened {
    Usable(Connection),
    OtherFormat,
    Foreign,
}

fn opened(file: &Path) -> rusqlite::Result<Opened> {
    let mut connection = Connection::open(file)?;
    let pragma = |connection: &Connection, name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0))
    };
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application = pragma(&connection, "application_id")?;
    if tables > 0 && application != APPLICATION_ID {
        return Ok(Opened::Foreign);
    }
    if tables > 0 && pragma(&connection, "user_version")? != FORMAT {
        return Ok(Opened::OtherFormat);
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 8192;
         PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 134217728;",
    )?;
    if tables == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
    }
    Ok(Opened::Usable(connection))
}

fn foreign(file: &Path) -> ViewError {
    ViewError::Damaged(format!("{} belongs to another program; move it away", file.display()))
}

fn fresh(file: &Path) -> ViewResult<Connection> {
    match opened(file) {
        Ok(Opened::Usable(connection)) => Ok(connection),
        Ok(Opened::OtherFormat | Opened::Foreign) => {
            Err(ViewError::Damaged(format!("{} is not what was just made", file.display())))
        }
        Err(error) => Err(view_error(&error)),
    }
}

fn remove(file: &Path) -> ViewResult<()> {
    for part in [file.to_owned(), wal_of(file), beside(file, "-shm")] {
        match std::fs::remove_file(&part) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(not_moved(&part, &error)),
        }
    }
    Ok(())
}

/// Keeps the damaged file for whoever wants to know what happened; its WAL means nothing without it.
pub(super) fn set_aside(file: &Path) -> ViewResult<()> {
    std::fs::rename(file, beside(file, ".damaged")).map_err(|error| not_moved(file, &error))?;
    remove(file)
}

fn not_moved(file: &Path, error: &std::io::Error) -> ViewError {
    ViewError::Damaged(format!("{} cannot be replaced: {error}", file.display()))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    PathBuf::from(name)
}
