//! The embedded view behind the contract: flushes go to one thread, reads to others.
//! Always holds: a flush is one transaction; nothing here blocks the caller's thread, after `open`.
//! Absent: the data folder's lock; whoever opens the view holds it through the event store.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::{Namespace, SubjectId, SubjectKind};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};

use super::flush::FlushSession;
use super::{ids, lists, schema};
use crate::environment::fail_points::{self, Fault, Point};
use crate::environment::{NotRun, Threads, Unfiled};
use crate::view::contract::{Document, JobQuery, Page, View, ViewError, ViewResult};

/// Flushes that wait: the view writer has a few in flight at most.
const WRITES_WAITING_MAX: usize = 256;
/// Reads that wait for a reader; the rest is refused at once and may come again.
const READS_WAITING_MAX: usize = 1_024;
/// Connections that read.
const READERS: usize = 2;

struct Writing {
    file: Connection,
    /// Its log of writes, held open: a sync must not need a file that there may not be.
    wal: File,
    session: FlushSession,
    path: PathBuf,
    /// Why nothing is written any more: a failed fsync, after which nobody knows what is on the disk.
    ended: Option<String>,
}

/// The view in a file.
pub struct SqliteView {
    unfiled: Arc<Unfiled>,
    readers: Threads<Connection>,
    writer: Threads<Writing>,
    path: PathBuf,
}

impl fmt::Debug for SqliteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteView").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteView {
    /// Opens the view in this file, making it when there is none. Blocks while it reads.
    pub fn open(path: &Path) -> ViewResult<Self> {
        let wrong = |error: &rusqlite::Error| schema::view_error(error);
        let not_started = |error: io::Error| ViewError::Unavailable(error.to_string());
        let file = schema::open_writer(path)?;
        fail_points::pass(Point::ViewOpened);
        let session = FlushSession::load(&file).map_err(|error| wrong(&error))?;
        // It is there as soon as anything was read, and stays the same file as long as a connection is open.
        let wal = File::open(schema::wal_of(path)).map_err(not_started)?;
        let readers = (0..READERS)
            .map(|_| schema::open_reader(path))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| wrong(&error))?;
        let readers =
            Threads::start("view-reader", readers, READS_WAITING_MAX).map_err(not_started)?;
        let unfiled = session.unfiled();
        let writing = Writing { file, wal, session, path: path.to_owned(), ended: None };
        let writer = Threads::start("view-writer", vec![writing], WRITES_WAITING_MAX)
            .map_err(not_started)?;
        Ok(Self { unfiled, readers, writer, path: path.to_owned() })
    }

    /// Throws the view in this file away and opens an empty one. Blocks.
    pub fn make_anew(path: &Path) -> ViewResult<Self> {
        schema::throw_away(path)?;
        Self::open(path)
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writing) -> ViewResult<T> + Send + 'static,
    ) -> ViewResult<T> {
        let ran = self.writer.run(move |writing| match &writing.ended {
            Some(reason) => Err(ViewError::Damaged(reason.clone())),
            None => act(writing),
        });
        ran.await.map_err(not_run)?
    }

    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection, &Unfiled) -> rusqlite::Result<T> + Send + 'static,
    ) -> ViewResult<T> {
        let unfiled = Arc::clone(&self.unfiled);
        let read = self.readers.run(move |file| act(file, &unfiled)).await.map_err(not_run)?;
        read.map_err(|error| schema::view_error(&error))
    }
}

fn not_run(reason: NotRun) -> ViewError {
    ViewError::Unavailable(reason.to_string())
}

