//! The tables of `events.db`, their version and how a connection is opened.
//! Always holds: a file of a newer format, or one that is not ours, is refused before a byte of it is changed; a
//! migration is one transaction. Absent: a way back to an older format.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::folder::FolderError;

/// Written into the file's header, so that another program's file is not taken for ours: "ORRY".
const APPLICATION_ID: i32 = 0x4F52_5259;

/// Step n brings a file from format n to format n + 1. Steps are only ever added.
const MIGRATIONS: [&str; 1] = [
    // `records` is in the order of commits, so that a batch fills few pages whatever its subjects are; streams are
    // found through the index. `newest` is set only where it differs from `at`, so that the newest time of all is
    // known from the last row alone. A stream's number is internal and never leaves the file.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE streams (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         stream INTEGER NOT NULL, due INTEGER, mark INTEGER,
         PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX streams_due ON streams (grp, due) WHERE due IS NOT NULL;
     CREATE TABLE records (
         position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
         at INTEGER NOT NULL, newest INTEGER, nonce BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;
     CREATE UNIQUE INDEX records_stream ON records (stream, first);
     CREATE TABLE payloads (
         stream INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (stream, hash)) STRICT;
     CREATE TABLE snapshots (
         stream INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;
     CREATE TABLE tombstones (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         count INTEGER NOT NULL, hash BLOB NOT NULL, first_answer BLOB NOT NULL, keep_until INTEGER NOT NULL,
         PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX tombstones_over ON tombstones (keep_until);
     CREATE TABLE nudges (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         seq INTEGER NOT NULL, PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;",
];

/// The statements a connection keeps prepared; more than the code has.
const STATEMENTS_MAX: usize = 64;

/// What the file says of itself.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) store_id: String,
    pub(super) incarnation: u32,
    pub(super) newest_at: i64,
    pub(super) streams: i64,
}

/// Opens the file for writing, making or migrating it.
pub(super) fn open_writer(
    file: &Path,
    new_store_id: &str,
) -> Result<(Connection, Identity), FolderError> {
    let named = file.display().to_string();
    let unreadable = |error: rusqlite::Error| FolderError::Unreadable {
        file: named.clone(),
        reason: error.to_string(),
    };
    let mut connection = Connection::open(file).map_err(unreadable)?;
    let format = format_of(&connection, &named)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if format > known {
        return Err(FolderError::NewerFormat { file: named, found: format, known });
    }
    configure(&connection).map_err(unreadable)?;
    migrate(&mut connection, format, new_store_id).map_err(unreadable)?;
    let identity = identity(&connection).map_err(unreadable)?;
    Ok((connection, identity))
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// Opens the file for copying finished pages from the WAL into it.
pub(super) fn open_checkpointer(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
    )?;
    Ok(connection)
}

fn format_of(connection: &Connection, named: &str) -> Result<u32, FolderError> {
    let foreign = |reason: String| FolderError::Foreign { file: named.to_owned(), reason };
    let pragma = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0))
            .map_err(|error| foreign(error.to_string()))
    };
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| foreign(error.to_string()))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(foreign("it belongs to another program".to_owned()));
    }
    u32::try_from(format).map_err(|_| foreign(format!("its format is {format}")))
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

fn migrate(connection: &mut Connection, format: u32, new_store_id: &str) -> rusqlite::Result<()> {
    let from = usize::try_from(format).unwrap_or(usize::MAX);
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        if step == 0 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            let insert = "INSERT INTO meta (key, value) VALUES (?1, ?2)";
            transaction.execute(insert, params!["store_id", new_store_id])?;
            transaction.execute(insert, params!["incarnation", 1])?;
            transaction.execute(insert, params!["newest_at", 0])?;
        }
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(step + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let meta = "SELECT value FROM meta WHERE key = ?1";
    let at_deletion: i64 = connection.query_row(meta, ["newest_at"], |row| row.get(0))?;
    let last: Option<i64> = connection
        .query_row(
            "SELECT coalesce(newest, at) FROM records ORDER BY position DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(Identity {
        store_id: connection.query_row(meta, ["store_id"], |row| row.get(0))?,
        incarnation: connection.query_row(meta, ["incarnation"], |row| row.get(0))?,
        newest_at: last.unwrap_or(0).max(at_deletion),
        streams: connection.query_row(
            "SELECT coalesce(max(stream), 0) FROM records",
            [],
            |row| row.get(0),
        )?,
    })
}
