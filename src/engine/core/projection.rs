//! What the view must show: dirty subjects become documents at commit points, folded, one flush at a time. A document
//! is made only of a committed state. When much changes, what is over goes first and what still runs waits a little
//! longer, so that a short job costs one document and not one for each of its steps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::state::JobState;
use domain::job::summary::JobSnapshot;

use crate::engine::core::Core;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::Output;
use crate::engine::core::residency::is_over;
use crate::engine::core::slot::Slot;
use crate::engine::json_text;
use crate::view::contract::{Columns, Document, JobColumns};

/// How long a deleted subject's seq stays in the view, so that no late flush brings it back.
const TOMBSTONE_KEPT_MS: Millis = 24 * 3_600 * 1_000;
/// Most documents are shorter.
const DOCUMENT_BYTES_USUAL: usize = 1_536;
/// Documents of one flush, so that making them holds the core up for few milliseconds.
const FLUSH_MAX: usize = 2_000;
/// With at most so many changed subjects each flush shows all of them. With more, a job of a few moments is shown once,
/// as it ended, and not as it ran too.
const ALL_SHOWN_MAX: usize = 50;
/// States of nodes in one flush, for the same reason: a clone each.
const NODES_MAX: usize = 20_000;
/// The nodes of a job that still runs are shown so seldom, milliseconds: people look at them, nothing else does.
const NODES_FOLDED_MS: Millis = 2_000;
/// With more, one that still runs is shown only when it has been changed for so long, milliseconds.
const FOLDED_MS: Millis = 300;

/// What is not shown yet.
#[derive(Debug, Default)]
pub(super) struct Projection {
    dirty: BTreeMap<u32, Millis>,
    /// The same, oldest first.
    by_age: BTreeSet<(Millis, u32)>,
    /// Those of them that are over, in the order in which they ended: they will not change again.
    over: VecDeque<u32>,
    /// Dirty and in the middle of an append: their documents are made at the next commit.
    waited: BTreeSet<u32>,
    made: Vec<Document>,
    /// States of nodes in them.
    made_nodes: usize,
    /// Since when pages of nodes wait.
    pages: BTreeMap<u32, Millis>,
    /// The same, oldest first.
    pages_by_age: BTreeSet<(Millis, u32)>,
    under_way: bool,
    last_flush: Millis,
    /// When the oldest change was made whose document waits for the next flush.
    made_since: Option<Millis>,
    /// When the oldest change that is being flushed was made.
    flushing_since: Option<Millis>,
    /// Subjects that came into memory and are not shown since: what the view has of them may be older than the store.
    unread: BTreeMap<u32, Millis>,
    /// The same, oldest first.
    unread_by_age: BTreeSet<(Millis, u32)>,
}

impl Projection {
    pub(super) fn dirty(&mut self, ix: u32, now: Millis, over: bool) {
        // Most changes find their subject waiting already.
        if self.dirty.get(&ix).is_none_or(|since| *since > now) {
            self.take(ix);
            self.dirty.insert(ix, now);
            self.by_age.insert((now, ix));
        }
        if over {
            self.over.push_back(ix);
        }
    }

    /// Those whose documents are due, at most [`FLUSH_MAX`]: of few all, of many what is over and what is old.
    fn due(&mut self, now: Millis) -> Vec<u32> {
        if self.dirty.len() <= ALL_SHOWN_MAX {
            self.over.clear();
            return self.by_age.iter().map(|(_, ix)| *ix).collect();
        }
        let old = (now.saturating_sub(FOLDED_MS), u32::MAX);
        let mut due: Vec<u32> =
            self.by_age.range(..=old).map(|(_, ix)| *ix).take(FLUSH_MAX).collect();
        while due.len() < FLUSH_MAX {
            let Some(ix) = self.over.pop_front() else { break };
            due.push(ix);
        }
        due
    }

    /// Pages of this subject's nodes wait to be shown.
    pub(super) fn pages_wait(&mut self, ix: u32, now: Millis) {
        if let Entry::Vacant(place) = self.pages.entry(ix) {
            place.insert(now);
            self.pages_by_age.insert((now, ix));
        }
    }

