//! The one thread that writes: requests that come while a commit runs share the next one.
//! Always holds: an answer leaves after the commit it rests on; when a shared transaction fails, each request (and
//! each item of an append) is tried in one of its own, so that what one of them suffers is its own; after a failed
//! write or fsync nothing is written any more and every answer is `Fatal`.
//! Absent: a linger timer. The queue that forms during an fsync is the batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use domain::ids::{Millis, SubjectId};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::{self, Checkpoints};
use super::failure::{self, TransactionFailure};
use super::folder::DataFolder;
use super::mark::Synced;
use super::notices;
use super::reserve::Reserve;
use super::transaction::WriterSession;
use crate::environment::fail_points::{self, Point};
use crate::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStoreError, Snapshot, StoreResult, Tombstone,
    WakeUpMove,
};

/// Requests that share a transaction at most: keeps one commit, and the wait of the next, short.
const REQUESTS_MAX: usize = 256;
/// Bytes of records and payloads after which a transaction takes no further request.
const BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Without requests it is looked this often whether the folder is in its place, and, while the reserve is not whole,
/// whether there is room again.
const ROOM_LOOK: Duration = Duration::from_secs(1);

/// What somebody wants written.
#[derive(Debug)]
pub(super) enum WriterWork {
    Append(Vec<AppendItem>),
    MoveWakeUps(Vec<WakeUpMove>),
    AppendNotice(Vec<AppendNotice>),
    ClearNotices(Vec<AppendNotice>),
    SaveSnapshot(SubjectId, Snapshot),
    Delete { subject: SubjectId, expected: u64, tombstone: Tombstone, keep_until: Millis },
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Done {
    Appended(Vec<Appended>),
    Moved(Vec<bool>),
    Written,
    Deleted(bool),
}

/// One request with the way back.
#[derive(Debug)]
pub(super) struct WriteRequest {
    pub(super) work: WriterWork,
    pub(super) reply: oneshot::Sender<StoreResult<Done>>,
}

/// How far the file may grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// From here on only what may use the reserve is appended. In pages.
    pub(super) ordinary_pages_max: i64,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: Connection,
    pub(super) session: WriterSession,
    pub(super) newest_at: Arc<AtomicI64>,
    pub(super) checkpoints: Checkpoints,
    pub(super) synced: Synced,
    pub(super) room: Option<Room>,
    pub(super) reserve: Reserve,
    pub(super) folder: Arc<DataFolder>,
}

impl Writer {
    /// Serves until all senders are gone.
    pub(super) fn run(mut self, requests: &Receiver<WriteRequest>) {
        let mut ended: Option<String> = None;
        while let Some(first) = self.next(requests) {
            let batch = gather(first, requests);
            if ended.is_none()
                && let Some(reason) = self.checkpoints.failed()
            {
                ended = Some(reason);
            }
            if let Some(reason) = &ended {
                for request in batch {
                    reply(request, Err(EventStoreError::Fatal(reason.clone())));
                }
                continue;
            }
            if let Err(reason) = self.folder.is_in_place() {
                for request in batch {
                    reply(request, Err(EventStoreError::Unavailable(reason.clone())));
                }
                continue;
            }
            let bytes = batch.iter().map(|request| bytes_of(&request.work)).sum();
            match self.serve(batch) {
                Ok(()) => ended = self.checkpoints.after_commit(&self.file, bytes).err(),
                Err(reason) => ended = Some(reason),
            }
        }
        if ended.is_none() {
            self.checkpoints.finish(&self.file, &mut self.synced);
        }
    }

    /// The next request; none when all senders are gone.
    fn next(&mut self, requests: &Receiver<WriteRequest>) -> Option<WriteRequest> {
        loop {
            let next = requests.recv_timeout(ROOM_LOOK);
            let goes_on = !matches!(next, Err(RecvTimeoutError::Disconnected));
            if goes_on && !self.reserve.is_whole() && self.folder.is_in_place().is_ok() {
                self.reserve.restore();
            }
            match next {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                // An idle store notices as well that its folder is gone, and says so.
                Err(RecvTimeoutError::Timeout) => drop(self.folder.is_in_place()),
            }
        }
    }

