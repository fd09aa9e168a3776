//! What each write does inside the writer's open transaction.
//! Always holds: an item is checked before anything of it is written, so a conflict leaves nothing to undo.
//! Absent: begin, commit and rollback (`writer`), and the meaning of errors (`failure`).

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};

use super::heads::{StreamHead, StreamHeads};
use super::keys::{stored, with_subject};
use super::row_checksums::{self, RecordRow, RowPlace};
use super::{meta, packed, reads, streams, wakes};
use crate::environment::fail_points::{self, Point};
use crate::environment::{Filing, Unfiled, UnfiledEntry};
use crate::event_store::contract::{AppendItem, Appended, Snapshot, Tombstone, WakeUpMove};

/// Tombstones whose time is over that one deletion clears away, so that none costs much.
const TOMBSTONES_CLEARED_MAX: u32 = 16;

/// The state that goes with the writer's connection.
#[derive(Debug)]
pub(super) struct WriterSession {
    heads: StreamHeads,
    /// Which stream is whose, as far as the file does not say it.
    unfiled: Arc<Unfiled>,
    filing: Filing,
    /// Entries of the streams that the open transaction begins, and of those that it deletes.
    begun: Vec<UnfiledEntry>,
    deleted: Vec<UnfiledEntry>,
    last_stream: i64,
    newest_at: Millis,
    committed_newest_at: Millis,
    /// Whether there are tombstones; none: nobody has looked.
    tombstones: Option<bool>,
}

impl WriterSession {
    pub(super) fn new(
        unfiled: Arc<Unfiled>,
        filing: Filing,
        last_stream: i64,
        newest_at: Millis,
    ) -> Self {
        Self {
            heads: StreamHeads::default(),
            unfiled,
            filing,
            begun: Vec::new(),
            deleted: Vec::new(),
            last_stream,
            newest_at,
            committed_newest_at: newest_at,
            tombstones: None,
        }
    }

    /// The newest time of all committed records.
    pub(super) fn committed(&mut self) -> Millis {
        self.begun.clear();
        self.deleted.clear();
        self.filing.committed(&self.unfiled);
        self.unfiled.committed(self.last_stream);
        self.committed_newest_at = self.newest_at;
        self.newest_at
    }

    pub(super) fn rolled_back(&mut self) {
        self.heads.clear();
        self.unfiled.take(&self.begun);
        self.begun.clear();
        self.deleted.drain(..).for_each(|entry| self.unfiled.put(entry));
        self.filing.rolled_back();
        self.newest_at = self.committed_newest_at;
        self.tombstones = None;
    }

    /// The last of a transaction: files some of what is to be filed.
    pub(super) fn file_some(&mut self, file: &Connection) -> rusqlite::Result<()> {
        let (entries, filed_to) = self.filing.next(&self.unfiled, self.last_stream);
        if entries.is_empty() && filed_to.is_none() {
            return Ok(());
        }
        streams::file_entries(file, entries, filed_to)
    }

    /// Moves a mark when its number is the expected one.
    pub(super) fn move_mark(
        &mut self,
        file: &Connection,
        wanted: &WakeUpMove,
    ) -> rusqlite::Result<bool> {
        let known = self.heads.get(&wanted.subject).map(|head| head.stream);
        let stream = match known {
            Some(stream) => Some(stream),
            None => streams::find(file, &self.unfiled, &wanted.subject)?,
        };
        stream.map_or(Ok(false), |stream| wakes::move_mark(file, stream, wanted))
    }

    pub(super) fn append(
        &mut self,
        file: &Connection,
        item: &AppendItem,
    ) -> rusqlite::Result<Appended> {
        let first = item.record.first;
        let is_new = first == 1 && self.heads.get(&item.subject).is_none();
        let begun =
            if is_new && self.may_begin(file, item)? { self.begin(file, item)? } else { None };
        let head = match begun {
            Some(head) => head,
            None => match self.head(file, &item.subject)? {
                Some(head) if head.seq + 1 == first => head,
                Some(head) => return same_record(file, head.stream, item),
                None => return Ok(Appended::Conflict),
            },
        };
        self.write(file, head.stream, item)?;
        let seq = first + u64::from(item.record.count) - 1;
        self.heads.set(&item.subject, StreamHead { stream: head.stream, seq });
        Ok(Appended::Committed)
    }