    /// Whose pages have waited long enough, at most [`FLUSH_MAX`].
    fn pages_due(&self, now: Millis) -> Vec<u32> {
        let old = (now.saturating_sub(NODES_FOLDED_MS), u32::MAX);
        self.pages_by_age.range(..=old).map(|(_, ix)| *ix).take(FLUSH_MAX).collect()
    }

    fn take_pages(&mut self, ix: u32) {
        if let Some(since) = self.pages.remove(&ix) {
            self.pages_by_age.remove(&(since, ix));
        }
    }

    fn take(&mut self, ix: u32) -> Option<Millis> {
        let since = self.dirty.remove(&ix)?;
        self.by_age.remove(&(since, ix));
        Some(since)
    }

    pub(super) fn forget(&mut self, ix: u32) {
        self.take(ix);
        self.take_pages(ix);
        self.waited.remove(&ix);
        self.read(ix);
    }

    /// A subject is read from the store. That counts as being behind for who asks to see everything, and not as lag:
    /// however long a start takes to read everything, nothing new is refused for it.
    pub(super) fn unread(&mut self, ix: u32, since: Millis) {
        self.unread.insert(ix, since);
        self.unread_by_age.insert((since, ix));
    }

    /// Answers since when it was not.
    pub(super) fn read(&mut self, ix: u32) -> Option<Millis> {
        let since = self.unread.remove(&ix)?;
        self.unread_by_age.remove(&(since, ix));
        Some(since)
    }

    /// Since when the oldest subject came into memory that the view may show as it was before.
    pub(super) fn unread_since(&self) -> Option<Millis> {
        self.unread_by_age.first().map(|(since, _)| *since)
    }

    /// How far the view is behind.
    pub(super) fn lag(&self, now: Millis) -> Millis {
        self.unshown_since().map_or(0, |since| (now - since).max(0))
    }

    /// Since when the oldest change waits that the view does not durably show.
    pub(super) fn unshown_since(&self) -> Option<Millis> {
        let oldest = self.by_age.first().map(|(since, _)| *since);
        [oldest, self.made_since, self.flushing_since].into_iter().flatten().min()
    }

    pub(super) fn next_due(&self, every: Millis) -> Option<Millis> {
        if self.under_way {
            return None;
        }
        let next = self.last_flush.saturating_add(every);
        let waits = !self.dirty.is_empty() || !self.made.is_empty();
        let pages =
            self.pages_by_age.first().map(|(since, _)| since.saturating_add(NODES_FOLDED_MS));
        if waits { Some(next) } else { pages.map(|due| due.max(next)) }
    }
}

impl Core {
    /// At a commit: makes the document that a flush waits for.
    pub(super) fn view_if_waited(&mut self, ix: u32, slot: &mut Slot) {
        if self.projection.waited.remove(&ix) {
            self.make_document(ix, slot);
        }
    }

    fn make_document(&mut self, ix: u32, slot: &mut Slot) {
        let Some(since) = self.projection.take(ix) else { return };
        slot.dirty_since = None;
        let document =
            slot.entity.as_ref().and_then(|entity| document(&slot.subject, entity, slot.seq));
        if let Some(mut document) = document {
            let old = self.now.saturating_sub(NODES_FOLDED_MS);
            let due = self.projection.pages.get(&ix).is_some_and(|since| *since <= old);
            if (due || is_over(slot)) && self.projection.made_nodes < NODES_MAX {
                self.projection.take_pages(ix);
                self.projection.made_nodes += Self::take_pages(slot, &mut document);
            }
            slot.flushing = Some(slot.seq);
            let oldest = self.projection.made_since.map_or(since, |before| before.min(since));
            self.projection.made_since = Some(oldest);
            self.projection.made.push(document);
        } else {
            self.projection.read(ix);
        }
    }

