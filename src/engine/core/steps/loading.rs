//! Subjects coming into memory and leaving it. A driven subject comes when its wake-up is due, when somebody asks or
//! when somebody else appended to it; it leaves when it is over and the view durably shows it, or when all it waits
//! for is far away. Its wake-up is right before it goes.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::message::{ASKED, Failure, LoadedStream, LoadedTail, Output};
use crate::engine::core::residency::{Phase, Slot, TimerKind};
use crate::engine::core::retry_counts::SlotRetries;
use crate::engine::core::shown::deleted_until;
use crate::event_store::contract::{AppendNotice, EventStoreError, WakeUpMove};

/// A wake-up that could not be moved is tried again after so long.
const LEAVE_AGAIN_MS: Millis = 1_000;
/// Subjects looked at for leaving in one turn.
const LEAVES_MAX: usize = 2_000;

/// What becomes of a subject after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// It stays, and goes on with what waits.
    GoesOn,
    /// It stays as it is: something is under way.
    Rests,
    /// It leaves memory.
    Leaves,
}

impl Core {
    /// Has the wake-up moved to now, before anything is appended or an append notice is forgotten.
    pub(super) fn wake(&mut self, slot: &mut Slot) {
        slot.reading.becomes(Phase::Waking);
        self.parking.move_wake_up(slot, Some(self.now));
    }

    /// Works on a subject, which leaves memory or stays as the work says.
    fn stays_or_leaves(&mut self, ix: u32, work: impl FnOnce(&mut Self, &mut Slot) -> Stay) {
        let stay = self.with_slot(ix, |core, slot| {
            let stay = work(core, slot);
            match stay {
                Stay::GoesOn => core.resume(ix, slot),
                Stay::Rests => {}
                Stay::Leaves => core.forget(ix, slot),
            }
            stay
        });
        if stay == Some(Stay::Leaves) {
            self.slots.remove(ix);
        }
    }

    pub(in crate::engine::core) fn loaded(
        &mut self,
        subject: &SubjectId,
        result: Result<Box<LoadedStream>, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        self.unread.has_read(ix);
        self.stays_or_leaves(ix, |core, slot| match result {
            Ok(stream) => {
                core.take_in(ix, slot, *stream);
                Stay::GoesOn
            }
            Err(EventStoreError::Damaged { reason, .. }) => {
                tracing::error!(subject = %subject, %reason, "a stream cannot be read: the subject is parked");
                core.forget(ix, slot);
                slot.reading.becomes(Phase::Ready);
                slot.damaged = Some(reason);
                Stay::GoesOn
            }
            Err(error) => {
                // Who waits is told; the subject is read again when it is asked for or looked for.
                tracing::warn!(subject = %subject, %error, "a stream could not be read");
                core.unload(ix, slot)
            }
        });
        self.meet_claims(ix);
    }

    /// What is stored of it is not known now: who waits is told, and it is read again when it is asked or looked for.
    fn unload(&mut self, ix: u32, slot: &mut Slot) -> Stay {
        self.forget(ix, slot);
        if self.routing.drives(&slot.subject) {
            self.unread.is_unread(slot.subject.group());
        }
        slot.transient = true;
        self.refuse_all(ix, slot, &Failure::Unavailable);
        Stay::Leaves
    }

    fn take_in(&mut self, ix: u32, slot: &mut Slot, stream: LoadedStream) {
        let unread = self.projection.was_read(ix);
        self.forget(ix, slot);
        slot.reading.is_through(slot.queue.len());
        slot.reading.set_stale(false);
        slot.transient = !self.routing.drives(&slot.subject);
        slot.entity = stream.entity;
        slot.retries =
            slot.entity.as_ref().and_then(Entity::job).map(SlotRetries::of).unwrap_or_default();
        slot.deleted = stream.tombstone.and_then(|tombstone| {
            serde_json::from_slice(&tombstone.first_answer).ok().map(Arc::new)
        });
        slot.seq = stream.seq;
        slot.chain = stream.chain;
        slot.read_wake_up(stream.mark.as_ref());
        slot.foreign.were_read(self.now);
        self.count_tenant(slot);
        if slot.transient || slot.entity.is_none() {
            return self.clear_notice(slot);
        }
        // A deletion by another engine may be here before its notice is, and its stream must not go unshown.
        let retired = slot.wakes_at().is_none()
            && slot.is_over()
            && !slot.foreign.has_notice()
            && !slot.is_deleted();
        if retired {
            slot.view.is_shown(slot.seq);
        } else {
            self.must_be_shown_whole(ix, slot);
            if let Some(since) = unread {
                self.projection.unread(ix, since);
            }
            if !planted::on(Planted::EffectForgottenAtLoad) {
                self.refresh_job(ix, slot);
            }
        }
        self.environment_loaded(ix, slot);
        self.clear_notice(slot);
    }

