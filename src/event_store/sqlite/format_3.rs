//! How a file of format 2 is carried over into format 3: streams in the order in which they began, their names filed,
//! wake-ups in a table of their own (decision 0031).
//! Always holds: it is one transaction, so that a crash in it leaves format 2 as it was; each row is compared with its
//! sum before it is carried over; memory does not grow with the file. Absent: a way back.

use rusqlite::{Connection, Row, params};

use super::keys::subject_at;
use super::meta::{self, FILED_TO};
use super::row_checksums::{self, RowPlace};
use super::streams;
use super::wakes::{self, DUE_NOW};

/// Fills the new tables from the old one and drops that. Runs inside the transaction that made the new tables.
pub(super) fn carry_over(file: &Connection) -> rusqlite::Result<()> {
    let mut last = 0;
    {
        // In the old order, which is nearly that of the index.
        let mut all = file.prepare(
            "SELECT grp, kind, namespace, id, stream, due, mark, sum, wake_sum FROM streams_of_format_2
             ORDER BY grp, kind, namespace, id",
        )?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            last = last.max(stream(file, row)?);
        }
    }
    file.execute_batch(
        "INSERT INTO streams (stream, kind, namespace, id, sum)
             SELECT stream, kind, namespace, id, sum FROM streams_of_format_2 ORDER BY stream;
         DROP TABLE streams_of_format_2;",
    )?;
    meta::say(file, FILED_TO, last)
}

/// Files one stream, with its mark. A mark that is not what was written becomes due, as at any start.
fn stream(file: &Connection, row: &Row<'_>) -> rusqlite::Result<i64> {
    let (place, stream) = (RowPlace::read(row)?, row.get(4)?);
    let what = "the row that says where the stream is";
    row_checksums::compare(what, row.get(7)?, row_checksums::of_stream(place, stream))?;
    let subject = subject_at(row, 1)?;
    if i64::from(subject.group().index()) != row.get::<_, i64>(0)? {
        return Err(row_checksums::not_as_written("the group of a stream"));
    }
    let entry = streams::entry(&subject, stream);
    file.prepare_cached("INSERT INTO ids (grp, key, stream) VALUES (?1, ?2, ?3)")?
        .execute(params![entry.shelf, entry.key, stream])?;
    // Whatever type a damaged value has.
    let mark = || -> rusqlite::Result<(Option<i64>, Option<i64>, i64)> {
        Ok((row.get(5)?, row.get(6)?, row.get(8)?))
    };
    let mark = match mark() {
        Ok((due, mark, sum)) if sum == row_checksums::of_wake_in_format_2(place, due, mark) => {
            due.zip(mark)
        }
        _ => Some((DUE_NOW, 1)),
    };
    if let Some((due, number)) = mark {
        wakes::set(file, &subject, stream, due, number)?;
    }
    Ok(stream)
}
