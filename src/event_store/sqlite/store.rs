//! The embedded event store behind the contract: requests go to the writer thread, reads to the readers' threads.
//! Always holds: nothing here blocks the caller's thread, after `open`; dropping the store finishes what was
//! accepted, closes the file and then lets the folder go.
//! Absent: SQL.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use domain::ids::{GroupId, Millis, SubjectId};
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::folder::{DataFolder, FolderError};
use super::mark::Synced;
use super::reserve::Reserve;
use super::transaction::WriterSession;
use super::writer::{Done, Room, WriteRequest, Writer, WriterWork};
use super::{connections, failure, meta, reads, startup_check, streams, wakes};
use crate::config::Secret;
use crate::environment::fail_points::{self, Point};
use crate::environment::{NotRun, Threads, Unfiled};
use crate::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStore, EventStoreError, PayloadHash, Payloads,
    Snapshot, StoreInfo, StoreResult, StreamPart, Tombstone, WakeUp, WakeUpMove,
};

/// Writes that wait for the writer: more than the engine has in flight, so that a full queue is a fault.
const WRITES_WAITING_MAX: usize = 4_096;
/// Reads that wait for a reader.
const READS_WAITING_MAX: usize = 4_096;
/// Connections that read: loading after a restart uses them all, serving hardly any.
const READERS: usize = 2;

/// How large the store may become.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteSettings {
    /// Bytes that the file of the streams may take; none: as much as the disk has.
    pub file_bytes_max: Option<u64>,
    /// Bytes of these kept for what finishes work (`AppendItem::may_use_reserve`).
    pub reserve_bytes: u64,
    /// Below this many free bytes on the folder's disk, only what may use the reserve is appended.
    pub disk_free_min: u64,
    /// Bytes of a file that is given up when the disk is really full, so that finishing work goes on; 0: none.
    pub reserve_file_bytes: u64,
    /// Milliseconds of the wall clock at the opening, from which a restored store takes its incarnation; 0: none, the
    /// incarnation grows by one.
    pub opened_at: Millis,
}

/// The event store in a data folder.
pub struct SqliteEventStore {
    store_id: String,
    incarnation: u32,
    lease_key: Secret,
    newest_at: Arc<AtomicI64>,
    unfiled: Arc<Unfiled>,
    readers: Option<Threads<Connection>>,
    writes: Option<SyncSender<WriteRequest>>,
    writer: Option<JoinHandle<()>>,
    /// Let go last.
    folder: Arc<DataFolder>,
}

