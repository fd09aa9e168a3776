//! Append notices: what another engine wrote to a stream, until its driver has read it.
//! Always holds: of a subject the highest seq is kept, and a clear takes no newer one with it. Absent: reading them
//! (`reads`).

use rusqlite::Connection;

use super::keys::{stored, with_subject};
use super::row_checksums::{self, RowPlace};
use crate::event_store::contract::AppendNotice;

/// Writes an append notice; of two for one subject the higher seq stays.
pub(super) fn write(file: &Connection, notice: &AppendNotice) -> rusqlite::Result<()> {
    let subject = &notice.subject;
    file.prepare_cached(
        "INSERT INTO append_notices (grp, kind, namespace, id, seq, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (grp, kind, namespace, id) DO UPDATE SET seq = excluded.seq, sum = excluded.sum
         WHERE excluded.seq > seq",
    )?
    .execute(with_subject!(
        subject,
        stored(notice.seq),
        row_checksums::of_notice(RowPlace::of(subject), stored(notice.seq))
    ))?;
    Ok(())
}

/// Deletes an append notice unless a newer one has come.
pub(super) fn clear(file: &Connection, notice: &AppendNotice) -> rusqlite::Result<()> {
    let subject = &notice.subject;
    file.prepare_cached(
        "DELETE FROM append_notices
         WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4 AND seq <= ?5",
    )?
    .execute(with_subject!(subject, stored(notice.seq)))?;
    Ok(())
}
