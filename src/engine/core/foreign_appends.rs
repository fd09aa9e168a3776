//! What others wrote to a driven subject: told by append notices, and looked for now and then by the driver itself, since what
//! an engine sent while it still held the group may land long after it lost it.
//! Always holds: an append notice goes only when its seq was read and the wake-up says that the subject is looked after, or
//! when what it tells of has not come in a minute.

use domain::ids::Millis;
use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::message::Output;
use crate::engine::core::residency::is_over;
use crate::engine::core::slot::{LOOK_TIMER, Phase, Slot};
use crate::event_store::contract::AppendNotice;

/// An append notice whose append never landed is forgotten after so long.
pub(super) const NOTICES_KEPT_MS: Millis = 60_000;
/// A driver looks for what others wrote to a subject after so long without an append of its own, then after twice as
/// long, and so on, up to the last.
pub(super) const LOOK_FIRST_MS: Millis = 5_000;
/// The last, and at once that of a stream which began here: an engine that may have lost its groups writes append notices for what it
/// appends, so whoever drove the group before cannot have written to it unheard, but for one that is dead by its records and
/// may not know it (`Core::former_until`).
pub(super) const LOOK_LAST_MS: Millis = 600_000;

impl Core {
    pub(super) fn noticed(&mut self, notices: Vec<AppendNotice>) {
        for notice in notices {
            let known = self.slots.find(&notice.subject);
            let ix = known.unwrap_or_else(|| self.open(&notice.subject, false));
            let Some(mut slot) = self.slots.take(ix) else { continue };
            let before = slot.noticed.filter(|(seq, _)| *seq >= notice.seq);
            // What tells of more has its own minute: the append before it may never come.
            slot.noticed = before.or(Some((notice.seq, self.now)));
            if slot.phase == Phase::Ready && slot.is_settled() && slot.damaged.is_none() {
                if slot.seq < notice.seq {
                    self.catch_up(&mut slot);
                } else {
                    self.clear_notice(&mut slot);
                }
            }
            self.resume(ix, slot);
        }
    }

    /// An append notice goes when its seq was read, or when what it tells of has not come in a minute (its append failed), and
    /// the wake-up says that the subject is looked after.
    pub(super) fn clear_notice(&mut self, slot: &mut Slot) {
        let Some((seq, since)) = slot.noticed else { return };
        let waited = self.now >= since.saturating_add(NOTICES_KEPT_MS);
        let early = planted::on(Planted::NoticeClearedEarly);
        // Nothing comes after a deletion.
        let gone = slot.deleted.is_some() && slot.entity.is_none();
        if slot.transient || !(seq <= slot.seq || waited || early || gone) {
            return;
        }
        let late = slot.mark.1.is_none_or(|due| due > self.now);
        if slot.entity.is_some() && seq <= slot.seq && late {
            // Whoever appended did not show it: what was retired is shown once more.
            if let Some(ix) = self.slots.find(&slot.subject) {
                slot.dirty_since.get_or_insert(self.now);
                self.projection.dirty(ix, self.now, is_over(slot));
                self.note_all_pages(ix, slot);
            }
            return self.wake(slot);
        }
        slot.noticed = None;
        let notices = vec![AppendNotice { subject: slot.subject.clone(), seq }];
        self.outputs.push_back(Output::ClearNotices { notices });
    }

    /// A driver that has not written to a subject for a while looks whether somebody else has, each time after twice as
    /// long: what an engine sent without an append notice while it held the group may land when the subject has long been loaded
    /// here.
    pub(super) fn arm_look(&mut self, ix: u32, slot: &mut Slot) {
        if !self.settings.alone && !slot.transient {
            let at = slot.proven_at.saturating_add(slot.look_after);
            self.arm_once(ix, slot, at, LOOK_TIMER);
        }
    }

    /// Answers whether it is time to look; an append that committed meanwhile has proven that nobody else wrote.
    pub(super) fn look_is_due(&mut self, ix: u32, slot: &mut Slot) -> bool {
        let due = self.now >= slot.proven_at.saturating_add(slot.look_after);
        if due {
            slot.proven_at = self.now;
        }
        // As long as a former driver may write to it unheard no look is the last one before it may leave memory.
        if due && self.now >= self.former_until {
            slot.look_after = slot.look_after.saturating_mul(2).min(LOOK_LAST_MS);
        }
        self.arm_look(ix, slot);
        due
    }
}