impl Writing {
    fn transact<T>(
        &mut self,
        act: impl FnOnce(&Connection, &mut FlushSession) -> rusqlite::Result<T>,
    ) -> ViewResult<T> {
        fail_points::pass(Point::ViewBegin);
        let done = self.file.transaction().and_then(|transaction| {
            let done = act(&transaction, &mut self.session)?;
            self.session.file_some(&transaction)?;
            fail_points::pass(Point::ViewCommit);
            transaction.commit()?;
            self.session.committed();
            fail_points::pass(Point::ViewCommitted);
            Ok(done)
        });
        done.map_err(|error| {
            self.session.rolled_back();
            let error = schema::view_error(&error);
            if let ViewError::Damaged(reason) = &error {
                self.end(reason);
            }
            error
        })
    }

    /// Takes nothing more. The file is moved away at once, so that the next start makes a new one.
    fn end(&mut self, reason: &str) {
        let aside = schema::set_aside(&self.path).err();
        let aside = aside.map_or(String::new(), |error| format!(" ({error})"));
        self.ended = Some(format!("{reason}{aside}"));
    }

    /// Commits reach the disk with the WAL; what is older than that was synced by the checkpoint that moved it.
    fn sync(&mut self) -> ViewResult<()> {
        let synced = planted(Point::ViewSync).and_then(|()| self.wal.sync_data());
        if synced.is_ok() {
            fail_points::note_synced(|| schema::frames(&self.file));
            fail_points::pass(Point::ViewSynced);
        }
        synced.map_err(|error| {
            let reason = format!("the view's log of writes cannot be synced: {error}");
            self.end(&reason);
            ViewError::Damaged(reason)
        })
    }
}

/// Passes a point; where a test has planted a fault, the system's error.
fn planted(point: Point) -> io::Result<()> {
    match fail_points::fault(point) {
        None => Ok(()),
        Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
        Some(Fault::Io) => Err(io::Error::other("planted")),
    }
}

fn adopt(
    file: &Connection,
    session: &mut FlushSession,
    store_id: &str,
    complete: bool,
) -> rusqlite::Result<bool> {
    let meta = |key: &str| {
        file.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get::<_, String>(0)
        })
        .optional()
    };
    let same = meta("store_id")?.as_deref() == Some(store_id);
    let was = same && meta("complete")?.as_deref() == Some("yes");
    // An incomplete view of this store becomes its complete one without losing what the rebuild wrote.
    let stays = was || (same && complete);
    if !stays {
        for table in schema::CONTENTS {
            file.execute_batch(&format!("DELETE FROM {table}"))?;
        }
        ids::say_filed(file, 0)?;
        session.emptied();
    }
    let state = if stays { "yes" } else { "no" };
    for (key, value) in [("store_id", store_id), ("complete", state)] {
        file.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
            params![key, value],
        )?;
    }
    Ok(was)
}

impl View for SqliteView {
    fn flush(&self, documents: Vec<Document>) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(self.write(move |writing| {
            writing.transact(|file, session| {
                documents.iter().try_for_each(|document| session.put(file, document))
            })
        }))
    }

    fn sync(&self) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(self.write(Writing::sync))
    }

    fn documents<'a>(
        &'a self,
        subjects: &'a [SubjectId],
    ) -> BoxFuture<'a, ViewResult<Vec<Option<Document>>>> {
        let subjects = subjects.to_vec();
        Box::pin(self.read(move |file, unfiled| {
            subjects.iter().map(|subject| lists::get(file, unfiled, subject)).collect()
        }))
    }

    fn jobs(&self, query: JobQuery) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(self.read(move |file, _| lists::jobs(file, &query)))
    }

    fn named(
        &self,
        namespace: Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(self.read(move |file, _| lists::named(file, &namespace, kind, page, page_size)))
    }

    fn adopt<'a>(&'a self, store_id: &'a str, complete: bool) -> BoxFuture<'a, ViewResult<bool>> {
        let store_id = store_id.to_owned();
        Box::pin(self.write(move |writing| {
            let was =
                writing.transact(|file, session| adopt(file, session, &store_id, complete))?;
            writing.sync()?;
            fail_points::pass(Point::ViewAdopted);
            Ok(was)
        }))
    }
}
