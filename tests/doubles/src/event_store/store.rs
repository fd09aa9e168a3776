//! The in-memory event store behind the contract: one lock around the streams, taken only between waits.
//! Always holds: a call acts at one point, between its two delays; what it does there is what `Streams` does.
//! Absent: any fault that was not asked for.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::ids::{GroupId, Millis, SubjectId};
use futures_util::future::BoxFuture;

use super::faults::{AppendFault, FaultSource, Faults};
use super::streams::Streams;
use crate::chance::give_way;
use orrery::config::Secret;
use orrery::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStore, EventStoreError, PayloadHash, Payloads, Record,
    Snapshot, StoreInfo, StoreResult, StreamPart, Tombstone, WakeUp, WakeUpMove,
};

/// Asked before an item is written, when the dice say so: the record that somebody else gets in first.
pub type Rival = Box<dyn Fn(&AppendItem) -> Option<Record> + Send + Sync>;

struct Inner {
    store_id: String,
    incarnation: u32,
    streams: Streams,
    faults: FaultSource,
    rival: Option<Rival>,
    appends: u64,
}

/// An event store for tests and simulation. Share it by `Arc`.
pub struct MemoryEventStore {
    inner: Mutex<Inner>,
}

impl fmt::Debug for MemoryEventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEventStore")
            .field("store_id", &self.lock().store_id)
            .finish_non_exhaustive()
    }
}

impl MemoryEventStore {
    /// An empty store of incarnation 1 without faults.
    pub fn new(store_id: &str) -> Self {
        Self::with_faults(store_id, Faults::default())
    }

    /// An empty store of incarnation 1.
    pub fn with_faults(store_id: &str, faults: Faults) -> Self {
        Self {
            inner: Mutex::new(Inner {
                store_id: store_id.to_owned(),
                incarnation: 1,
                streams: Streams::default(),
                faults: FaultSource::new(faults),
                rival: None,
                appends: 0,
            }),
        }
    }

    /// From now on these faults, drawn anew from their seed (the default: none).
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = FaultSource::new(faults);
    }

    /// The next append calls meet these, one each, whatever the dice say.
    pub fn lay_down(&self, faults: impl IntoIterator<Item = AppendFault>) {
        self.lock().faults.lay_down(faults);
    }

    /// Who writes first when `Faults::rival_per_mille` comes up.
    pub fn set_rival(&self, rival: Rival) {
        self.lock().rival = Some(rival);
    }

    /// As a restore does: epochs of the next leases outrun all earlier ones.
    pub fn raise_incarnation(&self) {
        self.lock().incarnation += 1;
    }

    /// How many append calls have come so far.
    pub fn appends(&self) -> u64 {
        self.lock().appends
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delay(&self) {
        let turns = self.lock().faults.turns();
        give_way(turns).await;
    }

    /// One call that is not an append: delayed, and failed when the dice say so, before or after it acted.
    async fn call<T: Send>(&self, act: impl FnOnce(&mut Inner) -> T + Send) -> StoreResult<T> {
        self.delay().await;
        let done = {
            let mut inner = self.lock();
            match inner.faults.call() {
                None => Ok(act(&mut inner)),
                Some(acted) => {
                    if acted {
                        act(&mut inner);
                    }
                    Err(unavailable())
                }
            }
        };
        self.delay().await;
        done
    }
}

fn unavailable() -> EventStoreError {
    EventStoreError::Unavailable("a fault that the test asked for".to_owned())
}

impl Inner {
    fn append(&mut self, batch: Vec<AppendItem>) -> StoreResult<Vec<Appended>> {
        self.appends += 1;
        let fault = self.faults.append();
        match fault {
            AppendFault::FailsBefore => return Err(unavailable()),
            AppendFault::UnknownBefore => return Ok(vec![Appended::Unknown; batch.len()]),
            AppendFault::Nothing
            | AppendFault::ReplyLost
            | AppendFault::LandsInPart
            | AppendFault::UnknownAfter
            | AppendFault::Full => {}
        }
        let answers = batch.into_iter().map(|item| self.append_item(item, fault)).collect();
        match fault {
            AppendFault::ReplyLost | AppendFault::LandsInPart => Err(unavailable()),
            AppendFault::Nothing
            | AppendFault::FailsBefore
            | AppendFault::UnknownBefore
            | AppendFault::UnknownAfter
            | AppendFault::Full => Ok(answers),
        }
    }

