//! Wake-ups: a small table of its own, of the streams that must be looked at some time. A job that is over touches
//! nothing else when it loses its mark.
//! Marks lie in buckets of streams that began together, in a bucket by group: a commit's marks share a page or two, and
//! a look at a group reads its part of each bucket. A bucket is also what is looked at when a mark is damaged.
//! Always holds: a mark that is not what was written is due now. Absent: any index by time. A look at a group reads all
//! its marks.

use std::collections::BTreeMap;

use domain::ids::{GroupId, Millis, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};

use super::keys::{stored, subject_at};
use super::row_checksums::{self, RowPlace};
use super::streams;
use crate::environment::Unfiled;
use crate::event_store::contract::{WakeUp, WakeUpMove};

/// A wake-up that is due whatever the time is.
pub(super) const DUE_NOW: i64 = 0;

/// Streams of one bucket: their marks fill about two pages.
const BUCKET: i64 = 256;

/// The bucket of a stream.
pub(super) fn bucket_of(stream: i64) -> i64 {
    stream.div_euclid(BUCKET)
}

/// The streams of a bucket.
pub(super) fn streams_of(bucket: i64) -> std::ops::Range<i64> {
    let first = bucket.saturating_mul(BUCKET);
    first..first.saturating_add(BUCKET)
}

/// Writes the mark of a stream that has none.
pub(super) fn set(
    file: &Connection,
    subject: &SubjectId,
    stream: i64,
    due: Millis,
    number: i64,
) -> rusqlite::Result<bool> {
    let made = file
        .prepare_cached(
            "INSERT OR IGNORE INTO wakes (bucket, grp, stream, due, mark, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            bucket_of(stream),
            subject.group().index(),
            stream,
            due,
            number,
            row_checksums::of_wake(RowPlace::of(subject), stream, due, number),
        ])?;
    Ok(made == 1)
}

/// Moves the mark of a stream when its number is the expected one.
pub(super) fn move_mark(
    file: &Connection,
    stream: i64,
    wanted: &WakeUpMove,
) -> rusqlite::Result<bool> {
    let subject = &wanted.subject;
    let (grp, expected, number) =
        (subject.group().index(), stored(wanted.expected), stored(wanted.expected + 1));
    let changed = match (wanted.due, wanted.expected) {
        (Some(due), 0) => return set(file, subject, stream, due, number),
        // There must be none, and there is to be none.
        (None, 0) => return mark(file, subject, stream).map(|mark| mark.is_none()),
        (Some(due), _) => file
            .prepare_cached(
                "UPDATE wakes SET due = ?5, mark = ?6, sum = ?7
                 WHERE bucket = ?1 AND grp = ?2 AND stream = ?3 AND mark = ?4",
            )?
            .execute(params![
                bucket_of(stream),
                grp,
                stream,
                expected,
                due,
                number,
                row_checksums::of_wake(RowPlace::of(subject), stream, due, number),
            ])?,
        (None, _) => file
            .prepare_cached(
                "DELETE FROM wakes WHERE bucket = ?1 AND grp = ?2 AND stream = ?3 AND mark = ?4",
            )?
            .execute(params![bucket_of(stream), grp, stream, expected])?,
    };
    Ok(changed == 1)
}

/// Takes the mark of a stream away, whatever it is.
pub(super) fn remove(file: &Connection, subject: &SubjectId, stream: i64) -> rusqlite::Result<()> {
    file.prepare_cached("DELETE FROM wakes WHERE bucket = ?1 AND grp = ?2 AND stream = ?3")?
        .execute(params![bucket_of(stream), subject.group().index(), stream])?;
    Ok(())
}

/// The mark of a stream.
pub(super) fn mark(
    file: &Connection,
    subject: &SubjectId,
    stream: i64,
) -> rusqlite::Result<Option<WakeUp>> {
    file.prepare_cached(
        "SELECT due, mark, sum FROM wakes WHERE bucket = ?1 AND grp = ?2 AND stream = ?3",
    )?
    .query_row(params![bucket_of(stream), subject.group().index(), stream], |row| {
        let (due, number) = (row.get(0)?, row.get(1)?);
        let sum = row_checksums::of_wake(RowPlace::of(subject), stream, due, number);
        Ok(trusted(subject, due, number, row.get::<_, i64>(2)? == sum))
    })
    .optional()
}

/// One that cannot be trusted is due whatever the time is.
fn trusted(subject: &SubjectId, due: Millis, number: i64, fits: bool) -> WakeUp {
    if !fits {
        tracing::warn!(%subject, "a wake-up is not what was written: the subject is looked at now");
    }
    let due = if fits { due } else { DUE_NOW };
    WakeUp { subject: subject.clone(), due, number: u64::try_from(number).unwrap_or(0) }
}

/// The mark of one subject, for a reader.
pub(super) fn of_subject(
    file: &Connection,
    unfiled: &Unfiled,
    of: &SubjectId,
) -> rusqlite::Result<Option<WakeUp>> {
    match streams::find(file, unfiled, of)? {
        Some(stream) => mark(file, of, stream),
        None => Ok(None),
    }
}

/// Wake-ups of a group due at or before `until`, in subject order.
pub(super) fn live(
    file: &mut Connection,
    group: GroupId,
    until: Millis,
    after: Option<&SubjectId>,
    max: usize,
) -> rusqlite::Result<Vec<WakeUp>> {
    let file = file.transaction()?;
    let mut next = file.prepare_cached("SELECT min(bucket) FROM wakes WHERE bucket > ?1")?;
    let mut of_bucket = file.prepare_cached(
        "SELECT s.kind, s.namespace, s.id, w.stream, w.due, w.mark, w.sum
         FROM wakes AS w CROSS JOIN streams AS s ON s.stream = w.stream
         WHERE w.bucket = ?1 AND w.grp = ?2 AND w.due <= ?3",
    )?;
    let mut found: BTreeMap<SubjectId, WakeUp> = BTreeMap::new();
    let mut bucket = i64::MIN;
    while let Some(least) = next.query_row([bucket], |row| row.get::<_, Option<i64>>(0))? {
        bucket = least;
        let mut rows = of_bucket.query(params![bucket, group.index(), until])?;
        while let Some(row) = rows.next()? {
            let (due, number) = (row.get(4)?, row.get(5)?);
            let subject = subject_at(row, 0)?;
            let sum = row_checksums::of_wake(RowPlace::of(&subject), row.get(3)?, due, number);
            let fits = row.get::<_, i64>(6)? == sum;
            if after.is_some_and(|after| subject <= *after) {
                continue;
            }
            let mark = trusted(&subject, due, number, fits);
            found.insert(subject, mark);
            if found.len() > max {
                found.pop_last();
            }
        }
    }
    Ok(found.into_values().collect())
}
