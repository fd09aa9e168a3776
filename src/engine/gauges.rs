//! What the executor publishes after each turn, and what is remembered of others: read by anybody, without asking the core.
//! Absent: any decision that rests on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use domain::ids::{GroupId, Millis, Namespace};

use crate::engine::core::CoreCounts;
use crate::engine::core::message::{EngineId, QueueFacts};
use crate::telemetry::metrics::NOTICES;

/// A view lags behind by no more than this, or new jobs are refused (`view_lag_max_ms`).
pub(super) const BEHIND_MS: Millis = 5_000;
/// An engine whose groups are taken has last acknowledged something before that, milliseconds: its tenure, and the look that
/// finds it over.
pub(super) const UNHEARD_MS: Millis = 12_000;

/// Numbers that the executor publishes after each turn, for metrics and health.
#[derive(Debug, Default)]
pub struct Gauges {
    pub(super) counts: Mutex<CoreCounts>,
    pub(super) turned_at: AtomicU64,
    /// Milliseconds that the clock stepped forward in all.
    pub(super) clock_stepped: AtomicU64,
    /// A bit for each urgency that the core refuses.
    pub(super) refused: AtomicU8,
    pub(super) view_whole: AtomicBool,
    pub(super) store_ok: AtomicBool,
    /// The last flush found no room.
    pub(super) view_full: AtomicBool,
    /// Driven groups in which what is due was not looked for yet: nobody knows what is in them.
    pub(super) unscanned_groups: Mutex<BTreeSet<GroupId>>,
    /// The groups that it drives.
    pub(super) driven: Mutex<Vec<GroupId>>,
    /// Why the view takes no more documents.
    pub(super) view_ended: OnceLock<String>,
    pub(super) by_group: Mutex<ByGroup>,
    /// Some of the queues in use, as they were when they were looked at last.
    pub(super) queues_in_use: Mutex<Vec<(Namespace, QueueFacts)>>,
    /// What groups that were taken hold and the view may lack begins then; none: all of them are read and shown.
    pub(super) acquired_view_gap: Mutex<Option<Millis>>,
    /// Until when other engines said that the view shows all of theirs, and when they were asked.
    pub(super) others_shown: Mutex<BTreeMap<EngineId, (Millis, Millis)>>,
}

/// Numbers for each of the groups, by its index; those that are not driven are 0, but for transient subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByGroup {
    /// Subjects in memory.
    pub subjects: Vec<u32>,
    /// Streams that are being read.
    pub reading: Vec<u32>,
}

impl Gauges {
    pub(super) fn driven(&self) -> MutexGuard<'_, Vec<GroupId>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unscanned_groups(&self) -> MutexGuard<'_, BTreeSet<GroupId>> {
        self.unscanned_groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn by_group(&self) -> MutexGuard<'_, ByGroup> {
        self.by_group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queues_in_use(&self) -> MutexGuard<'_, Vec<(Namespace, QueueFacts)>> {
        self.queues_in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acquired_view_gap(&self) -> MutexGuard<'_, Option<Millis>> {
        self.acquired_view_gap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn others_shown(&self) -> MutexGuard<'_, BTreeMap<EngineId, (Millis, Millis)>> {
        self.others_shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts append notices on their way between engines.
pub(super) fn count_notices(way: &'static str, count: usize) {
    metrics::counter!(NOTICES, "way" => way).increment(count as u64);
}