    pub(in crate::engine::core) fn tail(
        &mut self,
        subject: &SubjectId,
        after: u64,
        result: Result<LoadedTail, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        self.work_on(ix, |core, slot| {
            if slot.reading.phase() != Phase::Catching || slot.seq != after {
                return;
            }
            match result {
                Ok(tail) => core.take_in_tail(ix, slot, &tail),
                Err(error) => {
                    tracing::warn!(subject = %subject, %error, "a stream's tail could not be read: it is read whole");
                    core.catch_up_whole(slot);
                }
            }
        });
    }

    fn take_in_tail(&mut self, ix: u32, slot: &mut Slot, tail: &LoadedTail) {
        slot.reading.is_through(slot.queue.len());
        let applied = tail.events.iter().all(|event| match slot.entity.as_mut() {
            Some(entity) => entity.apply(event),
            None => false,
        });
        if !applied {
            self.forget(ix, slot);
            slot.damaged = Some("events of another kind in the stream".to_owned());
            return;
        }
        slot.seq += tail.events.len() as u64;
        slot.chain = tail.chain;
        self.effects(ix, slot, &tail.events);
        self.clear_notice(slot);
    }

    pub(in crate::engine::core) fn wake_ups_moved(
        &mut self,
        moves: &[WakeUpMove],
        result: Result<Vec<bool>, EventStoreError>,
    ) {
        let held: Vec<Option<bool>> = match result {
            Ok(held) => held.into_iter().map(Some).collect(),
            Err(_) => vec![None; moves.len()],
        };
        for (moved, held) in moves.iter().zip(held) {
            let Some(ix) = self.slots.find(&moved.subject) else { continue };
            self.stays_or_leaves(ix, |core, slot| core.wake_up_moved(ix, slot, moved, held));
        }
    }

    /// A wake-up was moved, or not, since somebody else had moved it; none: the store did not answer.
    fn wake_up_moved(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        moved: &WakeUpMove,
        held: Option<bool>,
    ) -> Stay {
        let leaving = slot.reading.phase() == Phase::Leaving;
        if !leaving && slot.reading.phase() != Phase::Waking {
            return Stay::Rests;
        }
        slot.reading.becomes(Phase::Ready);
        match held {
            Some(true) => slot.moved_wake_up(moved.expected, moved.due),
            // Somebody else moved it: read everything again.
            Some(false) => self.catch_up_whole(slot),
            // It may have been moved or not, and only a read tells: appending on a wake-up that is believed would leave a
            // job that no engine finds again. Who looks for what is due, or asks, reads it.
            None => return self.unload(ix, slot),
        }
        let held = held == Some(true);
        if held && !leaving && slot.foreign.has_notice() {
            self.clear_notice(slot);
        }
        if leaving && held && slot.queue.is_empty() && !slot.foreign.has_notice() {
            self.count_leaving(slot);
            return Stay::Leaves;
        }
        Stay::GoesOn
    }

    /// A deleted job's stream is gone, or must be looked at again.
    pub(in crate::engine::core) fn removed(
        &mut self,
        subject: &SubjectId,
        result: Result<bool, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        self.stays_or_leaves(ix, |core, slot| {
            if slot.reading.phase() != Phase::Leaving {
                return Stay::Rests;
            }
            slot.reading.becomes(Phase::Ready);
            match result {
                Ok(true) if slot.queue.is_empty() && !slot.foreign.has_notice() => Stay::Leaves,
                // Who asked meanwhile is answered from the tombstone; another head is somebody else's append.
                Ok(true | false) => {
                    core.catch_up_whole(slot);
                    Stay::Rests
                }
                Err(error) => {
                    tracing::warn!(subject = %subject, %error, "a deleted job's stream stays for now");
                    core.refuse_all(ix, slot, &Failure::Unavailable);
                    let at = core.now.saturating_add(LEAVE_AGAIN_MS);
                    core.arm(ix, slot, at, TimerKind::Job);
                    Stay::Rests
                }
            }
        });
    }

