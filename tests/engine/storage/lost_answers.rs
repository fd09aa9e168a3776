//! Execute and time out: a real store behind a way on which answers are lost. Every call acts; then its caller hears
//! nothing (`some`), or the way itself calls again and passes the second answer on (`all_repeated`), as whoever writes
//! the same thing again does.
//! Always holds: which answers are lost follows from the seed and the order of the calls alone.

use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::{GroupId, Millis, Namespace, SubjectId, SubjectKind};
use futures_util::future::BoxFuture;
use orrery::event_store::contract::{
    AppendItem, AppendNotice, Appended, EventStore, EventStoreError, PayloadHash, Payloads,
    Snapshot, StoreInfo, StoreResult, StreamPart, Tombstone, WakeUp, WakeUpMove,
};
use orrery::view::contract::{Document, JobQuery, Page, View, ViewError, ViewResult};

use crate::simulation::dice::Dice;

/// What becomes of answers.
#[derive(Debug)]
enum Way {
    /// Every write that may be repeated is, and its second answer counts.
    Repeats,
    /// So many of a thousand answers to writes are lost.
    Loses { per_mille: u64, dice: Mutex<Dice> },
}

/// A store or a view behind such a way.
#[derive(Debug)]
pub(crate) struct LostAnswers<S> {
    inner: S,
    way: Way,
}

pub(crate) type LossyStore = LostAnswers<Arc<dyn EventStore>>;
pub(crate) type LossyView = LostAnswers<Arc<dyn View>>;

impl<S> LostAnswers<S> {
    pub(crate) fn all_repeated(inner: S) -> Self {
        Self { inner, way: Way::Repeats }
    }

    pub(crate) fn some(inner: S, seed: u64, per_mille: u64) -> Self {
        Self { inner, way: Way::Loses { per_mille, dice: Mutex::new(Dice::new(seed)) } }
    }

    fn repeats(&self) -> bool {
        matches!(self.way, Way::Repeats)
    }

    fn is_lost(&self) -> bool {
        match &self.way {
            Way::Repeats => false,
            Way::Loses { per_mille, dice } => {
                dice.lock().unwrap_or_else(PoisonError::into_inner).chance(*per_mille)
            }
        }
    }

    fn heard<T>(&self, answer: StoreResult<T>) -> StoreResult<T> {
        if self.is_lost() {
            return Err(EventStoreError::Unavailable("the answer was lost".to_owned()));
        }
        answer
    }

    fn seen<T>(&self, answer: ViewResult<T>) -> ViewResult<T> {
        if self.is_lost() {
            return Err(ViewError::Unavailable("the answer was lost".to_owned()));
        }
        answer
    }
}

/// Writes, then writes again when answers are repeated, and hears what is to be heard.
macro_rules! written {
    ($way:expr, $heard:ident, $first:expr, $again:expr) => {
        Box::pin(async move {
            let mut answer = $first.await;
            if $way.repeats() {
                answer = $again.await;
            }
            $way.$heard(answer)
        })
    };
}

impl EventStore for LossyStore {
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.inner.info()
    }

    fn append(&self, batch: Vec<AppendItem>) -> BoxFuture<'_, StoreResult<Vec<Appended>>> {
        let again = batch.clone();
        written!(self, heard, self.inner.append(batch), self.inner.append(again))
    }

    fn read<'a>(
        &'a self,
        subject: &'a SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> BoxFuture<'a, StoreResult<StreamPart>> {
        self.inner.read(subject, from, bytes_max)
    }

    fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<WakeUp>>> {
        self.inner.live(group, until, after, max)
    }

    fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<SubjectId>>> {
        self.inner.subjects(group, after, max)
    }

    /// A move may not be repeated: its number is another by then.
    fn move_wake_ups(&self, moves: Vec<WakeUpMove>) -> BoxFuture<'_, StoreResult<Vec<bool>>> {
        Box::pin(async move { self.heard(self.inner.move_wake_ups(moves).await) })
    }

    fn mark<'a>(&'a self, subject: &'a SubjectId) -> BoxFuture<'a, StoreResult<Option<WakeUp>>> {
        self.inner.mark(subject)
    }

    fn write_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        let again = notices.clone();
        written!(self, heard, self.inner.write_notices(notices), self.inner.write_notices(again))
    }

    fn notices(&self, group: GroupId) -> BoxFuture<'_, StoreResult<Vec<AppendNotice>>> {
        self.inner.notices(group)
    }

    fn clear_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>> {
        let again = notices.clone();
        written!(self, heard, self.inner.clear_notices(notices), self.inner.clear_notices(again))
    }

    fn payloads<'a>(
        &'a self,
        subject: &'a SubjectId,
        hashes: &'a [PayloadHash],
    ) -> BoxFuture<'a, StoreResult<Payloads>> {
        self.inner.payloads(subject, hashes)
    }

    fn save_snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let again = snapshot.clone();
        written!(
            self,
            heard,
            self.inner.save_snapshot(subject, snapshot),
            self.inner.save_snapshot(subject, again)
        )
    }

    fn snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.inner.snapshot(subject)
    }

    fn delete<'a>(
        &'a self,
        subject: &'a SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let again = tombstone.clone();
        written!(
            self,
            heard,
            self.inner.delete(subject, expected, tombstone, keep_until),
            self.inner.delete(subject, expected, again, keep_until)
        )
    }
}

impl View for LossyView {
    fn flush(&self, documents: Vec<Document>) -> BoxFuture<'_, ViewResult<()>> {
        let again = documents.clone();
        written!(self, seen, self.inner.flush(documents), self.inner.flush(again))
    }

    fn sync(&self) -> BoxFuture<'_, ViewResult<()>> {
        written!(self, seen, self.inner.sync(), self.inner.sync())
    }

    fn documents<'a>(
        &'a self,
        subjects: &'a [SubjectId],
    ) -> BoxFuture<'a, ViewResult<Vec<Option<Document>>>> {
        self.inner.documents(subjects)
    }

    fn jobs(&self, query: JobQuery) -> BoxFuture<'_, ViewResult<Page>> {
        self.inner.jobs(query)
    }

    fn named(
        &self,
        namespace: Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> BoxFuture<'_, ViewResult<Page>> {
        self.inner.named(namespace, kind, page, page_size)
    }

    /// Its answer is about what was before.
    fn adopt<'a>(&'a self, store_id: &'a str, complete: bool) -> BoxFuture<'a, ViewResult<bool>> {
        self.inner.adopt(store_id, complete)
    }
}
