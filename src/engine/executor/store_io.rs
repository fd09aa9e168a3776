//! What the executor does outside: appends with their append notices, flushes, the ways to other engines, and the look for
//! subjects of driven groups that become due.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::{GroupId, Millis, SubjectId};

use super::outage::Look;
use super::{Executor, MARKS_PAGE};
use crate::engine::core::CoreSettings;
use crate::engine::core::message::{EngineId, Input};
use crate::engine::deletion;
use crate::engine::gauges::count_notices;
use crate::environment::fail_points::{self, Point};
use crate::event_store::contract::{
    AppendItem, AppendNotice, Appended, ChainHash, EventStore, EventStoreError, Snapshot,
    StoreResult, WakeUpMove,
};
use crate::telemetry::metrics::{APPEND_DURATION, APPEND_EVENTS};
use crate::view::contract::{Document, View, ViewError, ViewResult};

/// After so long subjects are looked for again that could not be loaded, or whose marks could not be moved.
pub(super) const LOOK_EVERY_MS: Millis = 5_000;
/// How seldom at most parked subjects are looked for: no clock is trusted for longer.
const LOOK_SELDOM_MS: Millis = 60_000;

impl Executor {
    pub(super) fn append(&mut self, notices: Vec<AppendNotice>, items: Vec<AppendItem>) {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let too_long = clock.sleep(self.append_deadline);
        let events: u32 = items.iter().map(|item| item.record.count).sum();
        self.under_way += 1;
        self.spawn(async move {
            let began = clock.monotonic();
            let subjects: Vec<SubjectId> = items.iter().map(|item| item.subject.clone()).collect();
            let append = append(store.as_ref(), notices, items);
            let outcome = tokio::select! {
                outcome = append => outcome,
                () = too_long => Err(EventStoreError::Unavailable("no answer in time".to_owned())),
            };
            fail_points::pass(Point::Appended);
            metrics::histogram!(APPEND_DURATION).record(clock.monotonic().saturating_sub(began));
            metrics::histogram!(APPEND_EVENTS).record(f64::from(events));
            Some(Input::Appended { subjects, outcome })
        });
    }

    pub(super) fn move_wake_ups(&mut self, moves: Vec<WakeUpMove>) {
        let store = Arc::clone(&self.store);
        self.under_way += 1;
        self.spawn(async move {
            fail_points::pass(Point::MoveWakeUps);
            let result = store.move_wake_ups(moves.clone()).await;
            fail_points::pass(Point::WakeUpsMoved);
            Some(Input::WakeUpsMoved { moves, result })
        });
    }

    pub(super) fn clear_notices(&self, notices: Vec<AppendNotice>) {
        let (store, outages) = (Arc::clone(&self.store), Arc::clone(&self.outages));
        self.spawn(async move {
            fail_points::pass(Point::ClearNotices);
            match store.clear_notices(notices).await {
                Ok(()) => _ = outages.notices.ends(),
                Err(error) if outages.notices.begins() => {
                    tracing::warn!(%error, "append notices stay for the next look");
                }
                Err(_) => {}
            }
            fail_points::pass(Point::NoticesCleared);
            None
        });
    }

    pub(super) fn keep_snapshot(&self, subject: SubjectId, snapshot: Snapshot) {
        let (store, outages) = (Arc::clone(&self.store), Arc::clone(&self.outages));
        self.spawn(async move {
            fail_points::pass(Point::KeepSnapshot);
            match store.save_snapshot(&subject, snapshot).await {
                Ok(()) => _ = outages.snapshots.ends(),
                Err(error) if outages.snapshots.begins() => {
                    tracing::warn!(%subject, %error, "snapshots are not kept for now");
                }
                Err(_) => {}
            }
            fail_points::pass(Point::SnapshotKept);
            None
        });
    }

    pub(super) fn flush(&mut self, documents: Vec<Document>) {
        let (view, gauges) = (Arc::clone(&self.view), Arc::clone(&self.gauges));
        let outages = Arc::clone(&self.outages);
        self.under_way += 1;
        self.spawn(async move {
            let shown: Vec<_> =
                documents.iter().map(|document| (document.subject.clone(), document.seq)).collect();
            let durable = flush(view.as_ref(), documents).await;
            gauges.view_full.store(matches!(durable, Err(ViewError::Full)), Ordering::Relaxed);
            match &durable {
                Ok(()) if outages.documents.ends() => tracing::info!("documents are shown again"),
                Err(error) if outages.documents.begins() => {
                    tracing::warn!(%error, "documents are not shown: they are flushed again");
                }
                Ok(()) | Err(_) => {}
            }
            if let Err(ViewError::Damaged(reason)) = &durable {
                // The first reason stays.
                let _ = gauges.view_ended.set(reason.clone());
            }
            Some(Input::Flushed { shown, durable: durable.is_ok() })
        });
    }