    /// Has the stream read anew. It was in memory, so whoever wants it does so now.
    pub(super) fn catch_up_whole(&mut self, slot: &mut Slot) {
        slot.reading.begins(Phase::Loading, slot.queue.len());
        self.outputs.push_back(Output::Load { subject: slot.subject.clone(), due: ASKED });
    }

    /// Looks which idle subjects may leave memory, and sends the moves of wake-ups that have gathered.
    pub(in crate::engine::core) fn leave(&mut self) {
        for _ in 0..LEAVES_MAX {
            let Some(ix) = self.parking.next() else { break };
            self.stays_or_leaves(ix, |core, slot| {
                let leaves = core.may_leave(ix, slot);
                if leaves {
                    core.count_leaving(slot);
                }
                if leaves { Stay::Leaves } else { Stay::Rests }
            });
        }
        self.outputs.extend(self.parking.take_moves());
    }

    /// A subject whose wake-up is as it should be leaves memory.
    fn count_leaving(&mut self, slot: &Slot) {
        if slot.transient || slot.entity.is_none() {
            return;
        }
        match slot.wakes_at() {
            Some(_) => self.counts.parked += 1,
            None => self.counts.retired += 1,
        }
    }

    /// Answers whether the slot goes at once; where its wake-up must be moved first, that is asked for.
    fn may_leave(&mut self, ix: u32, slot: &mut Slot) -> bool {
        if !slot.is_idle() || slot.view.is_flushing() {
            return false;
        }
        if slot.foreign.has_notice() && !slot.transient && slot.damaged.is_none() {
            // It came while something was under way, or tells of an append that has not come. The store may have
            // lost it to another driver by now: nobody will tell of it again.
            self.clear_notice(slot);
            if let Some(at) = slot.foreign.forgotten_at() {
                self.arm_once(ix, slot, at, TimerKind::Job);
                return false;
            }
        }
        let Some(entity) = slot.entity.as_ref() else {
            return slot.damaged.is_none() || slot.transient;
        };
        if slot.transient {
            return true;
        }
        let shown = slot.view.is_whole(slot.seq);
        if !shown || slot.damaged.is_some() || !slot.asks.is_empty() {
            return false;
        }
        if let Some(at) = entity.removed_at() {
            let keep_until = deleted_until(at);
            let (subject, seq, chain) = (slot.subject.clone(), slot.seq, slot.chain);
            slot.reading.becomes(Phase::Leaving);
            self.outputs.push_back(Output::Remove { subject, seq, chain, keep_until });
            return false;
        }
        let over = entity.is_over();
        // It leaves when it has nothing to do until far enough away.
        let leaves_until = self.now.saturating_add(self.settings.park_after_ms);
        let due = entity.next_due().filter(|next| !over && *next >= leaves_until);
        if !over && due.is_none() {
            return false;
        }
        slot.wakes_at() == due || self.moves_before_it_leaves(ix, slot, due)
    }

    /// Has the wake-up moved of a subject that is to leave; it never leaves before that is done.
    fn moves_before_it_leaves(&mut self, ix: u32, slot: &mut Slot, due: Option<Millis>) -> bool {
        if !self.owns_groups() {
            // Somebody else may drive it by now, and move its wake-up.
            let at = self.now.saturating_add(LEAVE_AGAIN_MS);
            self.arm_once(ix, slot, at, TimerKind::Job);
        } else if !self.settings.alone && slot.foreign.were_never_looked_for() {
            // A former driver may still write to it: not before a look after the load.
            self.arm_look(ix, slot);
        } else {
            let late = planted::on(Planted::WakeUpLate);
            let due = due.map(|due| due.saturating_add(if late { 600_000 } else { 0 }));
            slot.reading.becomes(Phase::Leaving);
            self.parking.move_wake_up(slot, due);
        }
        false
    }

    /// This engine does not drive it any more.
    pub(super) fn become_transient(&mut self, ix: u32) {
        self.work_on(ix, |core, slot| {
            let under_way = slot.stage.writes_up_to();
            if under_way.is_some() || slot.view.shown() < slot.seq {
                // The new driver may have loaded it already, and shows what this engine cannot show any more.
                let seq = under_way.unwrap_or(slot.seq);
                core.commits.notify(AppendNotice { subject: slot.subject.clone(), seq });
            }
            core.forget(ix, slot);
            slot.transient = true;
            // What waits is decided on what the new driver wrote, not on what was known here.
            slot.reading.set_stale(slot.seq > 0);
        });
    }
}
