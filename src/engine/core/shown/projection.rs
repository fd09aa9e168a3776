//! What the view must show: dirty subjects become documents at commit points, folded, one flush at a time. A document
//! is made only of a committed state. When much changes, what is over goes first and what still runs waits a little
//! longer, so that a short job costs one document and not one for each of its steps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::ids::{Millis, SubjectId};

use super::document::document;
use super::pages::Pages;
use crate::engine::core::kinds::{Entity, EntityEvent};
use crate::engine::core::message::Output;
use crate::view::contract::Document;

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

/// How far the view has followed one subject.
/// Legal: `flushing` is set while a document of it waits for a flush or is being flushed, and never beyond that; a
/// subject that is not dirty, not flushing and shown up to its seq is shown as it is.
#[derive(Debug, Default)]
pub(crate) struct SlotView {
    /// The view shows less than the stream, and no document is made of it yet.
    dirty: bool,
    /// The seq the view shows durably.
    shown: u64,
    /// The seq of the document that is being flushed or waits for it.
    flushing: Option<u64>,
    /// Pages of its nodes that the view does not show as they are.
    pages: Pages,
}

impl SlotView {
    /// It is retired: whoever retired it has shown it up to here.
    pub(crate) fn is_shown(&mut self, seq: u64) {
        self.shown = seq;
    }

    /// The seq the view shows durably.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// Whether a document of it will be made anyway.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(crate) fn is_flushing(&self) -> bool {
        self.flushing.is_some()
    }

    /// Whether the view shows it with all pages of its nodes, up to this seq.
    pub(crate) fn is_whole(&self, seq: u64) -> bool {
        !self.dirty && self.shown == seq && self.pages.is_empty()
    }
}

/// A subject at a commit point, to be shown.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    pub(crate) subject: &'a SubjectId,
    pub(crate) entity: Option<&'a Entity>,
    pub(crate) seq: u64,
}

