//! The in-memory view behind the contract.
//! Always holds: a call acts at one point under the lock; a stalled view holds up flushes and nothing else.
//! Absent: any fault that was not asked for.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use domain::ids::{Namespace, SubjectId, SubjectKind};
use futures_util::future::BoxFuture;

use super::documents::Documents;
use super::faults::{FaultSource, Faults};
use crate::chance::give_way;
use orrery::view::contract::{Document, JobQuery, Page, View, ViewError, ViewResult};

struct Inner {
    documents: Documents,
    faults: FaultSource,
    stalled: bool,
    waiting: Vec<Waker>,
}

/// A view for tests and simulation. Share it by `Arc`.
pub struct MemoryView {
    inner: Mutex<Inner>,
}

impl fmt::Debug for MemoryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryView").finish_non_exhaustive()
    }
}

impl Default for MemoryView {
    fn default() -> Self {
        Self::with_faults(Faults::default())
    }
}

impl MemoryView {
    /// An empty view that belongs to no store yet.
    pub fn with_faults(faults: Faults) -> Self {
        Self {
            inner: Mutex::new(Inner {
                documents: Documents::default(),
                faults: FaultSource::new(faults),
                stalled: false,
                waiting: Vec::new(),
            }),
        }
    }

    /// From now on these faults, drawn anew from their seed (the default: none).
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = FaultSource::new(faults);
    }

    /// The view falls behind: flushes do not return until `resume`. Reads show what was flushed before.
    pub fn stall(&self) {
        self.lock().stalled = true;
    }

    /// Lets held-up flushes go on.
    pub fn resume(&self) {
        let waiting = {
            let mut inner = self.lock();
            inner.stalled = false;
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// As a loss of power does: everything flushed since the last `sync` is gone.
    pub fn lose_unsynced(&self) {
        self.lock().documents.lose_unsynced();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, act: impl FnOnce(&mut Inner) -> ViewResult<T> + Send) -> ViewResult<T> {
        let turns = self.lock().faults.turns();
        give_way(turns).await;
        let mut inner = self.lock();
        if inner.faults.call_fails() {
            return Err(unavailable());
        }
        act(&mut inner)
    }

    async fn not_stalled(&self) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.stalled {
                inner.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

fn unavailable() -> ViewError {
    ViewError::Unavailable("a fault that the test asked for".to_owned())
}

impl View for MemoryView {
    fn flush(&self, documents: Vec<Document>) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(async move {
            self.not_stalled().await;
            self.call(move |inner| {
                let cut = inner.faults.flush_cut(documents.len());
                let written = cut.unwrap_or(documents.len());
                for document in documents.into_iter().take(written) {
                    inner.documents.put(document);
                }
                if cut.is_some() { Err(unavailable()) } else { Ok(()) }
            })
            .await
        })
    }

    fn sync(&self) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(self.call(|inner| {
            inner.documents.sync();
            Ok(())
        }))
    }

    fn documents<'a>(
        &'a self,
        subjects: &'a [SubjectId],
    ) -> BoxFuture<'a, ViewResult<Vec<Option<Document>>>> {
        Box::pin(self.call(move |inner| {
            Ok(subjects.iter().map(|subject| inner.documents.get(subject)).collect())
        }))
    }

    fn jobs(&self, query: JobQuery) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(self.call(move |inner| Ok(inner.documents.jobs(&query))))
    }

    fn named(
        &self,
        namespace: Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(
            self.call(move |inner| Ok(inner.documents.named(&namespace, kind, page, page_size))),
        )
    }

    fn adopt<'a>(&'a self, store_id: &'a str, complete: bool) -> BoxFuture<'a, ViewResult<bool>> {
        Box::pin(self.call(move |inner| Ok(inner.documents.adopt(store_id, complete))))
    }
}