    /// Answers each of `batch`; an error is the reason why the store has ended.
    fn serve(&mut self, batch: Vec<WriteRequest>) -> Result<(), String> {
        let together = self.transact(|writer| {
            batch.iter().map(|request| writer.perform(&request.work)).collect::<Result<Vec<_>, _>>()
        });
        match together {
            Ok(done) => {
                // Once more: what was deleted during the commit may be what was committed to.
                let gone = self.folder.is_in_place().err();
                for (request, done) in batch.into_iter().zip(done) {
                    let gone = gone.clone().map(EventStoreError::Unavailable);
                    reply(request, gone.map_or(Ok(done), Err));
                }
                fail_points::pass(Point::WriteAnswered);
                Ok(())
            }
            Err((TransactionFailure::Fatal, error)) => {
                let reason = error.to_string();
                for request in batch {
                    reply(request, Err(EventStoreError::Fatal(reason.clone())));
                }
                Err(reason)
            }
            Err((
                TransactionFailure::Full
                | TransactionFailure::Damaged
                | TransactionFailure::Refused,
                _,
            )) => {
                self.checkpoints.make_room(&self.file);
                let mut batch = batch.into_iter();
                while let Some(request) = batch.next() {
                    let done = self.alone(&request.work);
                    let ended = match &done {
                        Err(EventStoreError::Fatal(reason)) => Some(reason.clone()),
                        Ok(_) | Err(_) => None,
                    };
                    reply(request, done);
                    if let Some(reason) = ended {
                        for request in batch {
                            reply(request, Err(EventStoreError::Fatal(reason.clone())));
                        }
                        return Err(reason);
                    }
                }
                Ok(())
            }
        }
    }