    pub(super) fn flush_documents(&mut self) {
        let due =
            self.projection.last_flush.saturating_add(self.settings.view_flush_ms) <= self.now;
        if self.projection.under_way || !due {
            return;
        }
        for ix in self.projection.pages_due(self.now) {
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            if slot.dirty_since.is_none() {
                slot.dirty_since = Some(self.now);
                let over = is_over(slot);
                self.projection.dirty(ix, self.now, over);
            }
        }
        for ix in self.projection.due(self.now) {
            let Some(mut slot) = self.slots.take(ix) else { continue };
            if slot.is_settled() {
                self.make_document(ix, &mut slot);
            } else {
                self.projection.waited.insert(ix);
            }
            self.slots.put(ix, slot);
        }
        if self.projection.made.is_empty() {
            // What is in the middle of an append is made at its commit and goes with the next flush.
            self.projection.last_flush = self.now;
            return;
        }
        self.projection.under_way = true;
        self.projection.flushing_since = self.projection.made_since.take();
        self.projection.last_flush = self.now;
        self.projection.made_nodes = 0;
        let documents = std::mem::take(&mut self.projection.made);
        self.outputs.push_back(Output::Flush { documents });
    }

    pub(super) fn flushed(&mut self, shown: &[(SubjectId, u64)], durable: bool) {
        self.projection.under_way = false;
        let since = self.projection.flushing_since.take().unwrap_or(self.now);
        let mut lost = Vec::new();
        for (subject, seq) in shown {
            let Some(ix) = self.slots.find(subject) else { continue };
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            let over = is_over(slot);
            if slot.flushing == Some(*seq) {
                slot.flushing = None;
            }
            if durable {
                slot.shown = slot.shown.max(*seq);
                self.projection.read(ix);
            } else {
                // As old as before: the view is no less behind for having failed.
                slot.dirty_since.get_or_insert(since);
                self.projection.dirty(ix, since, over);
                lost.push(ix);
            }
            self.leave_checks.insert(ix);
        }
        for ix in lost {
            let Some(mut slot) = self.slots.take(ix) else { continue };
            self.note_all_pages(ix, &mut slot);
            self.slots.put(ix, slot);
        }
    }
}

/// The document that shows a subject after `seq` events.
pub(in crate::engine) fn document(
    subject: &SubjectId,
    entity: &Entity,
    seq: u64,
) -> Option<Document> {
    let (columns, body) = match entity {
        Entity::Job(job) if job.head.deleted => {
            let keep_until = deleted_until(job.head.updated_at);
            (Columns::Deleted { keep_until }, Some(String::new()))
        }
        Entity::Job(job) => {
            let summary = JobSnapshot::of(job).summary_as_changed();
            (Columns::Job(Box::new(columns(job))), json(&summary))
        }
        Entity::Environment(environment) if environment.deleted => {
            let keep_until = deleted_until(environment.updated_at);
            (Columns::Deleted { keep_until }, Some(String::new()))
        }
        Entity::Environment(environment) => {
            let name = environment.name.to_string();
            (Columns::Named { name }, json(&environment.summary()))
        }
    };
    let body: Arc<str> = Arc::from(body?);
    Some(Document { subject: subject.clone(), seq, columns, body, nodes: Vec::new() })
}

/// Until when it is remembered that something was deleted at `at`, in the stream and in the view.
pub(super) fn deleted_until(at: Millis) -> Millis {
    at.saturating_add(TOMBSTONE_KEPT_MS)
}

/// One allocation for most documents instead of a few that grow.
fn json(summary: &impl serde::Serialize) -> Option<String> {
    let mut text = Vec::with_capacity(DOCUMENT_BYTES_USUAL);
    json_text::write(&mut text, summary).ok()?;
    String::from_utf8(text).ok()
}

fn columns(job: &JobState) -> JobColumns {
    JobColumns {
        name: job.head.about.name.clone(),
        status: job.head.status.as_str(),
        job_type: job.plan.job_type.clone(),
        environment: job.plan.environment.to_string(),
        parent_job_id: None,
        triggered_by: job.plan.triggered_by.clone(),
        error_class: job.head.error.as_ref().map(|error| error.class.clone()),
        priority: job.head.about.priority,
        tags: job.head.about.tags.clone(),
        created_at: job.head.created_at,
        updated_at: job.head.updated_at,
    }
}
