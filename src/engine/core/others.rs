//! What others wrote to a driven subject: told by nudges, and looked for now and then by the driver itself, since what
//! an engine sent while it still held the group may land long after it lost it.
//! Always holds: a nudge goes only when its seq was read and the wake mark says that the subject is looked after, or
//! when what it tells of has not come in a minute.

use domain::ids::Millis;
use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::driver::is_over;
use crate::engine::core::message::Output;
use crate::engine::core::slot::{LOOK_TIMER, Phase, Slot};
use crate::event_store::contract::Nudge;

/// A nudge whose append never landed is forgotten after so long.
pub(super) const NUDGES_KEPT_MS: Millis = 60_000;
/// A driver looks for what others wrote to a subject after so long without an append of its own, then after twice as
/// long, and so on, up to the last.
pub(super) const LOOK_FIRST_MS: Millis = 5_000;
/// The last, and at once that of a stream which began here: an engine that may have lost its groups nudges for what it
/// appends, so whoever drove the group before cannot have written to it unheard, but for one that is dead by its records and
/// may not know it (`Core::former_until`).
pub(super) const LOOK_LAST_MS: Millis = 600_000;

impl Core {
    pub(super) fn nudged(&mut self, nudges: Vec<Nudge>) {
        for nudge in nudges {
            let known = self.slots.find(&nudge.subject);
            let ix = known.unwrap_or_else(|| self.open(&nudge.subject, false));
            let Some(mut slot) = self.slots.take(ix) else { continue };
            let before = slot.nudged.filter(|(seq, _)| *seq >= nudge.seq);
            // What tells of more has its own minute: the append before it may never come.
            slot.nudged = before.or(Some((nudge.seq, self.now)));
            if slot.phase == Phase::Ready && slot.is_settled() && slot.damaged.is_none() {
                if slot.seq < nudge.seq {
                    self.catch_up(&mut slot);
                } else {
                    self.clear_nudge(&mut slot);
                }
            }
            self.resume(ix, slot);
        }
    }

    /// A nudge goes when its seq was read, or when what it tells of has not come in a minute (its append failed), and
    /// the wake mark says that the subject is looked after.
    pub(super) fn clear_nudge(&mut self, slot: &mut Slot) {
        let Some((seq, since)) = slot.nudged else { return };
        let waited = self.now >= since.saturating_add(NUDGES_KEPT_MS);
        let early = planted::on(Planted::NudgeClearedEarly);
        // Nothing comes after a deletion.
        let gone = slot.deleted.is_some() && slot.entity.is_none();
        if slot.guest || !(seq <= slot.seq || waited || early || gone) {
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
        slot.nudged = None;
        let nudges = vec![Nudge { subject: slot.subject.clone(), seq }];
        self.outputs.push_back(Output::ClearNudges { nudges });
    }

    /// A driver that has not written to a subject for a while looks whether somebody else has, each time after twice as
    /// long: what an engine sent without a nudge while it held the group may land when the subject has long been loaded
    /// here.
    pub(super) fn arm_look(&mut self, ix: u32, slot: &mut Slot) {
        if !self.settings.alone && !slot.guest {
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
