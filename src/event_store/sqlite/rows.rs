//! A walk through the rows and their sums: at each opening through those that say what there is and when it must be
//! looked at, for `orrery check` through all of them.
//! Always holds: a row that is not what was written is named; a wake mark that cannot be trusted becomes due at once,
//! and the index of what is due is made anew where it says something else than the rows, so that nothing is woken too
//! late. Absent: any other repair.

use rusqlite::{Connection, Row, params};

use super::inspect::FileFault;
use super::sums::{self, Place, RecordRow};
use super::{reads, schema};

/// Rows of one table that are named at most: more of them say nothing new.
const NAMED_MAX: usize = 1_000;

/// A wake mark that is due whatever the time is.
pub(super) const DUE_NOW: i64 = 0;

/// What is wrong with the rows of a table.
struct Faults {
    found: Vec<FileFault>,
}

impl Faults {
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
    match reads::subject_at(row, 1) {
        Ok(subject) => subject.to_string(),
        Err(_) => format!("a row of {table}"),
    }
}

/// What a walk through `streams` found.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Rows that name another subject, or another stream, than was written.
    pub(super) faults: Vec<FileFault>,
    /// Rows whose wake mark is not what was written.
    pub(super) marks: Vec<FileFault>,
    /// The places of the latter.
    untrusted: Vec<(i64, i64, String, Vec<u8>)>,
    /// Of all marks: how many, and sums that the index must have too.
    due: [i64; 4],
}

/// Looks at every row of `streams`.
pub(super) fn streams(file: &Connection) -> rusqlite::Result<Streams> {
    let mut walked = Streams::default();
    let (mut faults, mut marks) = (Faults { found: Vec::new() }, Faults { found: Vec::new() });
    let mut all = file.prepare(
        "SELECT grp, kind, namespace, id, stream, due, mark, sum, wake_sum FROM streams NOT INDEXED",
    )?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let is_its = |row: &Row<'_>| {
            sums::compare("", row.get(7)?, sums::of_stream(Place::read(row)?, row.get(4)?))
        };
        if !holds(is_its(row))? {
            let what = "the row that says where its stream is is not what was written";
            faults.name(|| named(row, "streams"), what);
            continue;
        }
        let mark_is_its = |row: &Row<'_>| {
            let sum = sums::of_wake(Place::read(row)?, row.get(5)?, row.get(6)?);
            sums::compare("", row.get(8)?, sum)
        };
        if !holds(mark_is_its(row))? {
            marks.name(|| named(row, "streams"), "its wake mark is not what was written");
            walked.untrusted.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            continue;
        }
        if let (Some(due), Some(mark)) = (row.get::<_, Option<i64>>(5)?, row.get(6)?) {
            add(&mut walked.due, due, mark);
        }
    }
    (walked.faults, walked.marks) = (faults.found, marks.found);
    Ok(walked)
}

/// Counts a mark in: none is lost or changed without the sums being others.
fn add(sums: &mut [i64; 4], due: i64, mark: i64) {
    let parts = [1, due & 0xFFFF_FFFF, due >> 32, mark];
    for (sum, part) in sums.iter_mut().zip(parts) {
        *sum = sum.wrapping_add(part);
    }
}

/// Whether the index of what is due leads to the very marks that were walked through.
fn is_indexed(file: &Connection, walked: &Streams) -> rusqlite::Result<bool> {
    let mut found = [0; 4];
    let mut all = file.prepare(
        "SELECT due, mark FROM streams INDEXED BY streams_due WHERE due IS NOT NULL AND mark IS NOT NULL",
    )?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let mut read = || {
            add(&mut found, row.get(0)?, row.get(1)?);
            Ok(())
        };
        if !holds(read())? {
            return Ok(false);
        }
    }
    Ok(found == walked.due)
}

/// Makes the marks that cannot be trusted due at once, and the index what the rows say. Answers how many marks.
pub(super) fn wake_untrusted(file: &Connection, walked: &Streams) -> rusqlite::Result<usize> {
    if !walked.untrusted.is_empty() || !is_indexed(file, walked)? {
        file.execute_batch("REINDEX streams_due")?;
    }
    for (grp, kind, namespace, id) in &walked.untrusted {
        let place = Place::new(*grp, *kind, namespace.as_bytes(), id);
        file.execute(
            "UPDATE streams SET due = ?5, mark = 1, wake_sum = ?6
             WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4",
            params![
                grp,
                kind,
                namespace,
                id,
                DUE_NOW,
                sums::of_wake(place, Some(DUE_NOW), Some(1))
            ],
        )?;
    }
    Ok(walked.untrusted.len())
}

/// Looks at what the file says of itself, and at the rows of nudges and tombstones.
pub(super) fn small(file: &Connection) -> rusqlite::Result<Vec<FileFault>> {
    let mut faults = Faults { found: Vec::new() };
    if !schema::is_as_made(file)? {
        faults.name(|| "events.db".to_owned(), "its tables are not as they were made");
        return Ok(faults.found);
    }
    walk(file, "SELECT key, value, sum FROM meta", |row| {
        let sum = sums::of_meta(row.get_ref(0)?.as_str()?, row.get_ref(1)?);
        let checked = sums::compare("", row.get(2)?, sum);
        if !holds(checked)? {
            faults
                .name(|| "events.db".to_owned(), "what it says of itself is not what was written");
        }
        Ok(())
    })?;
    walk(file, "SELECT grp, kind, namespace, id, seq, sum FROM nudges", |row| {
        let checked = |row: &Row<'_>| {
            sums::compare("", row.get(5)?, sums::of_nudge(Place::read(row)?, row.get(4)?))
        };
        if !holds(checked(row))? {
            faults.name(|| named(row, "nudges"), "its nudge is not what was written");
        }
        Ok(())
    })?;
    let tombstones =
        format!("SELECT grp, kind, namespace, id, {} FROM tombstones", reads::TOMBSTONE);
    walk(file, &tombstones, |row| {
        let checked =
            Place::read(row).and_then(|place| reads::tombstone_at(row, 4, place).map(drop));
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
    let mut faults = Faults { found: Vec::new() };
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
