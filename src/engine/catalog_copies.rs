//! Copies of the catalogs that this engine read.
//! Always holds: what `now` gives is the stream's head at some moment after the call, whichever engine appended to it: no copy
//! is used before the tail of its stream was read. Those longest not used go first when they take too much memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::catalog::state::CatalogState;
use domain::catalog::undo::CatalogUndo;
use domain::ids::{Millis, Namespace, SubjectId};

use crate::engine::core::kinds::InTable;
use crate::engine::loader;
use crate::event_store::contract::{ChainHash, EventStore, StoreResult};

/// Memory that copies may take, roughly, in bytes: that of some of the largest.
const BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// A copy that need not be the newest is read again after so long, in milliseconds.
const RECENT_MS: Millis = 900;
/// Namespaces of which a copy is kept, at most.
const COPIES_MAX: usize = 1_000;

/// Copies of the catalogs that this engine read, by namespace.
#[derive(Debug, Default)]
pub(super) struct CatalogCopies {
    copies: Mutex<BTreeMap<Namespace, CopySlot>>,
    /// What was read lately, also that there is nothing, for who may be a second behind.
    recent: Mutex<BTreeMap<Namespace, RecentCopy>>,
}

/// When it was asked for, and what was found.
type RecentCopy = (Millis, Option<Arc<CatalogState>>);

#[derive(Debug, Default)]
struct CopySlot {
    copy: Arc<tokio::sync::Mutex<Option<CatalogCopy>>>,
    /// What it took when it was read last.
    bytes: usize,
    /// Grows with every use of any.
    used: u64,
}

/// A catalog as far as its stream was read.
#[derive(Debug)]
struct CatalogCopy {
    state: Arc<CatalogState>,
    chain: ChainHash,
}

impl CatalogCopies {
    /// A namespace's catalog as it is now; none where nothing was ever kept.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged`.
    pub(super) async fn now(
        &self,
        store: &dyn EventStore,
        namespace: &Namespace,
    ) -> StoreResult<Option<Arc<CatalogState>>> {
        let shared = self.entry(namespace);
        let mut copy = shared.lock().await;
        if let Err(error) = catch_up(store, namespace, &mut copy).await {
            *copy = None;
            return Err(error);
        }
        let state = copy.as_ref().map(|copy| Arc::clone(&copy.state));
        drop(copy);
        self.weigh(namespace, state.as_ref().map_or(0, |state| state.bytes()));
        Ok(state)
    }

    /// What was read within the last second; none: nothing was.
    #[expect(clippy::option_option, reason = "not read, read and nothing there, read and there")]
    pub(super) fn recent(
        &self,
        namespace: &Namespace,
        now: Millis,
    ) -> Option<Option<Arc<CatalogState>>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, state) = recent.get(namespace)?;
        (now.saturating_sub(*at) < RECENT_MS).then(|| state.clone())
    }

    /// Keeps what was read, and was asked for then.
    pub(super) fn was_read(
        &self,
        namespace: &Namespace,
        at: Millis,
        state: Option<Arc<CatalogState>>,
    ) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= COPIES_MAX {
            recent.retain(|_, (kept, _)| at.saturating_sub(*kept) < RECENT_MS);
        }
        if recent.len() < COPIES_MAX {
            recent.insert(namespace.clone(), (at, state));
        }
    }

    /// It was changed through this engine: what was read before is not so any more.
    pub(super) fn changed(&self, namespace: &Namespace) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Namespace, CopySlot>> {
        // Each change under the lock is whole before anything can panic.
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, namespace: &Namespace) -> Arc<tokio::sync::Mutex<Option<CatalogCopy>>> {
        let mut slots = self.slots();
        let newest = slots.values().map(|slot| slot.used).max().unwrap_or(0);
        let slot = slots.entry(namespace.clone()).or_default();
        slot.used = newest + 1;
        Arc::clone(&slot.copy)
    }

    /// Notes how much memory a copy takes, and makes room. A namespace without a catalog keeps no place.
    fn weigh(&self, namespace: &Namespace, bytes: usize) {
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(namespace) {
            slot.bytes = bytes;
        }
        if bytes == 0 {
            slots.remove(namespace);
        }
        while slots.len() > COPIES_MAX
            || slots.values().map(|slot| slot.bytes).sum::<usize>() > BYTES_MAX
        {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used);
            let Some(oldest) = oldest.map(|(namespace, _)| namespace.clone()) else { break };
            slots.remove(&oldest);
        }
    }
}

async fn catch_up(
    store: &dyn EventStore,
    namespace: &Namespace,
    copy: &mut Option<CatalogCopy>,
) -> StoreResult<()> {
    let subject = SubjectId::catalog(namespace.clone());
    let Some(known) = copy else {
        let stream = loader::load(store, &subject).await?;
        let state = stream.entity.and_then(CatalogState::from_entity).map(Arc::new);
        *copy = state.map(|state| CatalogCopy { state, chain: stream.chain });
        return Ok(());
    };
    let tail = loader::tail(store, &subject, known.state.seq, known.chain).await?;
    if !tail.events.is_empty() {
        let state = Arc::make_mut(&mut known.state);
        for event in tail.events.iter().filter_map(CatalogState::of_event) {
            state.apply(event, &mut CatalogUndo::none());
        }
    }
    known.chain = tail.chain;
    Ok(())
}
