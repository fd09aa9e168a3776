//! The MongoDB event store behind the contract.
//! Always holds: it can be shared by any number of engines; what it keeps in memory (heads, the newest time) only
//! saves looks at the database.
//! Absent: how it connects (`environment::mongodb`).

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, RawDocumentBuf};
use domain::ids::{GroupId, Millis, SubjectId};
use futures_util::future::BoxFuture;
use mongodb::Collection;

use super::heads::SubjectHeads;
use super::identity::{self, NEWEST_EVERY};
use super::marks::NOTICES;
use super::payloads::PAYLOADS;
use super::records::EVENTS;
use super::snapshots::SNAPSHOTS;
use crate::config::Secret;
use crate::environment::mongodb::{MongoConnection, StartError};
use crate::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStore, PayloadHash, Payloads, Snapshot, StoreInfo,
    StoreResult, StreamPart, Tombstone, WakeUp, WakeUpMove,
};

/// The event store in a database of MongoDB.
pub struct MongoEventStore {
    pub(super) connection: MongoConnection,
    pub(super) events: Collection<RawDocumentBuf>,
    pub(super) payloads: Collection<RawDocumentBuf>,
    pub(super) notices: Collection<RawDocumentBuf>,
    pub(super) snapshots: Collection<RawDocumentBuf>,
    pub(super) heads: SubjectHeads,
    store_id: String,
    incarnation: u32,
    lease_key: Secret,
    newest_at: AtomicI64,
    /// When the newest time was last written, and which.
    kept: Mutex<(Duration, Millis)>,
}

impl fmt::Debug for MongoEventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoEventStore")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl MongoEventStore {
    /// The store in this database, which gets `new_store_id` when it has none yet. Its collections and indexes must
    /// be there (migrations).
    ///
    /// # Errors
    /// When the database does not answer, or its identity cannot be read.
    pub async fn open(connection: MongoConnection, new_store_id: &str) -> Result<Self, StartError> {
        let identity = identity::load(&connection, new_store_id).await?;
        let newest_at = identity.newest_at.max(identity::newest_of_last(&connection).await?);
        Ok(Self {
            events: connection.collection(EVENTS),
            payloads: connection.collection(PAYLOADS),
            notices: connection.collection(NOTICES),
            snapshots: connection.collection(SNAPSHOTS),
            heads: SubjectHeads::default(),
            store_id: identity.store_id,
            incarnation: identity.incarnation,
            lease_key: identity.lease_key,
            newest_at: AtomicI64::new(newest_at),
            kept: Mutex::new((connection.calls().clock().monotonic(), identity.newest_at)),
            connection,
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.connection.calls().clock().monotonic()
    }

    /// The newest time of a committed record that this engine knows, or `at` when that is later.
    pub(super) fn newest(&self, at: Millis) -> Millis {
        self.newest_at.load(Ordering::Acquire).max(at)
    }

    /// A committed record's time.
    pub(super) fn saw(&self, at: Millis) {
        self.newest_at.fetch_max(at, Ordering::AcqRel);
    }

    /// Writes the newest time now and then; no append waits for it.
    pub(super) fn keep_newest(&self) {
        let (now, newest) = (self.now(), self.newest(0));
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if newest <= kept.1 || now.saturating_sub(kept.0) < NEWEST_EVERY {
                return;
            }
            *kept = (now, newest);
        }
        let meta = identity::collection(&self.connection);
        self.connection.calls().begin("the newest time", identity::keep_newest(meta, newest));
    }

    pub(super) fn typed_events(&self) -> Collection<Document> {
        self.connection.database().collection(EVENTS)
    }
}

impl EventStore for MongoEventStore {
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(async {
            Ok(StoreInfo {
                store_id: self.store_id.clone(),
                incarnation: self.incarnation,
                lease_key: self.lease_key.clone(),
                newest_at: self.newest(0),
            })
        })
    }

    fn append(&self, batch: Vec<AppendItem>) -> BoxFuture<'_, StoreResult<Vec<Appended>>> {
        Box::pin(self.append_batch(batch))
    }

    fn read<'a>(
        &'a self,
        subject: &'a SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> BoxFuture<'a, StoreResult<StreamPart>> {
        Box::pin(self.read_stream(subject, from, bytes_max))
    }

    fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<WakeUp>>> {
        Box::pin(self.live_marks(group, until, after, max))
    }

    fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<SubjectId>>> {
        Box::pin(self.subjects_of(group, after, max))
    }

    fn move_wake_ups(&self, moves: Vec<WakeUpMove>) -> BoxFuture<'_, StoreResult<Vec<bool>>> {
        Box::pin(self.move_all(moves))
    }

    fn mark<'a>(&'a self, subject: &'a SubjectId) -> BoxFuture<'a, StoreResult<Option<WakeUp>>> {
        Box::pin(self.mark_of(subject))
    }

    fn write_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.write_notices(notices))
    }

    fn notices(&self, group: GroupId) -> BoxFuture<'_, StoreResult<Vec<AppendNotice>>> {
        Box::pin(self.notices_of(group))
    }

    fn clear_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.remove_notices(notices))
    }

    fn payloads<'a>(
        &'a self,
        subject: &'a SubjectId,
        hashes: &'a [PayloadHash],
    ) -> BoxFuture<'a, StoreResult<Payloads>> {
        Box::pin(self.find_payloads(subject, hashes))
    }

    fn save_snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.keep_snapshot(subject, snapshot))
    }

    fn snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        Box::pin(self.find_snapshot(subject))
    }

    fn delete<'a>(
        &'a self,
        subject: &'a SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(self.delete_stream(subject, expected, tombstone, keep_until))
    }
}