impl fmt::Debug for SqliteEventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteEventStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl SqliteEventStore {
    /// Opens the streams in the folder, making them (with this id) when there are none. Blocks while it reads.
    pub fn open(
        folder: Arc<DataFolder>,
        new_store_id: &str,
        settings: SqliteSettings,
    ) -> Result<Self, FolderError> {
        let file = folder.events_file();
        let unreadable =
            |reason: String| FolderError::Unreadable { file: file.display().to_string(), reason };
        let reserve =
            Reserve::prepare(folder.path(), settings.disk_free_min, settings.reserve_file_bytes);
        let (mut connection, identity) =
            connections::open_writer(&file, new_store_id, settings.opened_at)?;
        let room =
            limit_size(&connection, settings).map_err(|error| unreadable(error.to_string()))?;
        folder.sync()?;
        fail_points::pass(Point::StoreOpened);
        let newest_at = Arc::new(AtomicI64::new(identity.newest_at));
        let index = streams::load(&connection, identity.streams)
            .and_then(|unfiled| Ok((Arc::new(unfiled), streams::filing(&connection)?)));
        let (unfiled, filing) = index.map_err(|error| unreadable(error.to_string()))?;
        let readers = (0..READERS)
            .map(|_| connections::open_reader(&file))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| unreadable(error.to_string()))?;
        let readers = Threads::start("event-reader", readers, READS_WAITING_MAX)
            .map_err(|error| unreadable(error.to_string()))?;
        let checkpoints = Checkpoints::start(&file).map_err(unreadable)?;
        let synced = Synced::open(&file, &mut connection).map_err(unreadable)?;
        let writer = Writer {
            file: connection,
            session: WriterSession::new(
                Arc::clone(&unfiled),
                filing,
                identity.streams,
                identity.newest_at,
            ),
            newest_at: Arc::clone(&newest_at),
            checkpoints,
            synced,
            room,
            reserve,
            folder: Arc::clone(&folder),
        };
        let (writes, requests) = sync_channel(WRITES_WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("event-writer".to_owned())
            .spawn(move || writer.run(&requests))
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            store_id: identity.store_id,
            incarnation: identity.incarnation,
            lease_key: identity.lease_key,
            newest_at,
            unfiled,
            readers: Some(readers),
            writes: Some(writes),
            writer: Some(writer),
            folder,
        })
    }

    /// Opens the streams of a stopped engine for reading only: no file is changed, every write is refused. Blocks.
    pub fn open_for_reading(folder: Arc<DataFolder>) -> Result<Self, FolderError> {
        let file = folder.events_file();
        let unreadable =
            |reason: String| FolderError::Unreadable { file: file.display().to_string(), reason };
        startup_check::before(&file)?;
        let readers =
            (0..READERS).map(|_| connections::open_beside(&file)).collect::<Result<Vec<_>, _>>()?;
        let first = readers.first().ok_or_else(|| unreadable("nobody reads it".to_owned()))?;
        let opened = meta::identity(first)
            .and_then(|identity| Ok((streams::load(first, identity.streams)?, identity)));
        let (unfiled, identity) = opened.map_err(|error| unreadable(error.to_string()))?;
        let readers = Threads::start("event-reader", readers, READS_WAITING_MAX)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            store_id: identity.store_id,
            incarnation: identity.incarnation,
            lease_key: identity.lease_key,
            newest_at: Arc::new(AtomicI64::new(identity.newest_at)),
            unfiled: Arc::new(unfiled),
            readers: Some(readers),
            writes: None,
            writer: None,
            folder,
        })
    }

    async fn write(&self, work: WriterWork) -> StoreResult<Done> {
        let ended = || EventStoreError::Fatal("nothing is written any more".to_owned());
        let (reply, answer) = oneshot::channel();
        let writes = self.writes.as_ref().ok_or_else(ended)?;
        writes.try_send(WriteRequest { work, reply }).map_err(|error| match error {
            TrySendError::Full(_) => {
                EventStoreError::Unavailable("too many writes are waiting".to_owned())
            }
            TrySendError::Disconnected(_) => ended(),
        })?;
        answer.await.map_err(|_| ended())?
    }

    async fn read_with<T: Send + 'static>(
        &self,
        of: String,
        act: impl FnOnce(&mut Connection, &Unfiled) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let unfiled = Arc::clone(&self.unfiled);
        let ended = || EventStoreError::Fatal("the readers have ended".to_owned());
        let readers = self.readers.as_ref().ok_or_else(ended)?;
        match readers.run(move |file| act(file, &unfiled)).await {
            Ok(read) => read.map_err(|error| failure::of_read(&error, &of)),
            Err(NotRun::QueueFull) => {
                Err(EventStoreError::Unavailable("too many reads are waiting".to_owned()))
            }
            Err(NotRun::Ended) => Err(ended()),
        }
    }
}

impl Drop for SqliteEventStore {
    fn drop(&mut self) {
        // The writer's connection goes last: it is the one that tidies up.
        drop(self.readers.take());
        drop(self.writes.take());
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has reported that itself.
            let _ = writer.join();
        }
    }
}

fn limit_size(file: &Connection, settings: SqliteSettings) -> rusqlite::Result<Option<Room>> {
    let Some(bytes) = settings.file_bytes_max else { return Ok(None) };
    let page: u64 = file.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
    let pages = |bytes: u64| i64::try_from(bytes / page).unwrap_or(i64::MAX);
    // SQLite answers with the limit it took; it never goes below what the file has.
    file.query_row(&format!("PRAGMA max_page_count = {}", pages(bytes).max(1)), [], |_| Ok(()))?;
    let ordinary = bytes.saturating_sub(settings.reserve_bytes);
    Ok(Some(Room { ordinary_pages_max: pages(ordinary) }))
}

