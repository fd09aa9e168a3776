//! Which row is whose: the index from a job's id to its row, filed in bulk (`environment::Unfiled`), because an id that
//! follows from a key has a page of its own in it.
//! Always holds: a row is taken for a job's only when it says so. Absent: damage; a view is made anew.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::environment::{Filing, Unfiled, UnfiledEntry};

/// In `meta`: all rows up to this number have their entry in `ids`.
const FILED_TO: &str = "filed_to";
/// Entries that one flush files beside its own work: some milliseconds.
const SLICE_MAX: usize = 2_048;

/// Bits of a key that are taken from the end of the id, so that ids with one beginning have many keys.
const END_BITS: u32 = 16;

/// Under what a row is found: the beginning of the id, which is its time where it has one, and something of its end.
pub(super) fn entry(id: Uuid, row: i64) -> UnfiledEntry {
    let (beginning, end) = id.as_u64_pair();
    let end = end.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - END_BITS);
    let key = beginning >> END_BITS << END_BITS | end;
    UnfiledEntry { shelf: 0, key: key.cast_signed(), row }
}

/// What is not filed of a file, and the last row of it.
pub(super) fn load(file: &Connection) -> rusqlite::Result<(Unfiled, i64)> {
    let filed_to = file
        .query_row("SELECT value FROM meta WHERE key = ?1", [FILED_TO], |row| row.get(0))
        .optional()?
        .unwrap_or(0_i64);
    let mut unfiled = file.prepare("SELECT id, row FROM jobs WHERE row > ?1")?;
    let unfiled = unfiled
        .query_and_then([filed_to], |row| Ok(entry(uuid_at(row, 0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    // A row's number is never given again, also when the newest rows are deleted.
    let last = unfiled.iter().map(|entry| entry.row).fold(filed_to, i64::max);
    Ok((Unfiled::new(unfiled, last), last))
}

/// The filing of that index.
pub(super) fn filing(file: &Connection) -> rusqlite::Result<Filing> {
    let filed: i64 = file.query_row("SELECT count(*) FROM ids", [], |row| row.get(0))?;
    Ok(filing_of(u64::try_from(filed).unwrap_or(0)))
}

/// That of an index with so many entries.
pub(super) fn filing_of(filed: u64) -> Filing {
    Filing::new(filed, SLICE_MAX)
}

/// The row of a job. What is not filed is looked at first, then the file.
pub(super) fn find(
    file: &Connection,
    unfiled: &Unfiled,
    ns: i64,
    id: Uuid,
) -> rusqlite::Result<Option<i64>> {
    let UnfiledEntry { shelf, key, .. } = entry(id, 0);
    let mut whose =
        file.prepare_cached("SELECT 1 FROM jobs WHERE row = ?1 AND ns = ?2 AND id = ?3")?;
    let mut is_its = |row: i64| whose.exists(params![row, ns, &id.as_bytes()[..]]);
    for entry in unfiled.of(shelf, key) {
        if is_its(entry.row)? {
            return Ok(Some(entry.row));
        }
    }
    let mut filed = file.prepare_cached("SELECT row FROM ids WHERE key = ?1")?;
    let mut rows = filed.query([key])?;
    while let Some(row) = rows.next()? {
        let row = row.get(0)?;
        if is_its(row)? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Writes entries into the index of the file; one that was filed before the last start may be there.
pub(super) fn file_entries(
    file: &Connection,
    entries: &[UnfiledEntry],
    filed_to: Option<i64>,
) -> rusqlite::Result<()> {
    let mut insert = file.prepare_cached("INSERT OR IGNORE INTO ids (key, row) VALUES (?1, ?2)")?;
    for entry in entries {
        insert.execute(params![entry.key, entry.row])?;
    }
    filed_to.map_or(Ok(()), |filed_to| say_filed(file, filed_to))
}

/// Says to where all entries are filed.
pub(super) fn say_filed(file: &Connection, filed_to: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    file.prepare_cached(sql)?.execute(params![FILED_TO, filed_to]).map(drop)
}

/// Deletes an entry, where it is filed.
pub(super) fn remove(file: &Connection, entry: UnfiledEntry) -> rusqlite::Result<()> {
    let sql = "DELETE FROM ids WHERE key = ?1 AND row = ?2";
    file.prepare_cached(sql)?.execute(params![entry.key, entry.row]).map(drop)
}

pub(super) fn uuid_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    Uuid::from_slice(row.get_ref(column)?.as_blob()?).map_err(|_| rusqlite::Error::InvalidQuery)
}