/// What is not shown yet.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// Pages of nodes are shown too: only where a view has readers for them.
    node_pages: bool,
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
    pub(crate) fn new(node_pages: bool) -> Self {
        Self { node_pages, ..Self::default() }
    }

    /// A subject changed then, or is as good as changed: the view must show it. `is_over`: it will not change again.
    pub(crate) fn changed(&mut self, ix: u32, view: &mut SlotView, at: Millis, is_over: bool) {
        view.dirty = true;
        // Most changes find their subject waiting already.
        if self.dirty.get(&ix).is_none_or(|since| *since > at) {
            self.take(ix);
            self.dirty.insert(ix, at);
            self.by_age.insert((at, ix));
        }
        if is_over {
            self.over.push_back(ix);
        }
    }

    /// Takes note of what events changed of a job's nodes.
    pub(crate) fn note_pages(
        &mut self,
        ix: u32,
        view: &mut SlotView,
        entity: Option<&Entity>,
        events: &[EntityEvent],
        now: Millis,
    ) {
        let Some(job) = entity.and_then(Entity::job).filter(|_| self.node_pages) else { return };
        view.pages.note(events, job.nodes.len());
        if !view.pages.is_empty() {
            self.pages_wait(ix, now);
        }
    }

    /// What is shown of the nodes may be anything: all pages are made anew.
    pub(crate) fn note_all_pages(
        &mut self,
        ix: u32,
        view: &mut SlotView,
        entity: Option<&Entity>,
        now: Millis,
    ) {
        let Some(job) = entity.and_then(Entity::job).filter(|_| self.node_pages) else { return };
        view.pages.all(job.nodes.len());
        self.pages_wait(ix, now);
    }

    /// Whether a document of it waits for its next commit: it was in the middle of an append when it was due.
    pub(crate) fn takes_wait(&mut self, ix: u32) -> bool {
        self.waited.remove(&ix)
    }

    /// Its document is due while an append of it is on its way: it is made at the commit.
    pub(crate) fn waits_for_commit(&mut self, ix: u32) {
        self.waited.insert(ix);
    }

    /// Makes the document of a committed state, for the next flush.
    pub(crate) fn make(
        &mut self,
        ix: u32,
        committed: &Committed<'_>,
        view: &mut SlotView,
        now: Millis,
    ) {
        let Some(since) = self.take(ix) else { return };
        view.dirty = false;
        let entity = committed.entity;
        let made = entity.and_then(|of| document(committed.subject, of, committed.seq));
        let (Some(mut document), Some(entity)) = (made, entity) else {
            if entity.is_some_and(|entity| !entity.is_listed()) {
                view.is_shown(committed.seq);
            }
            self.was_read(ix);
            return;
        };
        let old = now.saturating_sub(NODES_FOLDED_MS);
        let due = self.pages.get(&ix).is_some_and(|since| *since <= old);
        if (due || entity.is_over()) && self.made_nodes < NODES_MAX {
            self.take_pages(ix);
            self.made_nodes += view.pages.take_into(&mut document, entity);
        }
        view.flushing = Some(committed.seq);
        self.made_since = Some(self.made_since.map_or(since, |before| before.min(since)));
        self.made.push(document);
    }

    /// Whether it is time for a flush.
    pub(crate) fn may_flush(&self, now: Millis, every: Millis) -> bool {
        !self.under_way && self.last_flush.saturating_add(every) <= now
    }

    /// The documents that have gathered; none where nothing has: what is in the middle of an append goes with the next.
    pub(crate) fn take_flush(&mut self, now: Millis) -> Option<Output> {
        self.last_flush = now;
        if self.made.is_empty() {
            return None;
        }
        self.under_way = true;
        self.flushing_since = self.made_since.take();
        self.made_nodes = 0;
        Some(Output::Flush { documents: std::mem::take(&mut self.made) })
    }

    /// A flush came back. Answers since when the oldest change in it had waited.
    pub(crate) fn came_back(&mut self, now: Millis) -> Millis {
        self.under_way = false;
        self.flushing_since.take().unwrap_or(now)
    }

    /// A document of a subject is durable, up to this seq.
    pub(crate) fn was_shown(&mut self, ix: u32, view: &mut SlotView, seq: u64) {
        Self::was_flushed(view, seq);
        view.shown = view.shown.max(seq);
        self.was_read(ix);
    }

    /// A document of a subject was lost: it is as old as before, since the view is no less behind for having failed.
    pub(crate) fn was_lost(
        &mut self,
        ix: u32,
        view: &mut SlotView,
        seq: u64,
        since: Millis,
        is_over: bool,
    ) {
        Self::was_flushed(view, seq);
        self.changed(ix, view, since, is_over);
    }

    fn was_flushed(view: &mut SlotView, seq: u64) {
        if view.flushing == Some(seq) {
            view.flushing = None;
        }
    }

    /// Those whose documents are due, at most [`FLUSH_MAX`]: of few all, of many what is over and what is old.
    pub(crate) fn due(&mut self, now: Millis) -> Vec<u32> {
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
    fn pages_wait(&mut self, ix: u32, now: Millis) {
        if let Entry::Vacant(place) = self.pages.entry(ix) {
            place.insert(now);
            self.pages_by_age.insert((now, ix));
        }
    }

    /// Whose pages have waited long enough, at most [`FLUSH_MAX`].
    pub(crate) fn pages_due(&self, now: Millis) -> Vec<u32> {
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

    /// The subject leaves memory, or is not driven here any more.
    pub(crate) fn forget(&mut self, ix: u32, view: &mut SlotView) {
        view.dirty = false;
        view.pages.clear();
        self.take(ix);
        self.take_pages(ix);
        self.waited.remove(&ix);
        self.was_read(ix);
    }

    /// A subject is read from the store. That counts as being behind for who asks to see everything, and not as lag:
    /// however long a start takes to read everything, nothing new is refused for it.
    pub(crate) fn unread(&mut self, ix: u32, since: Millis) {
        self.unread.insert(ix, since);
        self.unread_by_age.insert((since, ix));
    }

    /// A subject is shown as the store has it. Answers since when that was not known.
    pub(crate) fn was_read(&mut self, ix: u32) -> Option<Millis> {
        let since = self.unread.remove(&ix)?;
        self.unread_by_age.remove(&(since, ix));
        Some(since)
    }

    /// Since when the oldest subject came into memory that the view may show as it was before.
    pub(crate) fn unread_since(&self) -> Option<Millis> {
        self.unread_by_age.first().map(|(since, _)| *since)
    }

    /// How far the view is behind.
    pub(crate) fn lag(&self, now: Millis) -> Millis {
        self.unshown_since().map_or(0, |since| (now - since).max(0))
    }

    /// Since when the oldest change waits that the view does not durably show.
    pub(crate) fn unshown_since(&self) -> Option<Millis> {
        let oldest = self.by_age.first().map(|(since, _)| *since);
        [oldest, self.made_since, self.flushing_since].into_iter().flatten().min()
    }

    pub(crate) fn next_due(&self, every: Millis) -> Option<Millis> {
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
