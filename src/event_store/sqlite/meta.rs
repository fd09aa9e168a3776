//! What the file says of itself, in `meta`: whose it is, its incarnation, the key of leases, how far names are filed.
//! Always holds: each value stands with its sum; the first opening of a copy raises its incarnation, once.

use domain::ids::Millis;
use rusqlite::types::{FromSql, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::row_checksums::{self, RecordRow};
use crate::config::Secret;
use crate::environment::draw_secret;

/// In `meta`: all streams up to this number have their entry in `ids`.
pub(super) const FILED_TO: &str = "filed_to";

/// In `meta` of a copy until an engine has been started on it: when the copy was made.
pub(super) const COPIED_AT: &str = "copied_at";

/// Incarnations of restored stores are the seconds since then (2026-01-01): they fit for 136 years.
const INCARNATIONS_FROM_MS: Millis = 1_767_225_600_000;

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

/// Reads it, with the newest time and the highest number that the tables show.
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

/// Leases that were granted after the copy was made are not known in it. So that no epoch is ever given twice, also
/// when one copy is restored again and again, the incarnation follows the time of the restore.
pub(super) fn raise_incarnation_of_copy(
    connection: &mut Connection,
    now: Millis,
) -> rusqlite::Result<()> {
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
pub(super) fn draw_lease_key(connection: &Connection) -> rusqlite::Result<()> {
    if lease_key(connection)?.is_none() {
        say(connection, LEASE_KEY, draw_secret().reveal().to_owned())?;
    }
    Ok(())
}

fn lease_key(connection: &Connection) -> rusqlite::Result<Option<Secret>> {
    Ok(said::<String>(connection, LEASE_KEY).optional()?.map(Secret::new))
}
