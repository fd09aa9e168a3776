//! Which stream is whose. Streams lie in the order in which they began, so that those of one commit share a page; the
//! index from a subject to its stream is filed in bulk (`environment::Unfiled`), because an id that follows from a key
//! has a page of its own in it.
//! Always holds: a stream is taken for a subject's only when its row says so and fits its sum; an entry that leads to
//! no row is damage, never a stream that does not exist. Absent: records, and wake-ups (`wakes`).

use domain::ids::{GroupId, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};

use super::keys::{limit, subject_at};
use super::meta::{self, FILED_TO};
use super::row_checksums::{self, RecordRow, RowPlace};
use crate::environment::{Filing, Unfiled, UnfiledEntry};

/// Entries that one commit files beside its own work: well under a millisecond.
const SLICE_MAX: usize = 256;

/// The index that goes with a file.
pub(super) fn load(file: &Connection, last: i64) -> rusqlite::Result<Unfiled> {
    let filed_to: i64 = meta::said(file, FILED_TO)?;
    let mut unfiled =
        file.prepare("SELECT kind, namespace, id, stream FROM streams WHERE stream > ?1")?;
    let unfiled = unfiled
        .query_and_then([filed_to], |row| Ok(entry(&subject_at(row, 0)?, row.get(3)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Unfiled::new(unfiled, last))
}

/// The filing of that index.
pub(super) fn filing(file: &Connection) -> rusqlite::Result<Filing> {
    let filed: i64 = file.query_row("SELECT count(*) FROM ids", [], |row| row.get(0))?;
    Ok(Filing::new(u64::try_from(filed).unwrap_or(0), SLICE_MAX))
}

/// Under what a stream is found: its group, and the beginning of its id, whose order is that of ids.
pub(super) fn entry(subject: &SubjectId, stream: i64) -> UnfiledEntry {
    let (beginning, _) = subject.id.as_u64_pair();
    // As a signed number in the same order.
    let key = (beginning ^ (1 << 63)).cast_signed();
    UnfiledEntry { shelf: subject.group().index(), key, row: stream }
}

/// The stream of a subject, if it has one. What of it is not filed is looked at first, then the file.
pub(super) fn find(
    file: &Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
) -> rusqlite::Result<Option<i64>> {
    let UnfiledEntry { shelf, key, .. } = entry(subject, 0);
    let committed = unfiled.last_committed();
    for entry in unfiled.of(shelf, key) {
        match whose(file, entry.row, subject)? {
            Some(true) => return Ok(Some(entry.row)),
            Some(false) => {}
            // Not committed where this look is, or deleted or filed since it began; otherwise its row has gone.
            None if entry.row > committed || !unfiled.has(entry) => {}
            None => {
                return Err(row_checksums::not_as_written("the row that says where the stream is"));
            }
        }
    }
    let mut filed = file.prepare_cached("SELECT stream FROM ids WHERE grp = ?1 AND key = ?2")?;
    let mut rows = filed.query(params![shelf, key])?;
    while let Some(row) = rows.next()? {
        let stream = row.get(0)?;
        match whose(file, stream, subject)? {
            Some(true) => return Ok(Some(stream)),
            Some(false) => {}
            None => {
                return Err(row_checksums::not_as_written("the row that says where the stream is"));
            }
        }
    }
    Ok(None)
}

/// Whether this stream is this subject's; none where there is no such stream.
fn whose(file: &Connection, stream: i64, subject: &SubjectId) -> rusqlite::Result<Option<bool>> {
    let found = file
        .prepare_cached("SELECT kind, namespace, id, sum FROM streams WHERE stream = ?1")?
        .query_row([stream], |row| {
            let found = subject_at(row, 0)?;
            let sum = row_checksums::of_stream(RowPlace::of(&found), stream);
            row_checksums::compare("the row that says where the stream is", row.get(3)?, sum)?;
            Ok(found == *subject)
        });
    found.optional()
}

/// Writes the row of a new stream.
pub(super) fn begin(file: &Connection, subject: &SubjectId, stream: i64) -> rusqlite::Result<()> {
    file.prepare_cached(
        "INSERT INTO streams (stream, kind, namespace, id, sum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        stream,
        subject.kind.code(),
        subject.namespace.as_str(),
        &subject.id.as_bytes()[..],
        row_checksums::of_stream(RowPlace::of(subject), stream),
    ])?;
    Ok(())
}

/// Deletes the row of a stream and its entry, where that is filed.
pub(super) fn remove(file: &Connection, entry: UnfiledEntry) -> rusqlite::Result<()> {
    file.prepare_cached("DELETE FROM streams WHERE stream = ?1")?.execute([entry.row])?;
    file.prepare_cached("DELETE FROM ids WHERE grp = ?1 AND key = ?2 AND stream = ?3")?
        .execute(params![entry.shelf, entry.key, entry.row])?;
    Ok(())
}

/// Writes entries into the index of the file. One that was filed before the last start, in a round that was not ended,
/// is there already.
pub(super) fn file_entries(
    file: &Connection,
    entries: &[UnfiledEntry],
    filed_to: Option<i64>,
) -> rusqlite::Result<()> {
    let mut insert =
        file.prepare_cached("INSERT OR IGNORE INTO ids (grp, key, stream) VALUES (?1, ?2, ?3)")?;
    for entry in entries {
        insert.execute(params![entry.shelf, entry.key, entry.row])?;
    }
    filed_to.map_or(Ok(()), |filed_to| meta::say(file, FILED_TO, filed_to))
}

/// The seq of a stream's last event.
pub(super) fn head_of(file: &Connection, stream: i64) -> rusqlite::Result<u64> {
    let head: Option<i64> = file
        .prepare_cached(
            "SELECT first, count, at, newest, nonce, hash, sum FROM records
             WHERE stream = ?1 ORDER BY first DESC LIMIT 1",
        )?
        .query_row([stream], |row| {
            let last = RecordRow::read(row, stream)?;
            Ok(last.first.saturating_add(last.count).saturating_sub(1))
        })
        .optional()?;
    Ok(head.and_then(|head| u64::try_from(head).ok()).unwrap_or(0))
}

/// Subjects of a group, by id: what is filed and what is not, as one.
pub(super) fn of_group(
    file: &Connection,
    unfiled: &Unfiled,
    group: GroupId,
    after: Option<&SubjectId>,
    max: usize,
) -> rusqlite::Result<Vec<SubjectId>> {
    let mut from = after.map_or(i64::MIN, |after| entry(after, 0).key);
    let mut wanted = max.saturating_add(1);
    loop {
        let young = unfiled.from(group.index(), from, wanted);
        let filed = filed_from(file, group, from, wanted)?;
        let cut = young.len() == wanted || filed.len() == wanted;
        // Behind the smaller of the two ends the other may have more; a key is taken whole or not at all.
        let end = [&young, &filed].into_iter().filter(|part| part.len() == wanted);
        let end = end.filter_map(|part| part.last()).map(|last| last.key).min();
        let mut entries: Vec<UnfiledEntry> = young.into_iter().chain(filed).collect();
        entries.retain(|entry| end.is_none_or(|end| entry.key < end));
        entries.sort_unstable();
        entries.dedup();
        let mut subjects = Vec::with_capacity(entries.len());
        for entry in &entries {
            subjects.extend(named(file, entry.row)?.filter(|subject| is_behind(subject, after)));
        }
        subjects.sort_unstable_by(by_id);
        subjects.dedup();
        if !subjects.is_empty() || !cut {
            subjects.truncate(max);
            return Ok(subjects);
        }
        match entries.last() {
            // All of them are gone meanwhile, or not behind.
            Some(last) => from = last.key.saturating_add(1),
            // Very many share one key.
            None => wanted = wanted.saturating_mul(2),
        }
    }
}

/// In the order of `of_group`.
fn by_id(one: &SubjectId, other: &SubjectId) -> std::cmp::Ordering {
    one.id.cmp(&other.id).then_with(|| one.cmp(other))
}

fn is_behind(subject: &SubjectId, after: Option<&SubjectId>) -> bool {
    after.is_none_or(|after| by_id(subject, after).is_gt())
}

fn filed_from(
    file: &Connection,
    group: GroupId,
    from: i64,
    max: usize,
) -> rusqlite::Result<Vec<UnfiledEntry>> {
    let shelf = group.index();
    file.prepare_cached(
        "SELECT key, stream FROM ids WHERE grp = ?1 AND key >= ?2 ORDER BY key, stream LIMIT ?3",
    )?
    .query_map(params![shelf, from, limit(max)], |row| {
        Ok(UnfiledEntry { shelf, key: row.get(0)?, row: row.get(1)? })
    })?
    .collect()
}

/// Whose a stream is.
pub(super) fn named(file: &Connection, stream: i64) -> rusqlite::Result<Option<SubjectId>> {
    file.prepare_cached("SELECT kind, namespace, id FROM streams WHERE stream = ?1")?
        .query_row([stream], |row| subject_at(row, 0))
        .optional()
}