    fn append_item(&mut self, item: AppendItem, fault: AppendFault) -> Appended {
        if fault == AppendFault::Full && !item.may_use_reserve {
            let held = self.streams.holds(&item);
            return if held { Appended::Committed } else { Appended::Full };
        }
        if fault == AppendFault::LandsInPart && !self.faults.lands() {
            return Appended::Unknown;
        }
        if self.faults.rival_comes()
            && let Some(record) = self.rival.as_ref().and_then(|rival| rival(&item))
        {
            self.streams.append(AppendItem {
                subject: item.subject.clone(),
                record,
                payloads: Vec::new(),
                wake: item.wake,
                may_use_reserve: true,
            });
        }
        match (self.streams.append(item), fault) {
            (Appended::Committed, AppendFault::UnknownAfter) => Appended::Unknown,
            (appended, _) => appended,
        }
    }
}

impl EventStore for MemoryEventStore {
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(self.call(|inner| StoreInfo {
            store_id: inner.store_id.clone(),
            incarnation: inner.incarnation,
            newest_at: inner.streams.newest_at(),
            lease_key: Secret::new(format!("the lease key of {}", inner.store_id)),
        }))
    }

    fn append(&self, batch: Vec<AppendItem>) -> BoxFuture<'_, StoreResult<Vec<Appended>>> {
        Box::pin(async move {
            self.delay().await;
            let answers = self.lock().append(batch);
            self.delay().await;
            answers
        })
    }

    fn read<'a>(
        &'a self,
        subject: &'a SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> BoxFuture<'a, StoreResult<StreamPart>> {
        Box::pin(self.call(move |inner| inner.streams.read(subject, from, bytes_max)))
    }

    fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<WakeUp>>> {
        Box::pin(self.call(move |inner| inner.streams.live(group, until, after.as_ref(), max)))
    }

    fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<SubjectId>>> {
        Box::pin(self.call(move |inner| inner.streams.subjects(group, after.as_ref(), max)))
    }

    fn move_wake_ups(&self, moves: Vec<WakeUpMove>) -> BoxFuture<'_, StoreResult<Vec<bool>>> {
        Box::pin(self.call(move |inner| {
            moves.iter().map(|wanted| inner.streams.move_mark(wanted)).collect()
        }))
    }

    fn mark<'a>(&'a self, subject: &'a SubjectId) -> BoxFuture<'a, StoreResult<Option<WakeUp>>> {
        Box::pin(self.call(move |inner| inner.streams.mark(subject)))
    }

    fn write_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.call(move |inner| {
            for notice in notices {
                inner.streams.write_notices(notice);
            }
        }))
    }

    fn notices(&self, group: GroupId) -> BoxFuture<'_, StoreResult<Vec<AppendNotice>>> {
        Box::pin(self.call(move |inner| inner.streams.notices(group)))
    }

    fn clear_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.call(move |inner| {
            for notice in &notices {
                inner.streams.clear_notice(notice);
            }
        }))
    }

    fn payloads<'a>(
        &'a self,
        subject: &'a SubjectId,
        hashes: &'a [PayloadHash],
    ) -> BoxFuture<'a, StoreResult<Payloads>> {
        Box::pin(self.call(move |inner| {
            hashes.iter().map(|hash| inner.streams.payload(subject, hash)).collect()
        }))
    }

    fn save_snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.call(move |inner| inner.streams.save_snapshot(subject, snapshot)))
    }

    fn snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        Box::pin(self.call(move |inner| inner.streams.snapshot(subject)))
    }

    fn delete<'a>(
        &'a self,
        subject: &'a SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(
            self.call(move |inner| inner.streams.delete(subject, expected, tombstone, keep_until)),
        )
    }
}
