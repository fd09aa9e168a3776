//! What others wrote to a driven subject: told by append notices, and looked for now and then by the driver itself.
//! Always holds: an append notice goes only when its seq was read and the wake-up says that the subject is looked after,
//! or when what it tells of has not come in a minute.

use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::message::Output;
use crate::engine::core::residency::{Slot, TimerKind};
use crate::event_store::contract::AppendNotice;

impl Core {
    pub(in crate::engine::core) fn noticed(&mut self, notices: Vec<AppendNotice>) {
        for notice in notices {
            let known = self.slots.find(&notice.subject);
            let ix = known.unwrap_or_else(|| self.open(&notice.subject, false));
            self.work_on(ix, |core, slot| {
                slot.foreign.are_told(notice.seq, core.now);
                if slot.reading.is_ready() && slot.stage.is_settled() && slot.damaged.is_none() {
                    if slot.seq < notice.seq {
                        core.catch_up(slot);
                    } else {
                        core.clear_notice(slot);
                    }
                }
            });
        }
    }

    /// An append notice goes when its seq was read, or when what it tells of has not come in a minute (its append failed),
    /// and the wake-up says that the subject is looked after.
    pub(super) fn clear_notice(&mut self, slot: &mut Slot) {
        let (Some(seq), Some(forgotten_at)) = (slot.foreign.noticed(), slot.foreign.forgotten_at())
        else {
            return;
        };
        let waited = self.now >= forgotten_at;
        let early = planted::on(Planted::NoticeClearedEarly);
        // Nothing comes after a deletion.
        let gone = slot.deleted.is_some() && slot.entity.is_none();
        if slot.transient || !(seq <= slot.seq || waited || early || gone) {
            return;
        }
        if slot.entity.is_some() && seq <= slot.seq && !slot.is_awake(self.now) {
            // Whoever appended did not show it: what was retired is shown once more.
            if let Some(ix) = self.slots.find(&slot.subject) {
                self.must_be_shown_whole(ix, slot);
            }
            return self.wake(slot);
        }
        slot.foreign.clear_notice();
        let notices = vec![AppendNotice { subject: slot.subject.clone(), seq }];
        self.outputs.push_back(Output::ClearNotices { notices });
    }

    /// A driver that has not written to a subject for a while looks whether somebody else has, each time after twice as
    /// long: what an engine sent without an append notice while it held the group may land when the subject has long been
    /// loaded here.
    pub(super) fn arm_look(&mut self, ix: u32, slot: &mut Slot) {
        if !self.settings.alone && !slot.transient {
            let at = slot.foreign.looked_for_at();
            self.arm_once(ix, slot, at, TimerKind::Look);
        }
    }

    /// Answers whether it is time to look; an append that committed meanwhile has proven that nobody else wrote.
    pub(super) fn look_is_due(&mut self, ix: u32, slot: &mut Slot) -> bool {
        let due = self.now >= slot.foreign.looked_for_at();
        if due {
            let is_last = self.ownership.former_are_over(self.now);
            slot.foreign.are_looked_for(self.now, is_last);
        }
        self.arm_look(ix, slot);
        due
    }
}
