//! What each read does on a reader's connection.
//! Always holds: one read sees one committed state; what cannot be decoded, or does not fit its sum, is `Damaged` and
//! names its subject, but for what nothing rests on: a snapshot is passed over, a wake mark is due now.
//! Absent: caches. What is read again and again is in the engine's memory.

use std::sync::Arc;

use domain::ids::{GroupId, Millis, Namespace, SubjectId, SubjectKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::rows::DUE_NOW;
use super::sums::{self, Place, RecordRow};
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
        "SELECT first, count, at, newest, nonce, hash, sum, body FROM records
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
        "SELECT grp, kind, namespace, id, due, mark, wake_sum FROM streams INDEXED BY streams_due
         WHERE grp = ?1 AND due IS NOT NULL AND due <= ?2 AND (kind, namespace, id) > (?3, ?4, ?5)
         ORDER BY kind, namespace, id LIMIT ?6",
    )?
    .query_and_then(params![group.index(), until, kind, namespace, id, limit(max)], |row| {
        let subject = subject_at(row, 1)?;
        let (due, mark) = (row.get(4)?, row.get::<_, Option<i64>>(5)?);
        // One that cannot be trusted is taken as it was found: due.
        let trusted = row.get::<_, i64>(6)? == sums::of_wake(Place::read(row)?, Some(due), mark);
        if !trusted {
            tracing::warn!(%subject, "a wake mark is not what was written: the subject is looked at now");
        }
        Ok(WakeMark { subject, due, number: numbered(mark) })
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
    .query_and_then(params![group.index(), kind, namespace, id, limit(max)], |row| {
        subject_at(row, 0)
    })?
    .collect()
}

/// The mark of one subject.
pub(super) fn mark(file: &Connection, of: &SubjectId) -> rusqlite::Result<Option<WakeMark>> {
    let found = file
        .prepare_cached(
            "SELECT due, mark, wake_sum FROM streams
             WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4",
        )?
        .query_row(with_subject!(of), |row| {
            let (due, mark) = (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?);
            let trusted = row.get::<_, i64>(2)? == sums::of_wake(Place::of(of), due, mark);
            let due = if trusted { due } else { Some(DUE_NOW) };
            Ok(due.map(|due| WakeMark { subject: of.clone(), due, number: numbered(mark) }))
        })
        .optional()?;
    Ok(found.flatten())
}

/// The number of a mark, 0 where there is none.
fn numbered(mark: Option<i64>) -> u64 {
    mark.and_then(|mark| u64::try_from(mark).ok()).unwrap_or(0)
}

/// The nudges of a group, in subject order.
pub(super) fn nudges(file: &Connection, group: GroupId) -> rusqlite::Result<Vec<Nudge>> {
    file.prepare_cached(
        "SELECT grp, kind, namespace, id, seq, sum FROM nudges
         WHERE grp = ?1 ORDER BY kind, namespace, id",
    )?
    .query_and_then([group.index()], |row| {
        let sum = sums::of_nudge(Place::read(row)?, row.get(4)?);
        sums::compare("a nudge", row.get(5)?, sum)?;
        Ok(Nudge { subject: subject_at(row, 1)?, seq: number(row, 4)? })
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
            return Err(sums::not_as_written("a payload"));
        }
        found.push(body);
    }
    Ok(found)
}

/// The newest snapshot of a subject. One that is not what was written is none: the stream has all of it.
pub(super) fn snapshot(
    file: &Connection,
    subject: &SubjectId,
) -> rusqlite::Result<Option<Snapshot>> {
    let found = file
        .prepare_cached(
            "SELECT seq, hash, body, sum, stream FROM snapshots WHERE stream =
             (SELECT stream FROM streams WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4)",
        )?
        .query_row(with_subject!(subject), |row| snapshot_of(row, row.get(4)?))
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
    let sum = sums::of_snapshot(stream, row.get(0)?, &hash, &body);
    sums::compare("a snapshot", row.get(3)?, sum)?;
    Ok(Snapshot { seq: number(row, 0)?, hash, body })
}

/// The columns of a tombstone, for `tombstone_at`.
pub(super) const TOMBSTONE: &str = "count, hash, first_answer, keep_until, sum";

/// From the columns of `TOMBSTONE`, which begin there; and until when it is kept.
pub(super) fn tombstone_at(
    row: &Row<'_>,
    first: usize,
    place: Place<'_>,
) -> rusqlite::Result<(Tombstone, Millis)> {
    let (hash, first_answer): ([u8; 32], Vec<u8>) = (row.get(first + 1)?, row.get(first + 2)?);
    let keep_until = row.get(first + 3)?;
    let sum = sums::of_tombstone(place, row.get(first)?, &hash, &first_answer, keep_until);
    sums::compare("a tombstone", row.get(first + 4)?, sum)?;
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
    .query_row(with_subject!(subject), |row| tombstone_at(row, 0, Place::of(subject)))
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

/// From the columns of a `RecordRow` and the body.
fn record(row: &Row<'_>, stream: i64) -> rusqlite::Result<Record> {
    let found = RecordRow::read(row, stream)?;
    let wrong = |_| sums::not_as_written("the row of a record");
    let nonce = found.nonce.try_into().map_err(wrong)?;
    Ok(Record {
        first: number(row, 0)?,
        count: row.get(1)?,
        at: found.at,
        nonce: u128::from_be_bytes(nonce),
        hash: found.hash.try_into().map_err(wrong)?,
        body: bytes(row, 7)?,
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

/// Reads kind, namespace and id from three columns, which begin there.
pub(super) fn subject_at(row: &Row<'_>, first: usize) -> rusqlite::Result<SubjectId> {
    let wrong = || sums::not_as_written("the name of a subject");
    let kind = match row.get::<_, i64>(first)? {
        0 => SubjectKind::Job,
        1 => SubjectKind::Environment,
        value => return Err(rusqlite::Error::IntegralValueOutOfRange(first, value)),
    };
    let namespace = Namespace::parse(row.get_ref(first + 1)?.as_str()?).map_err(|_| wrong())?;
    let id = Uuid::from_slice(row.get_ref(first + 2)?.as_blob()?).map_err(|_| wrong())?;
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