fn group_name(group: GroupId) -> String {
    format!("group {}", group.index())
}

fn mismatch<T>() -> StoreResult<T> {
    Err(EventStoreError::Fatal("the writer answered another question".to_owned()))
}

impl EventStore for SqliteEventStore {
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(async {
            Ok(StoreInfo {
                store_id: self.store_id.clone(),
                incarnation: self.incarnation,
                lease_key: self.lease_key.clone(),
                newest_at: self.newest_at.load(Ordering::Acquire),
            })
        })
    }

    fn append(&self, batch: Vec<AppendItem>) -> BoxFuture<'_, StoreResult<Vec<Appended>>> {
        Box::pin(async move {
            match self.write(WriterWork::Append(batch)).await? {
                Done::Appended(appended) => Ok(appended),
                Done::Moved(_) | Done::Written | Done::Deleted(_) => mismatch(),
            }
        })
    }

    fn read<'a>(
        &'a self,
        subject: &'a SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> BoxFuture<'a, StoreResult<StreamPart>> {
        let (of, newest_at) = (subject.clone(), self.newest_at.load(Ordering::Acquire));
        Box::pin(self.read_with(subject.to_string(), move |file, unfiled| {
            reads::read(file, unfiled, &of, from, bytes_max, newest_at)
        }))
    }

    fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<WakeUp>>> {
        Box::pin(self.read_with(group_name(group), move |file, _| {
            wakes::live(file, group, until, after.as_ref(), max)
        }))
    }

    fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<SubjectId>>> {
        Box::pin(self.read_with(group_name(group), move |file, unfiled| {
            streams::of_group(file, unfiled, group, after.as_ref(), max)
        }))
    }

    fn move_wake_ups(&self, moves: Vec<WakeUpMove>) -> BoxFuture<'_, StoreResult<Vec<bool>>> {
        Box::pin(async move {
            match self.write(WriterWork::MoveWakeUps(moves)).await? {
                Done::Moved(moved) => Ok(moved),
                Done::Appended(_) | Done::Written | Done::Deleted(_) => mismatch(),
            }
        })
    }

    fn mark<'a>(&'a self, subject: &'a SubjectId) -> BoxFuture<'a, StoreResult<Option<WakeUp>>> {
        let of = subject.clone();
        Box::pin(self.read_with(subject.to_string(), move |file, unfiled| {
            wakes::of_subject(file, unfiled, &of)
        }))
    }

    fn write_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write(WriterWork::AppendNotice(notices)).await.map(|_| ()) })
    }

    fn notices(&self, group: GroupId) -> BoxFuture<'_, StoreResult<Vec<AppendNotice>>> {
        Box::pin(self.read_with(group_name(group), move |file, _| reads::notices(file, group)))
    }

    fn clear_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.write(WriterWork::ClearNotices(notices)).await.map(|_| ()) })
    }

    fn payloads<'a>(
        &'a self,
        subject: &'a SubjectId,
        hashes: &'a [PayloadHash],
    ) -> BoxFuture<'a, StoreResult<Payloads>> {
        let (of, hashes) = (subject.clone(), hashes.to_vec());
        Box::pin(self.read_with(subject.to_string(), move |file, unfiled| {
            reads::payloads(file, unfiled, &of, &hashes)
        }))
    }

    fn save_snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let work = WriterWork::SaveSnapshot(subject.clone(), snapshot);
        Box::pin(async move { self.write(work).await.map(|_| ()) })
    }

    fn snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        let of = subject.clone();
        Box::pin(self.read_with(subject.to_string(), move |file, unfiled| {
            reads::snapshot(file, unfiled, &of)
        }))
    }

    fn delete<'a>(
        &'a self,
        subject: &'a SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let work = WriterWork::Delete { subject: subject.clone(), expected, tombstone, keep_until };
        Box::pin(async move {
            match self.write(work).await? {
                Done::Deleted(deleted) => Ok(deleted),
                Done::Appended(_) | Done::Moved(_) | Done::Written => mismatch(),
            }
        })
    }
}
