//! What each read does on a reader's connection.
//! Always holds: one read sees one committed state; what cannot be decoded, or does not fit its sum, is `Damaged` and
//! names its subject, but for a snapshot, on which nothing rests and which is passed over.
//! Absent: caches. What is read again and again is in the engine's memory.

use std::sync::Arc;

use domain::ids::{GroupId, Millis, SubjectId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::keys::{stored, subject_at, with_subject};
use super::row_checksums::{self, RecordRow, RowPlace};
use super::{packed, streams};
use crate::environment::Unfiled;
use crate::event_store::contract::{
    AppendNotice, PayloadHash, Payloads, Record, Snapshot, StreamPart, Tombstone,
};

/// The part of a stream from the record that contains `from`.
pub(super) fn read(
    file: &mut Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
    from: u64,
    bytes_max: usize,
    newest_at: Millis,
) -> rusqlite::Result<StreamPart> {
    // Several statements that must see one state.
    let file = file.transaction()?;
    let whole = StreamPart { complete: true, ..StreamPart::default() };
    let Some(stream) = streams::find(&file, unfiled, subject)? else {
        let tombstone = tombstone(&file, subject, newest_at)?;
        return Ok(StreamPart { tombstone, ..whole });
    };
    if from > streams::head_of(&file, stream)? {
        return Ok(whole);
    }
    let mut statement = file.prepare_cached(
        "SELECT first, count, at, newest, nonce, hash, sum, body, packed FROM records
         WHERE stream = ?1 AND first >=
             coalesce((SELECT max(first) FROM records WHERE stream = ?1 AND first <= ?2), 1)
         ORDER BY first",
    )?;
    let mut rows = statement.query(params![stream, stored(from.max(1))])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = record(row, stream)?;
        bytes += record.body.len();
        if bytes > bytes_max && !records.is_empty() {
            return Ok(StreamPart { records, complete: false, tombstone: None });
        }
        records.push(record);
    }
    Ok(StreamPart { records, ..whole })
}

/// The append notices of a group, in subject order.
pub(super) fn notices(file: &Connection, group: GroupId) -> rusqlite::Result<Vec<AppendNotice>> {
    file.prepare_cached(
        "SELECT grp, kind, namespace, id, seq, sum FROM append_notices
         WHERE grp = ?1 ORDER BY kind, namespace, id",
    )?
    .query_and_then([group.index()], |row| {
        let sum = row_checksums::of_notice(RowPlace::read(row)?, row.get(4)?);
        row_checksums::compare("an append notice", row.get(5)?, sum)?;
        Ok(AppendNotice { subject: subject_at(row, 1)?, seq: number(row, 4)? })
    })?
    .collect()
}

/// Payloads of a subject, in the asked order.
pub(super) fn payloads(
    file: &mut Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
    hashes: &[PayloadHash],
) -> rusqlite::Result<Payloads> {
    let file = file.transaction()?;
    let Some(stream) = streams::find(&file, unfiled, subject)? else {
        return Ok(vec![None; hashes.len()]);
    };
    let mut statement =
        file.prepare_cached("SELECT body FROM payloads WHERE stream = ?1 AND hash = ?2")?;
    let mut found = Vec::with_capacity(hashes.len());
    for hash in hashes {
        let body = statement.query_row(params![stream, &hash[..]], |row| bytes(row, 0));
        let body = body.optional()?;
        if body.as_ref().is_some_and(|body| Sha256::digest(body)[..] != hash[..]) {
            return Err(row_checksums::not_as_written("a payload"));
        }
        found.push(body);
    }
    Ok(found)
}

/// The newest snapshot of a subject. One that is not what was written is none: the stream has all of it.
pub(super) fn snapshot(
    file: &Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
) -> rusqlite::Result<Option<Snapshot>> {
    let Some(stream) = streams::find(file, unfiled, subject)? else { return Ok(None) };
    let found = file
        .prepare_cached("SELECT seq, hash, body, sum FROM snapshots WHERE stream = ?1")?
        .query_row([stream], |row| snapshot_of(row, stream))
        .optional();
    match found {
        Err(error) if error.sqlite_error_code().is_none() => {
            tracing::warn!(%subject, %error, "a snapshot is passed over");
            Ok(None)
        }
        found => found,
    }
}

/// From the columns seq, hash, body and sum.
pub(super) fn snapshot_of(row: &Row<'_>, stream: i64) -> rusqlite::Result<Snapshot> {
    let (hash, body): ([u8; 32], _) = (row.get(1)?, bytes(row, 2)?);
    let sum = row_checksums::of_snapshot(stream, row.get(0)?, &hash, &body);
    row_checksums::compare("a snapshot", row.get(3)?, sum)?;
    Ok(Snapshot { seq: number(row, 0)?, hash, body })
}

/// The columns of a tombstone, for `tombstone_at`.
pub(super) const TOMBSTONE: &str = "count, hash, first_answer, keep_until, sum";

/// From the columns of `TOMBSTONE`, which begin there; and until when it is kept.
pub(super) fn tombstone_at(
    row: &Row<'_>,
    first: usize,
    place: RowPlace<'_>,
) -> rusqlite::Result<(Tombstone, Millis)> {
    let (hash, first_answer): ([u8; 32], Vec<u8>) = (row.get(first + 1)?, row.get(first + 2)?);
    let keep_until = row.get(first + 3)?;
    let sum = row_checksums::of_tombstone(place, row.get(first)?, &hash, &first_answer, keep_until);
    row_checksums::compare("a tombstone", row.get(first + 4)?, sum)?;
    Ok((Tombstone { count: number(row, first)?, hash, first_answer }, keep_until))
}

/// What is left of a deleted stream, and until when, also when that is over.
pub(super) fn tombstone_of(
    file: &Connection,
    subject: &SubjectId,
) -> rusqlite::Result<Option<(Tombstone, Millis)>> {
    file.prepare_cached(
        "SELECT count, hash, first_answer, keep_until, sum FROM tombstones
         WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4",
    )?
    .query_row(with_subject!(subject), |row| tombstone_at(row, 0, RowPlace::of(subject)))
    .optional()
}

fn tombstone(
    file: &Connection,
    subject: &SubjectId,
    newest_at: Millis,
) -> rusqlite::Result<Option<Tombstone>> {
    let kept = tombstone_of(file, subject)?.filter(|(_, keep_until)| *keep_until > newest_at);
    Ok(kept.map(|(tombstone, _)| tombstone))
}

/// From the columns of a `RecordRow`, the body, and what it is packed with.
fn record(row: &Row<'_>, stream: i64) -> rusqlite::Result<Record> {
    let found = RecordRow::read(row, stream)?;
    let wrong = |_| row_checksums::not_as_written("the row of a record");
    let nonce = found.nonce.try_into().map_err(wrong)?;
    Ok(Record {
        first: number(row, 0)?,
        count: row.get(1)?,
        at: found.at,
        nonce: u128::from_be_bytes(nonce),
        hash: found.hash.try_into().map_err(wrong)?,
        body: packed::body(row, 7, 8)?,
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(Arc::from(row.get_ref(column)?.as_blob()?))
}

/// A number that is never negative; a negative one is damage.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