    /// One request whose shared transaction failed.
    fn alone(&mut self, work: &WriterWork) -> StoreResult<Done> {
        let WriterWork::Append(items) = work else {
            return self
                .transact_from_reserve(true, |writer| writer.perform(work))
                .map_err(|(failure, error)| failure::to_store_error(failure, &error));
        };
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let appended = self.transact_from_reserve(item.may_use_reserve, |writer| {
                let ordinary = writer.room_for_ordinary()?;
                writer.append(item, ordinary)
            });
            answers.push(match appended {
                Ok(appended) => appended,
                Err((TransactionFailure::Full, _)) => Appended::Full,
                // Whoever is told of a conflict reads the stream, and then hears which one is damaged.
                Err((TransactionFailure::Damaged, _)) => Appended::Conflict,
                Err((TransactionFailure::Refused, _)) => Appended::Unknown,
                Err((TransactionFailure::Fatal, error)) => {
                    return Err(EventStoreError::Fatal(error.to_string()));
                }
            });
        }
        Ok(Done::Appended(answers))
    }

    /// As `transact`; when there is no room, and `act` may use the reserve, it is tried again with the reserve's.
    fn transact_from_reserve<T>(
        &mut self,
        may_use: bool,
        act: impl Fn(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, (TransactionFailure, rusqlite::Error)> {
        let done = self.transact(&act);
        let full = matches!(done, Err((TransactionFailure::Full, _)));
        if full && may_use && self.reserve.give_up() { self.transact(&act) } else { done }
    }

    /// Runs `act` in a transaction and commits it; afterwards either all of it is durable or none of it is there.
    fn transact<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, (TransactionFailure, rusqlite::Error)> {
        fail_points::pass(Point::WriteBegin);
        let done =
            self.file.execute_batch("BEGIN IMMEDIATE").and_then(|()| act(self)).and_then(|done| {
                self.session.file_some(&self.file)?;
                failure::planted(Point::WriteCommit)?;
                self.file.execute_batch("COMMIT")?;
                Ok(done)
            });
        match done {
            Ok(done) => {
                // The note first: a process that ends between the two may forget no more than the mark claims.
                fail_points::note_synced(|| checkpoint::frames(&self.file));
                self.synced.committed();
                fail_points::pass(Point::WriteCommitted);
                self.newest_at.store(self.session.committed(), Ordering::Release);
                Ok(done)
            }
            Err(error) => {
                self.session.rolled_back();
                // A full disk may have rolled back by itself.
                let undone =
                    self.file.is_autocommit() || self.file.execute_batch("ROLLBACK").is_ok();
                let failure =
                    if undone { failure::of_write(&error) } else { TransactionFailure::Fatal };
                Err((failure, error))
            }
        }
    }

    fn perform(&mut self, work: &WriterWork) -> rusqlite::Result<Done> {
        Ok(match work {
            WriterWork::Append(items) => {
                let ordinary = self.room_for_ordinary()?;
                let appended = items.iter().map(|item| self.append(item, ordinary));
                Done::Appended(appended.collect::<rusqlite::Result<_>>()?)
            }
            WriterWork::MoveWakeUps(moves) => {
                let moved = moves.iter().map(|wanted| self.session.move_mark(&self.file, wanted));
                let moved = moved.collect::<rusqlite::Result<_>>()?;
                fail_points::pass(Point::MarksWritten);
                Done::Moved(moved)
            }
            WriterWork::AppendNotice(notices) => {
                notices.iter().try_for_each(|notice| notices::write(&self.file, notice))?;
                fail_points::pass(Point::NoticesWritten);
                Done::Written
            }
            WriterWork::ClearNotices(notices) => {
                notices.iter().try_for_each(|notice| notices::clear(&self.file, notice))?;
                fail_points::pass(Point::NoticesDeleted);
                Done::Written
            }
            WriterWork::SaveSnapshot(subject, snapshot) => {
                self.session.save_snapshot(&self.file, subject, snapshot)?;
                fail_points::pass(Point::SnapshotWritten);
                Done::Written
            }
            WriterWork::Delete { subject, expected, tombstone, keep_until } => {
                let session = &mut self.session;
                Done::Deleted(session.delete(
                    &self.file,
                    subject,
                    *expected,
                    tombstone,
                    *keep_until,
                )?)
            }
        })
    }

    fn append(&mut self, item: &AppendItem, ordinary: bool) -> rusqlite::Result<Appended> {
        if !ordinary && !item.may_use_reserve {
            // What was written before is never refused: that would call a durable record absent.
            let held = self.session.holds(&self.file, item)?;
            return Ok(if held { Appended::Committed } else { Appended::Full });
        }
        self.session.append(&self.file, item)
    }

    /// Whether an append that may not use the reserve has room.
    fn room_for_ordinary(&self) -> rusqlite::Result<bool> {
        if !self.reserve.has_room() {
            return Ok(false);
        }
        let Some(room) = self.room else { return Ok(true) };
        let pages = |sql| self.file.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let used = pages("PRAGMA page_count")? - pages("PRAGMA freelist_count")?;
        Ok(used < room.ordinary_pages_max)
    }
}

/// What is waiting already joins `first`, up to the bounds of one transaction.
fn gather(first: WriteRequest, requests: &Receiver<WriteRequest>) -> Vec<WriteRequest> {
    let mut bytes = bytes_of(&first.work);
    let mut batch = vec![first];
    while batch.len() < REQUESTS_MAX && bytes < BYTES_MAX {
        let Ok(next) = requests.try_recv() else { break };
        bytes += bytes_of(&next.work);
        batch.push(next);
    }
    batch
}

fn bytes_of(work: &WriterWork) -> usize {
    let item = |item: &AppendItem| {
        item.record.body.len()
            + item.payloads.iter().map(|payload| payload.bytes.len()).sum::<usize>()
    };
    match work {
        WriterWork::Append(items) => items.iter().map(item).sum(),
        WriterWork::SaveSnapshot(_, snapshot) => snapshot.body.len(),
        WriterWork::MoveWakeUps(_)
        | WriterWork::AppendNotice(_)
        | WriterWork::ClearNotices(_)
        | WriterWork::Delete { .. } => 0,
    }
}

fn reply(request: WriteRequest, done: StoreResult<Done>) {
    // Who asked may be gone; what was written stays written.
    let _ = request.reply.send(done);
}
