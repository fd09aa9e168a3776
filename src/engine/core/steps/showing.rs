//! What people see follows what is committed: which subjects must be shown, and the flushes that show them.

use domain::ids::SubjectId;

use crate::engine::core::Core;
use crate::engine::core::residency::Slot;
use crate::engine::core::shown::Committed;

impl Core {
    /// A subject changed: the view must show it.
    pub(super) fn must_be_shown(&mut self, ix: u32, slot: &mut Slot) {
        let is_over = slot.is_over();
        self.projection.changed(ix, &mut slot.view, self.now, is_over);
    }

    /// Nobody knows what the view has of a subject: it must show all of it.
    pub(super) fn must_be_shown_whole(&mut self, ix: u32, slot: &mut Slot) {
        self.must_be_shown(ix, slot);
        let (view, entity) = (&mut slot.view, slot.entity.as_ref());
        self.projection.note_all_pages(ix, view, entity, self.now);
    }

    /// At a commit: makes the document that a flush waits for.
    pub(super) fn show_if_waited(&mut self, ix: u32, slot: &mut Slot) {
        if self.projection.takes_wait(ix) {
            self.make_document(ix, slot);
        }
    }

    fn make_document(&mut self, ix: u32, slot: &mut Slot) {
        let (subject, entity) = (&slot.subject, slot.entity.as_ref());
        let committed = Committed { subject, entity, seq: slot.seq };
        self.projection.make(ix, &committed, &mut slot.view, self.now);
        if !slot.view.is_flushing() {
            // Nothing of it is flushed, so nothing else tells that it may leave.
            self.parking.check(ix);
        }
    }

    pub(in crate::engine::core) fn flush_documents(&mut self) {
        if !self.projection.may_flush(self.now, self.settings.view_flush_ms) {
            return;
        }
        for ix in self.projection.pages_due(self.now) {
            let Some(slot) = self.slots.get_mut(ix).filter(|slot| !slot.view.is_dirty()) else {
                continue;
            };
            let is_over = slot.is_over();
            self.projection.changed(ix, &mut slot.view, self.now, is_over);
        }
        for ix in self.projection.due(self.now) {
            self.with_slot(ix, |core, slot| {
                if slot.stage.is_settled() {
                    core.make_document(ix, slot);
                } else {
                    core.projection.waits_for_commit(ix);
                }
            });
        }
        self.outputs.extend(self.projection.take_flush(self.now));
    }

    pub(in crate::engine::core) fn flushed(&mut self, shown: &[(SubjectId, u64)], durable: bool) {
        let since = self.projection.came_back(self.now);
        let mut lost = Vec::new();
        for (subject, seq) in shown {
            let Some(ix) = self.slots.find(subject) else { continue };
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            if durable {
                self.projection.was_shown(ix, &mut slot.view, *seq);
            } else {
                let is_over = slot.is_over();
                self.projection.was_lost(ix, &mut slot.view, *seq, since, is_over);
                lost.push(ix);
            }
            self.parking.check(ix);
        }
        for ix in lost {
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            let (view, entity) = (&mut slot.view, slot.entity.as_ref());
            self.projection.note_all_pages(ix, view, entity, self.now);
        }
    }
}