    /// Whether this very record is in its stream.
    pub(super) fn holds(&mut self, file: &Connection, item: &AppendItem) -> rusqlite::Result<bool> {
        let Some(head) = self.head(file, &item.subject)? else { return Ok(false) };
        Ok(same_record(file, head.stream, item)? == Appended::Committed)
    }

    pub(super) fn save_snapshot(
        &mut self,
        file: &Connection,
        subject: &SubjectId,
        snapshot: &Snapshot,
    ) -> rusqlite::Result<()> {
        let Some(head) = self.head(file, subject)? else { return Ok(()) };
        file.prepare_cached(
            "INSERT INTO snapshots (stream, seq, hash, body, sum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (stream) DO UPDATE
             SET seq = excluded.seq, hash = excluded.hash, body = excluded.body, sum = excluded.sum
             WHERE excluded.seq >= seq",
        )?
        .execute(params![
            head.stream,
            stored(snapshot.seq),
            &snapshot.hash[..],
            &snapshot.body[..],
            row_checksums::of_snapshot(
                head.stream,
                stored(snapshot.seq),
                &snapshot.hash,
                &snapshot.body
            ),
        ])?;
        Ok(())
    }

    pub(super) fn delete(
        &mut self,
        file: &Connection,
        subject: &SubjectId,
        expected: u64,
        tombstone: &Tombstone,
        keep_until: Millis,
    ) -> rusqlite::Result<bool> {
        let Some(head) = self.head(file, subject)? else {
            // A repeated deletion gets its first answer.
            let kept = reads::tombstone_of(file, subject)?;
            return Ok(kept.is_some_and(|(tombstone, _)| tombstone.count == expected));
        };
        if head.seq != expected {
            return Ok(false);
        }
        self.heads.forget(subject);
        self.tombstones = Some(true);
        for table in ["records", "payloads", "snapshots"] {
            file.prepare_cached(&format!("DELETE FROM {table} WHERE stream = ?1"))?
                .execute([head.stream])?;
        }
        let entry = streams::entry(subject, head.stream);
        streams::remove(file, entry)?;
        wakes::remove(file, subject, head.stream)?;
        if self.unfiled.take(&[entry]) {
            self.deleted.push(entry);
        }
        let count = stored(tombstone.count);
        let place = RowPlace::of(subject);
        file.prepare_cached(
            "INSERT OR REPLACE INTO tombstones
             (grp, kind, namespace, id, count, hash, first_answer, keep_until, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(with_subject!(
            subject,
            count,
            &tombstone.hash[..],
            &tombstone.first_answer[..],
            keep_until,
            row_checksums::of_tombstone(
                place,
                count,
                &tombstone.hash,
                &tombstone.first_answer,
                keep_until
            ),
        ))?;
        // The last row may be gone now, and with it what knew the newest time.
        meta::say(file, "newest_at", self.newest_at)?;
        clear_tombstones(file, self.newest_at)?;
        fail_points::pass(Point::StreamDeleted);
        Ok(true)
    }

    fn head(
        &mut self,
        file: &Connection,
        subject: &SubjectId,
    ) -> rusqlite::Result<Option<StreamHead>> {
        if let Some(head) = self.heads.get(subject) {
            return Ok(Some(head));
        }
        let Some(stream) = streams::find(file, &self.unfiled, subject)? else { return Ok(None) };
        let seq = streams::head_of(file, stream)?;
        let head = StreamHead { stream, seq };
        self.heads.set(subject, head);
        Ok(Some(head))
    }

    /// Whether no tombstone stands in the way of a new stream.
    fn may_begin(&mut self, file: &Connection, item: &AppendItem) -> rusqlite::Result<bool> {
        let any = "SELECT EXISTS (SELECT 1 FROM tombstones)";
        let any = match self.tombstones {
            Some(any) => any,
            None => file.prepare_cached(any)?.query_row([], |row| row.get(0))?,
        };
        self.tombstones = Some(any);
        if !any {
            return Ok(true);
        }
        let subject = &item.subject;
        let Some((_, keep_until)) = reads::tombstone_of(file, subject)? else { return Ok(true) };
        if keep_until > self.newest_at.max(item.record.at) {
            return Ok(false);
        }
        file.prepare_cached(
            "DELETE FROM tombstones WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4",
        )?
        .execute(with_subject!(subject))?;
        Ok(true)
    }

    /// A new stream; none where there is one already.
    fn begin(
        &mut self,
        file: &Connection,
        item: &AppendItem,
    ) -> rusqlite::Result<Option<StreamHead>> {
        let subject = &item.subject;
        if streams::find(file, &self.unfiled, subject)?.is_some() {
            return Ok(None);
        }
        let stream = self.last_stream + 1;
        streams::begin(file, subject, stream)?;
        if let Some(due) = item.wake {
            wakes::set(file, subject, stream, due, 1)?;
        }
        let entry = streams::entry(subject, stream);
        self.unfiled.put(entry);
        self.begun.push(entry);
        self.last_stream = stream;
        Ok(Some(StreamHead { stream, seq: 0 }))
    }

    fn write(&mut self, file: &Connection, stream: i64, item: &AppendItem) -> rusqlite::Result<()> {
        for payload in &item.payloads {
            file.prepare_cached(
                "INSERT OR IGNORE INTO payloads (stream, hash, body) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![stream, &payload.hash[..], &payload.bytes[..]])?;
            fail_points::pass(Point::PayloadWritten);
        }
        let record = &item.record;
        let newest = (self.newest_at > record.at).then_some(self.newest_at);
        self.newest_at = self.newest_at.max(record.at);
        let nonce = record.nonce.to_be_bytes();
        let packed = packed::pack(&record.body);
        let body = packed.as_ref().map_or(&record.body[..], |(body, _)| body);
        let row = RecordRow {
            stream,
            first: stored(record.first),
            count: i64::from(record.count),
            at: record.at,
            newest,
            nonce: &nonce,
            hash: &record.hash,
        };
        file.prepare_cached(
            "INSERT INTO records (stream, first, count, at, newest, nonce, hash, sum, body, packed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            row.stream,
            row.first,
            row.count,
            row.at,
            row.newest,
            row.nonce,
            row.hash,
            row.sum(),
            body,
            packed.as_ref().map(|(_, dictionary)| dictionary),
        ])?;
        fail_points::pass(Point::RecordWritten);
        Ok(())
    }
}

/// Deletes some tombstones whose time is over, none of which says so by damage.
fn clear_tombstones(file: &Connection, newest_at: Millis) -> rusqlite::Result<()> {
    let mut over = file.prepare_cached(
        "SELECT grp, kind, namespace, id, count, hash, first_answer, keep_until, sum FROM tombstones
         WHERE keep_until <= ?1 LIMIT ?2",
    )?;
    let mut delete = file.prepare_cached(
        "DELETE FROM tombstones WHERE grp = ?1 AND kind = ?2 AND namespace = ?3 AND id = ?4",
    )?;
    let over = over.query_and_then(params![newest_at, TOMBSTONES_CLEARED_MAX], |row| {
        reads::tombstone_at(row, 4, RowPlace::read(row)?)?;
        Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let over: Vec<(i64, i64, String, Vec<u8>)> = over.filter_map(Result::ok).collect();
    for (grp, kind, namespace, id) in over {
        delete.execute(params![grp, kind, namespace, id])?;
    }
    Ok(())
}

fn same_record(file: &Connection, stream: i64, item: &AppendItem) -> rusqlite::Result<Appended> {
    let same: Option<bool> = file
        .prepare_cached(
            "SELECT first, count, at, newest, nonce, hash, sum FROM records
             WHERE stream = ?1 AND first = ?2",
        )?
        .query_row(params![stream, stored(item.record.first)], |row| {
            Ok(RecordRow::read(row, stream)?.nonce == item.record.nonce.to_be_bytes())
        })
        .optional()?;
    Ok(if same == Some(true) { Appended::Committed } else { Appended::Conflict })
}
