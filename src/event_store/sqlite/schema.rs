//! The tables of `events.db` and their version.
//! Always holds: a file of a newer format, or one that is not ours, is refused; a migration is one transaction.
//! Absent: a way back to an older format, and how a connection is opened (`connections`).

use rusqlite::Connection;

use super::folder::FolderError;
use super::format_3;
use super::meta::say;

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
pub(super) fn known() -> u32 {
    FORMATS_REFUSED + u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The format of an open file; one that is not ours, too old or too new is refused.
pub(super) fn format_of(connection: &Connection, named: &str) -> Result<u32, FolderError> {
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

/// Makes tables, and fills them from those of the format before.
fn take_step(file: &Connection, step: usize, sql: &str) -> rusqlite::Result<()> {
    file.execute_batch(sql)?;
    if step == 1 { format_3::carry_over(file) } else { Ok(()) }
}

/// Brings a file to the format that is written here, each step in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    format: u32,
    new_store_id: &str,
) -> rusqlite::Result<()> {
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
