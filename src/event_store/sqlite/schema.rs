//! The tables of `events.db`, their version and how a connection is opened.
//! Always holds: a file of a newer format, or one that is not ours, is refused before a byte of it is changed; a
//! migration is one transaction; the first opening of a copy raises its incarnation, once. Absent: a way back to an
//! older format.

use std::io::Read;
use std::path::Path;

use domain::ids::Millis;
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::backup::COPIED_AT;
use super::folder::FolderError;
use super::row_checksums::{self, RecordRow};
use super::streams::FILED_TO;
use super::{format_3, startup_check};
use crate::config::Secret;
use crate::environment::draw_secret;

/// Written into the file's header, so that another program's file is not taken for ours: "ORRY".
const APPLICATION_ID: i32 = 0x4F52_5259;

/// Formats from before the first release, which had no sums and are refused.
const FORMATS_REFUSED: u32 = 1;

/// The first step makes a new file, each further one brings a file to the next format. Steps are only ever added.
const MIGRATIONS: [&str; 3] = [
    // `records` is in the order of commits, so that a batch fills few pages whatever its subjects are; streams are
    // found through the index. `newest` is set only where it differs from `at`, so that the newest time of all is
    // known from the last row alone. A stream's number is internal and never leaves the file. Their sums: `row_checksums`.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE streams (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         stream INTEGER NOT NULL, due INTEGER, mark INTEGER, sum INTEGER NOT NULL, wake_sum INTEGER NOT NULL,
         PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX streams_due ON streams (grp, due) WHERE due IS NOT NULL;
     CREATE TABLE records (
         position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
         at INTEGER NOT NULL, newest INTEGER, nonce BLOB NOT NULL, hash BLOB NOT NULL, sum INTEGER NOT NULL,
         body BLOB NOT NULL) STRICT;
     CREATE UNIQUE INDEX records_stream ON records (stream, first);
     CREATE TABLE payloads (
         stream INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (stream, hash)) STRICT;
     CREATE TABLE snapshots (
         stream INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
         sum INTEGER NOT NULL) STRICT;
     CREATE TABLE tombstones (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         count INTEGER NOT NULL, hash BLOB NOT NULL, first_answer BLOB NOT NULL, keep_until INTEGER NOT NULL,
         sum INTEGER NOT NULL,
         PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX tombstones_over ON tombstones (keep_until);
     CREATE TABLE nudges (
         grp INTEGER NOT NULL, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         seq INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (grp, kind, namespace, id)) STRICT, WITHOUT ROWID;",
    // What grows with every job is in the order of arrival, so that a commit writes few pages however much is stored:
    // `streams` by number, `ids` (subject to stream) filed in bulk, wake-ups in a table of the living. Decision 0031.
    "ALTER TABLE streams RENAME TO streams_of_format_2;
     CREATE TABLE streams (
         stream INTEGER PRIMARY KEY, kind INTEGER NOT NULL, namespace TEXT NOT NULL, id BLOB NOT NULL,
         sum INTEGER NOT NULL) STRICT;
     CREATE TABLE ids (
         grp INTEGER NOT NULL, key INTEGER NOT NULL, stream INTEGER NOT NULL,
         PRIMARY KEY (grp, key, stream)) STRICT, WITHOUT ROWID;
     CREATE TABLE wakes (
         bucket INTEGER NOT NULL, grp INTEGER NOT NULL, stream INTEGER NOT NULL, due INTEGER NOT NULL,
         mark INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (bucket, grp, stream)) STRICT, WITHOUT ROWID;
     ALTER TABLE records ADD COLUMN packed INTEGER;",
    // The word that is used everywhere else.
    "ALTER TABLE nudges RENAME TO append_notices;",
];

/// The format that is written here.
fn known() -> u32 {
    FORMATS_REFUSED + u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The part of SQLite's header that is looked at: the version it is written with, 1 without a log, 2 with one.
const HEADER_BYTES: usize = 20;
pub(super) const WRITE_VERSION_AT: usize = 18;
pub(super) const WRITTEN_WITHOUT_LOG: u8 = 1;

/// Incarnations of restored stores are the seconds since then (2026-01-01): they fit for 136 years.
const INCARNATIONS_FROM_MS: Millis = 1_767_225_600_000;

/// The statements a connection keeps prepared; more than the code has.
const STATEMENTS_MAX: usize = 64;

/// In `meta`: the key that leases are authenticated under.
const LEASE_KEY: &str = "lease_key";

/// What the file says of itself.
#[derive(Debug)]
pub(super) struct FileIdentity {
    pub(super) store_id: String,
    pub(super) incarnation: u32,
    pub(super) newest_at: i64,
    pub(super) streams: i64,
    /// Empty while no engine has opened the file since leases are authenticated.
    pub(super) lease_key: Secret,
}

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
    raise_incarnation_of_copy(&mut connection, now).map_err(unreadable)?;
    draw_lease_key(&connection).map_err(unreadable)?;
    let identity = identity(&connection).map_err(unreadable)?;
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

/// A copy has no log of writes; one that lies beside it belongs to another store and would be mixed into it.
fn refuse_strange_log(file: &Path, named: &str) -> Result<(), FolderError> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let mut header = [0; HEADER_BYTES];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut header));
    if !has_log || read.is_err() || header[WRITE_VERSION_AT] != WRITTEN_WITHOUT_LOG {
        return Ok(());
    }
    Err(FolderError::Unreadable {
        file: named.to_owned(),
        reason: "events.db-wal beside it belongs to another store; restore a backup into a folder of its own".to_owned(),
    })
}