    /// Takes the stream of a deleted job away.
    pub(super) fn remove(
        &mut self,
        subject: SubjectId,
        seq: u64,
        chain: ChainHash,
        keep_until: Millis,
    ) {
        let store = Arc::clone(&self.store);
        self.under_way += 1;
        self.spawn(async move {
            let result = deletion::remove(store.as_ref(), &subject, seq, chain, keep_until).await;
            Some(Input::Removed { subject, result })
        });
    }

    /// Drives these groups from now on. What is in those that are new is not known before the next look.
    pub(super) fn drive(&mut self, groups: Vec<GroupId>) {
        let mut unscanned_groups = self.gauges.unscanned_groups();
        unscanned_groups.retain(|group| groups.contains(group));
        unscanned_groups.extend(groups.iter().filter(|group| !self.groups.contains(group)));
        drop(unscanned_groups);
        self.gauges.driven().clone_from(&groups);
        let at = (self.clock.monotonic(), self.clock.now_ms());
        self.reads.drives(&groups, &self.groups, at);
        self.groups = groups;
    }

    /// Looks for subjects of driven groups that are due soon, and for what other engines wrote.
    pub(super) fn look_for_due(&self, until: Millis) {
        let look = Arc::new(Look::new(Arc::clone(&self.outages), Arc::clone(&self.look_again)));
        for group in self.groups.clone() {
            let (store, returns) = (Arc::clone(&self.store), self.returns.clone());
            let notices = !self.alone;
            let (look, gauges) = (Arc::clone(&look), Arc::clone(&self.gauges));
            self.spawn(async move {
                let mut after = None;
                loop {
                    match store.live(group, until, after.clone(), MARKS_PAGE).await {
                        Ok(mut marks) => {
                            let last = marks.last().map(|mark| mark.subject.clone());
                            let whole = marks.len() < MARKS_PAGE;
                            if !marks.is_empty() {
                                // Loaded in this order: what waits for longest first.
                                marks.sort_by_key(|mark| mark.due);
                                let _ = returns.send(Input::Due { marks, whole: Vec::new() });
                            }
                            after = last;
                            if whole {
                                // After the word of it: who waits for the look hears of what it found.
                                gauges.unscanned_groups().remove(&group);
                                break;
                            }
                        }
                        Err(error) => {
                            look.failed(group, "subjects that are due", &error);
                            return None;
                        }
                    }
                }
                // Behind all that it found, also where that is nothing: a turn takes note of it.
                let whole = Input::Due { marks: Vec::new(), whole: vec![group] };
                if !notices {
                    return Some(whole);
                }
                match store.notices(group).await {
                    Ok(notices) => {
                        count_notices("read", notices.len());
                        if !notices.is_empty() {
                            let _ = returns.send(Input::Notices { notices });
                        }
                        Some(whole)
                    }
                    Err(error) => {
                        look.failed(group, "append_notices", &error);
                        None
                    }
                }
            });
        }
    }
}

/// A subject is parked only for what is further away than `park_after_ms`: a look that reaches so far, as often, finds
/// it in time. All marks of living subjects are read each time, and those that have left memory meanwhile are loaded
/// for nothing, so it should be seldom. What others wrote is read at each renewal of the lease on the groups
/// (`Cluster::read_notices`), and by the look that follows a taking over.
pub(super) fn look_every_ms(settings: &CoreSettings) -> Millis {
    settings.park_after_ms.clamp(LOOK_EVERY_MS, LOOK_SELDOM_MS)
}

pub(super) fn driven(drivers: &[Option<EngineId>], me: EngineId) -> Vec<GroupId> {
    GroupId::all()
        .filter(|group| drivers.get(usize::from(group.index())).copied().flatten() == Some(me))
        .collect()
}

/// Append notices are durable before what they tell of.
pub(super) async fn append(
    store: &dyn EventStore,
    notices: Vec<AppendNotice>,
    items: Vec<AppendItem>,
) -> StoreResult<Vec<Appended>> {
    if !notices.is_empty() {
        fail_points::pass(Point::AppendNotice);
        count_notices("written", notices.len());
        store.write_notices(notices).await?;
        fail_points::pass(Point::Noticed);
    }
    fail_points::pass(Point::Append);
    store.append(items).await
}

pub(super) async fn flush(view: &dyn View, documents: Vec<Document>) -> ViewResult<()> {
    fail_points::pass(Point::Flush);
    view.flush(documents).await?;
    view.sync().await?;
    fail_points::pass(Point::Flushed);
    Ok(())
}
