//! What each read does on a reader's connection.
//! Always holds: one read sees one committed state; what cannot be decoded is `Damaged` and names its subject.
//! Absent: caches. What is read again and again is in the engine's memory.

use std::sync::Arc;

use domain::ids::{GroupId, Millis, Namespace, SubjectId, SubjectKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::transaction::{kind_number, stored, stream_head, stream_number, with_subject};
use crate::event_store::contract::{
    Nudge, PayloadHash, Payloads, Record, Snapshot, StreamPart, Tombstone, WakeMark,
};

/// The part of a stream from the record that contains `from`.
pub(super) fn read(
    file: &mut Connection,
    subject: &SubjectId,
    from: u64,
    bytes_max: usize,
    newest_at: Millis,
) -> rusqlite::Result<StreamPart> {
    // Several statements that must see one state.
    let file = file.transaction()?;
    let whole = StreamPart { complete: true, ..StreamPart::default() };
    let Some(stream) = stream_number(&file, subject)? else {
        let tombstone = tombstone(&file, subject, newest_at)?;
        return Ok(StreamPart { tombstone, ..whole });
    };
    if from > stream_head(&file, stream)? {
        return Ok(whole);
    }
    let mut statement = file.prepare_cached(
        "SELECT first, count, at, nonce, hash, body FROM records
         WHERE stream = ?1 AND first >=
             coalesce((SELECT max(first) FROM records WHERE stream = ?1 AND first <= ?2), 1)
         ORDER BY first",
    )?;
    let mut rows = statement.query(params![stream, stored(from.max(1))])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = record(row)?;
        bytes += record.body.len();
        if bytes > bytes_max && !records.is_empty() {
            return Ok(StreamPart { records, complete: false, tombstone: None });
        }
        records.push(record);
    }
    Ok(StreamPart { records, ..whole })
}

/// Wake marks of a group due at or before `until`, in subject order.
pub(super) fn live(
    file: &Connection,
    group: GroupId,
    until: Millis,
    after: Option<&SubjectId>,
    max: usize,
) -> rusqlite::Result<Vec<WakeMark>> {
    let (kind, namespace, id) = position(after);
    // The index by due time keeps an idle engine's look cheap however many streams are parked; what is due is
    // then put in order.
    file.prepare_cached(
        "SELECT kind, namespace, id, due, mark FROM streams INDEXED BY streams_due
         WHERE grp = ?1 AND due IS NOT NULL AND due <= ?2 AND (kind, namespace, id) > (?3, ?4, ?5)
         ORDER BY kind, namespace, id LIMIT ?6",
    )?
    .query_and_then(params![group.index(), until, kind, namespace, id, limit(max)], |row| {
        Ok(WakeMark { subject: subject(row)?, due: row.get(3)?, number: number(row, 4)? })
    })?
    .collect()
}

/// Subjects of a group, in order.
pub(super) fn subjects(
    file: &Connection,
    group: GroupId,
    after: Option<&SubjectId>,
    max: usize,
) -> rusqlite::Result<Vec<SubjectId>> {
    let (kind, namespace, id) = position(after);
    file.prepare_cached(
        "SELECT kind, namespace, id FROM streams
         WHERE grp = ?1 AND (kind, namespace, id) > (?2, ?3, ?4)
         ORDER BY kind, namespace, id LIMIT ?5",
    )?
    .query_and_then(params![group.index(), kind, namespace, id, limit(max)], subject)?
    .collect()
}

/// The mark of one subject.
pub(super) fn mark(file: &Connection, of: &SubjectId) -> rusqlite::Result<Option<WakeMark>> {
    file.prepare_cached(
        "SELECT due, mark FROM streams
         WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4 AND mark IS NOT NULL",
    )?
    .query_row(with_subject!(of), |row| {
        Ok(WakeMark { subject: of.clone(), due: row.get(0)?, number: number(row, 1)? })
    })
    .optional()
}

/// The nudges of a group, in subject order.
pub(super) fn nudges(file: &Connection, group: GroupId) -> rusqlite::Result<Vec<Nudge>> {
    file.prepare_cached(
        "SELECT kind, namespace, id, seq FROM nudges WHERE grp = ?1 ORDER BY kind, namespace, id",
    )?
    .query_and_then([group.index()], |row| {
        Ok(Nudge { subject: subject(row)?, seq: number(row, 3)? })
    })?
    .collect()
}

/// Payloads of a subject, in the asked order.
pub(super) fn payloads(
    file: &mut Connection,
    subject: &SubjectId,
    hashes: &[PayloadHash],
) -> rusqlite::Result<Payloads> {
    let file = file.transaction()?;
    let Some(stream) = stream_number(&file, subject)? else { return Ok(vec![None; hashes.len()]) };
    let mut statement =
        file.prepare_cached("SELECT body FROM payloads WHERE stream = ?1 AND hash = ?2")?;
    let mut found = Vec::with_capacity(hashes.len());
    for hash in hashes {
        let body = statement.query_row(params![stream, &hash[..]], |row| bytes(row, 0));
        let body = body.optional()?;
        if body.as_ref().is_some_and(|body| Sha256::digest(body)[..] != hash[..]) {
            return Err(rusqlite::Error::InvalidQuery);
        }
        found.push(body);
    }
    Ok(found)
}

/// The newest snapshot of a subject.
pub(super) fn snapshot(
    file: &Connection,
    subject: &SubjectId,
) -> rusqlite::Result<Option<Snapshot>> {
    file.prepare_cached(
        "SELECT seq, hash, body FROM snapshots WHERE stream =
         (SELECT stream FROM streams WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4)",
    )?
    .query_row(with_subject!(subject), |row| {
        Ok(Snapshot { seq: number(row, 0)?, hash: row.get(1)?, body: bytes(row, 2)? })
    })
    .optional()
}

fn tombstone(
    file: &Connection,
    subject: &SubjectId,
    newest_at: Millis,
) -> rusqlite::Result<Option<Tombstone>> {
    file.prepare_cached(
        "SELECT count, hash, first_answer FROM tombstones
         WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4 AND keep_until > ?5",
    )?
    .query_row(with_subject!(subject, newest_at), |row| {
        Ok(Tombstone { count: number(row, 0)?, hash: row.get(1)?, first_answer: row.get(2)? })
    })
    .optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        first: number(row, 0)?,
        count: row.get(1)?,
        at: row.get(2)?,
        nonce: u128::from_be_bytes(row.get(3)?),
        hash: row.get(4)?,
        body: bytes(row, 5)?,
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

/// Reads kind, namespace and id from the first three columns.
pub(super) fn subject(row: &Row<'_>) -> rusqlite::Result<SubjectId> {
    let wrong = || rusqlite::Error::InvalidQuery;
    let kind = match row.get::<_, i64>(0)? {
        0 => SubjectKind::Job,
        1 => SubjectKind::Environment,
        value => return Err(rusqlite::Error::IntegralValueOutOfRange(0, value)),
    };
    let namespace = Namespace::parse(row.get_ref(1)?.as_str()?).map_err(|_| wrong())?;
    let id = Uuid::from_slice(row.get_ref(2)?.as_blob()?).map_err(|_| wrong())?;
    Ok(SubjectId { kind, namespace, id })
}

/// Where a page starts: behind `after`, or before every subject.
fn position(after: Option<&SubjectId>) -> (i64, &str, &[u8]) {
    after.map_or((-1, "", &[][..]), |after| {
        (kind_number(after.kind), after.namespace.as_str(), &after.id.as_bytes()[..])
    })
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
