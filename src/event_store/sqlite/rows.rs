//! A walk through the rows and their checksums: at each opening through those that say what there is and when it must be
//! looked at, for `orrery check` through all of them.
//! Always holds: a row that is not what was written is named; a wake-up that cannot be trusted becomes due at once,
//! and the index of streams is made anew where it says something else than they do, so that none is woken too late or not
//! found. Absent: any other repair.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::keys::subject_at;
use super::meta::{self, FILED_TO};
use super::row_checksums::{self, RecordRow, RowPlace};
use super::wakes::DUE_NOW;
use super::{reads, schema, streams, wakes};
use crate::environment::UnfiledEntry;

/// Rows of one table that are named at most: more of them say nothing new.
const NAMED_MAX: usize = 1_000;

/// Something in the file that belongs to nothing, or stands where it cannot be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// Whose, when that is known; else where.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What is wrong with the rows of a table.
struct RowFaults {
    found: Vec<FileFault>,
}

impl RowFaults {
    fn name(&mut self, place: impl FnOnce() -> String, what: &str) {
        if self.found.len() < NAMED_MAX {
            self.found.push(FileFault { place: place(), what: what.to_owned() });
        }
    }
}

/// Whether a row is what was written; an error of SQLite's own is passed on.
fn holds(checked: rusqlite::Result<()>) -> rusqlite::Result<bool> {
    match checked {
        Ok(()) => Ok(true),
        // A value of another type, or one that does not fit its sum.
        Err(error) if error.sqlite_error_code().is_none() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The subject in the columns 1 to 3, or at least where it stands.
fn named(row: &Row<'_>, table: &str) -> String {
    match subject_at(row, 1) {
        Ok(subject) => subject.to_string(),
        Err(_) => format!("a row of {table}"),
    }
}

/// What a walk through `streams` and `wakes` found.
#[derive(Debug, Default)]
pub(super) struct StreamsWalk {
    /// Rows that name another subject, or another stream, than was written.
    pub(super) faults: Vec<FileFault>,
    /// Wake-ups that are not what was written.
    pub(super) marks: Vec<FileFault>,
    /// The buckets of the latter.
    untrusted: BTreeSet<i64>,
    /// Of all streams whose entries are filed: how many, and sums that the index must have too.
    filed: [i64; 5],
}

/// Looks at every row of `streams` and `wakes`.
pub(super) fn streams(file: &Connection) -> rusqlite::Result<StreamsWalk> {
    let filed_to: i64 = meta::said(file, FILED_TO)?;
    let mut walked = StreamsWalk::default();
    let mut faults = RowFaults { found: Vec::new() };
    walk(file, "SELECT stream, kind, namespace, id, sum FROM streams", |row| {
        let stream = row.get(0)?;
        let entry = || {
            let subject = subject_at(row, 1)?;
            row_checksums::compare(
                "",
                row.get(4)?,
                row_checksums::of_stream(RowPlace::of(&subject), stream),
            )?;
            Ok(streams::entry(&subject, stream))
        };
        match entry() {
            Ok(entry) if stream <= filed_to => add(&mut walked.filed, entry),
            Ok(_) => {}
            Err(error) => {
                holds(Err(error))?;
                let what = "the row that says where its stream is is not what was written";
                faults.name(|| named(row, "streams"), what);
            }
        }
        Ok(())
    })?;
    walked.faults = faults.found;
    marks(file, &mut walked)?;
    Ok(walked)
}

/// Looks at every wake-up.
fn marks(file: &Connection, walked: &mut StreamsWalk) -> rusqlite::Result<()> {
    let mut faults = RowFaults { found: Vec::new() };
    let sql = "SELECT w.stream, s.kind, s.namespace, s.id, w.bucket, w.grp, w.due, w.mark, w.sum
               FROM wakes AS w LEFT JOIN streams AS s ON s.stream = w.stream";
    walk(file, sql, |row| {
        let (stream, bucket): (i64, i64) = (row.get(0)?, row.get(4)?);
        let fits = || -> rusqlite::Result<bool> {
            let subject = subject_at(row, 1)?;
            let sum =
                row_checksums::of_wake(RowPlace::of(&subject), stream, row.get(6)?, row.get(7)?);
            Ok(row.get::<_, i64>(8)? == sum
                && row.get::<_, i64>(5)? == i64::from(subject.group().index())
                && bucket == wakes::bucket_of(stream))
        };
        let fits = match fits() {
            Ok(fits) => fits,
            Err(error) => holds(Err(error))?,
        };
        if !fits {
            // Whose it was is one of those that began together with whom it names.
            walked.untrusted.extend([bucket, wakes::bucket_of(stream)]);
            faults.name(|| named(row, "wakes"), "its wake-up is not what was written");
        }
        Ok(())
    })?;
    walked.marks = faults.found;
    Ok(())
}

/// Counts an entry in: none is lost or changed without the sums being others.
fn add(sums: &mut [i64; 5], entry: UnfiledEntry) {
    let UnfiledEntry { shelf, key, row } = entry;
    let parts = [1, i64::from(shelf), key & 0xFFFF_FFFF, key >> 32, row];
    for (sum, part) in sums.iter_mut().zip(parts) {
        *sum = sum.wrapping_add(part);
    }
    // Two entries that have changed places.
    sums[1] = sums[1].wrapping_add(key.wrapping_mul(row));
}

/// Whether the index of names leads to the very streams that were walked through.
pub(super) fn is_indexed(file: &Connection, walked: &StreamsWalk) -> rusqlite::Result<bool> {
    let mut found = [0; 5];
    let mut whole = true;
    walk(
        file,
        "SELECT grp, key, stream FROM ids
         WHERE stream <= (SELECT value FROM meta WHERE key = 'filed_to')",
        |row| {
            let mut read = || {
                add(
                    &mut found,
                    UnfiledEntry { shelf: row.get(0)?, key: row.get(1)?, row: row.get(2)? },
                );
                Ok(())
            };
            whole &= holds(read())?;
            Ok(())
        },
    )?;
    Ok(whole && found == walked.filed)
}

/// Makes the index of names what the rows say, and what cannot be trusted of wake-ups due at once: it may have been
/// the mark of any stream of its bucket. Answers for how many buckets.
pub(super) fn make_right(file: &Connection, walked: &StreamsWalk) -> rusqlite::Result<usize> {
    if !is_indexed(file, walked)? {
        tracing::warn!("the index of streams is not what the streams say: it is made anew");
        file.execute_batch("DELETE FROM ids")?;
        meta::say(file, FILED_TO, 0)?;
    }
    for bucket in &walked.untrusted {
        drop_untrusted(file, *bucket)?;
        for stream in wakes::streams_of(*bucket) {
            if let Some(subject) = streams::named(file, stream)? {
                wakes::set(file, &subject, stream, DUE_NOW, 1)?;
            }
        }
    }
    Ok(walked.untrusted.len())
}

/// Deletes the marks of a bucket that are not what was written.
fn drop_untrusted(file: &Connection, bucket: i64) -> rusqlite::Result<()> {
    let mut all =
        file.prepare("SELECT grp, stream, due, mark, sum FROM wakes WHERE bucket = ?1")?;
    let mut rows = all.query([bucket])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let (grp, stream): (i64, i64) = (row.get(0)?, row.get(1)?);
        let subject = streams::named(file, stream)?;
        let fits = subject.is_some_and(|subject| {
            let place = RowPlace::of(&subject);
            let sum = row
                .get(2)
                .and_then(|due| Ok(row_checksums::of_wake(place, stream, due, row.get(3)?)));
            let is_there =
                i64::from(subject.group().index()) == grp && wakes::bucket_of(stream) == bucket;
            is_there && sum.is_ok_and(|sum| row.get::<_, i64>(4).is_ok_and(|stored| stored == sum))
        });
        if !fits {
            gone.push((grp, stream));
        }
    }
    for (grp, stream) in gone {
        let sql = "DELETE FROM wakes WHERE bucket = ?1 AND grp = ?2 AND stream = ?3";
        file.execute(sql, params![bucket, grp, stream])?;
    }
    Ok(())
}

/// Looks at what the file says of itself, and at the rows of append notices and tombstones.
pub(super) fn small(file: &Connection) -> rusqlite::Result<Vec<FileFault>> {
    let mut faults = RowFaults { found: Vec::new() };
    if !schema::is_as_made(file)? {
        faults.name(|| "events.db".to_owned(), "its tables are not as they were made");
        return Ok(faults.found);
    }
    walk(file, "SELECT key, value, sum FROM meta", |row| {
        let sum = row_checksums::of_meta(row.get_ref(0)?.as_str()?, row.get_ref(1)?);
        let checked = row_checksums::compare("", row.get(2)?, sum);
        if !holds(checked)? {
            faults
                .name(|| "events.db".to_owned(), "what it says of itself is not what was written");
        }
        Ok(())
    })?;
    walk(file, "SELECT grp, kind, namespace, id, seq, sum FROM append_notices", |row| {
        let checked = |row: &Row<'_>| {
            row_checksums::compare(
                "",
                row.get(5)?,
                row_checksums::of_notice(RowPlace::read(row)?, row.get(4)?),
            )
        };
        if !holds(checked(row))? {
            faults
                .name(|| named(row, "append_notices"), "its append notice is not what was written");
        }
        Ok(())
    })?;
    let tombstones =
        format!("SELECT grp, kind, namespace, id, {} FROM tombstones", reads::TOMBSTONE);
    walk(file, &tombstones, |row| {
        let checked =
            RowPlace::read(row).and_then(|place| reads::tombstone_at(row, 4, place).map(drop));
        if !holds(checked)? {
            faults.name(|| named(row, "tombstones"), "its tombstone is not what was written");
        }
        Ok(())
    })?;
    Ok(faults.found)
}

/// Looks at every record and snapshot, by what the rows themselves say. `whose` names a stream by its number.
pub(super) fn large(
    file: &Connection,
    whose: impl Fn(i64) -> String,
) -> rusqlite::Result<Vec<FileFault>> {
    let mut faults = RowFaults { found: Vec::new() };
    let records = format!("SELECT {}, stream FROM records NOT INDEXED", RecordRow::COLUMNS);
    walk(file, &records, |row| {
        let stream = row.get(7)?;
        if !holds(RecordRow::read(row, stream).map(drop))? {
            faults.name(|| whose(stream), "the row of a record is not what was written");
        }
        Ok(())
    })?;
    walk(file, "SELECT seq, hash, body, sum, stream FROM snapshots", |row| {
        let stream = row.get(4)?;
        if !holds(reads::snapshot_of(row, stream).map(drop))? {
            faults.name(|| whose(stream), "its snapshot is not what was written");
        }
        Ok(())
    })?;
    Ok(faults.found)
}

fn walk(
    file: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut all = file.prepare(sql)?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}