/// Leases that were granted after the copy was made are not known in it. So that no epoch is ever given twice, also
/// when one copy is restored again and again, the incarnation follows the time of the restore.
fn raise_incarnation_of_copy(connection: &mut Connection, now: Millis) -> rusqlite::Result<()> {
    let of_time = u32::try_from((now - INCARNATIONS_FROM_MS) / 1_000).unwrap_or(0);
    let transaction = connection.transaction()?;
    let copied = transaction.execute("DELETE FROM meta WHERE key = ?1", [COPIED_AT])?;
    if copied == 1 {
        let before: u32 = said(&transaction, "incarnation")?;
        say(&transaction, "incarnation", before.saturating_add(1).max(of_time))?;
        tracing::info!("the store was restored from a backup: leases granted before are void");
    }
    transaction.commit()
}

/// The key of leases is drawn when it is missing: in a new file, and in one of before leases were authenticated.
fn draw_lease_key(connection: &Connection) -> rusqlite::Result<()> {
    if lease_key(connection)?.is_none() {
        say(connection, LEASE_KEY, draw_secret().reveal().to_owned())?;
    }
    Ok(())
}

fn lease_key(connection: &Connection) -> rusqlite::Result<Option<Secret>> {
    Ok(said::<String>(connection, LEASE_KEY).optional()?.map(Secret::new))
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
    let format = u32::try_from(format).map_err(|_| foreign(format!("its format is {format}")))?;
    let (file, known) = (named.to_owned(), known());
    match format {
        // A file without a table is a new one.
        1..=FORMATS_REFUSED => Err(FolderError::OlderFormat { file, found: format, known }),
        _ if format > known => Err(FolderError::NewerFormat { file, found: format, known }),
        _ => Ok(format),
    }
}

/// Whether the tables and indexes are those that are made here.
pub(super) fn is_as_made(connection: &Connection) -> rusqlite::Result<bool> {
    let made = Connection::open_in_memory()?;
    MIGRATIONS.iter().enumerate().try_for_each(|(step, sql)| take_step(&made, step, sql))?;
    let all = |connection: &Connection| {
        // SQLite's own are those of statistics and of unique columns.
        let sql = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
                   WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2, 3, 4";
        let mut read = connection.prepare(sql)?;
        let rows = read.query_map([], |row| {
            Ok([0, 1, 2, 3]
                .map(|column| row.get_ref(column).map(|text| text.as_bytes().map(<[u8]>::to_vec))))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(format!("{:?}", all(connection)?) == format!("{:?}", all(&made)?))
}

/// Writes what the file says of itself under a key.
pub(super) fn say(
    connection: &Connection,
    key: &str,
    value: impl Into<Value>,
) -> rusqlite::Result<()> {
    let value = value.into();
    let sum = row_checksums::of_meta(key, ValueRef::from(&value));
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value, sum) VALUES (?1, ?2, ?3)")?
        .execute(params![key, value, sum])?;
    Ok(())
}

/// What the file says of itself under a key.
pub(super) fn said<T: FromSql>(connection: &Connection, key: &str) -> rusqlite::Result<T> {
    connection.query_row("SELECT value, sum FROM meta WHERE key = ?1", [key], |row| {
        row_checksums::compare(
            "what it says of itself",
            row.get(1)?,
            row_checksums::of_meta(key, row.get_ref(0)?),
        )?;
        row.get(0)
    })
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

/// Makes tables, and fills them from those of the format before.
fn take_step(file: &Connection, step: usize, sql: &str) -> rusqlite::Result<()> {
    file.execute_batch(sql)?;
    if step == 1 { format_3::carry_over(file) } else { Ok(()) }
}

fn migrate(connection: &mut Connection, format: u32, new_store_id: &str) -> rusqlite::Result<()> {
    let done = format.saturating_sub(FORMATS_REFUSED);
    let from = usize::try_from(done).unwrap_or(usize::MAX);
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        // What is sorted for it may be more than memory should hold.
        connection.execute_batch("PRAGMA temp_store = FILE")?;
        let transaction = connection.transaction()?;
        take_step(&transaction, step, sql)?;
        if step == 0 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            say(&transaction, "store_id", new_store_id.to_owned())?;
            say(&transaction, "incarnation", 1)?;
            say(&transaction, "newest_at", 0)?;
        }
        let format = u32::try_from(step + 1).unwrap_or(u32::MAX).saturating_add(FORMATS_REFUSED);
        transaction.pragma_update(None, "user_version", format)?;
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA temp_store = MEMORY")
}

pub(super) fn identity(connection: &Connection) -> rusqlite::Result<FileIdentity> {
    let at_deletion: i64 = said(connection, "newest_at")?;
    let last: Option<i64> = connection
        .query_row(
            "SELECT first, count, at, newest, nonce, hash, sum, stream FROM records
             ORDER BY position DESC LIMIT 1",
            [],
            |row| {
                let last = RecordRow::read(row, row.get(7)?)?;
                Ok(last.newest.unwrap_or(last.at))
            },
        )
        .optional()?;
    Ok(FileIdentity {
        lease_key: lease_key(connection)?.unwrap_or_else(|| Secret::new("")),
        store_id: said(connection, "store_id")?,
        incarnation: said(connection, "incarnation")?,
        newest_at: last.unwrap_or(0).max(at_deletion),
        // A number is never given again, also when the newest streams are deleted.
        streams: connection
            .query_row(
                "SELECT max(coalesce((SELECT max(stream) FROM records), 0),
                            coalesce((SELECT max(stream) FROM streams), 0))",
                [],
                |row| row.get::<_, i64>(0),
            )?
            .max(said(connection, FILED_TO)?),
    })
}
