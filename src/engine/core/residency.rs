//! Subjects coming into memory and leaving it. A driven subject comes when its wake-up is due, when somebody asks or
//! when somebody else appended to it; it leaves when it is over and the view durably shows it, or when all it waits
//! for is far away. Its wake-up is right before it goes.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::entity::{Entity, EntityEvent};
use crate::engine::core::foreign_appends::{LOOK_FIRST_MS, NOTICES_KEPT_MS};
use crate::engine::core::message::{ASKED, Failure, LoadedStream, LoadedTail, Output};
use crate::engine::core::projection::deleted_until;
use crate::engine::core::slot::{JOB_TIMER, Phase, Slot};
use crate::event_store::contract::{AppendNotice, EventStoreError, WakeUpMove};

/// A loaded environment grants nothing for so long: those who hold grants are heard first (design, fine print 8).
const GRANTS_AFTER_LOAD_MS: Millis = 2_000;
/// A wake-up for what only a person wakes.
pub(in crate::engine) const NEVER: Millis = Millis::MAX;
/// A wake-up that could not be moved is tried again after so long.
const LEAVE_AGAIN_MS: Millis = 1_000;
/// Subjects looked at for leaving in one turn.
const LEAVES_MAX: usize = 2_000;

impl Core {
    /// Has the wake-up moved to now, before anything is appended or an append notice is forgotten.
    pub(super) fn wake(&mut self, slot: &mut Slot) {
        slot.phase = Phase::Waking;
        self.wake_up_moves.push(WakeUpMove {
            subject: slot.subject.clone(),
            expected: slot.mark.0,
            due: Some(self.now),
        });
    }

    pub(super) fn loaded(
        &mut self,
        subject: &SubjectId,
        result: Result<Box<LoadedStream>, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        let Some(mut slot) = self.slots.take(ix) else { return };
        self.unread.has_read(ix);
        match result {
            Ok(stream) => self.take_in(ix, &mut slot, *stream),
            Err(EventStoreError::Damaged { reason, .. }) => {
                tracing::error!(subject = %subject, %reason, "a stream cannot be read: the subject is parked");
                self.forget(ix, &mut slot);
                slot.phase = Phase::Ready;
                slot.damaged = Some(reason);
            }
            Err(error) => {
                // Who waits is told; the subject is read again when it is asked for or looked for.
                tracing::warn!(subject = %subject, %error, "a stream could not be read");
                self.unload(ix, slot);
                return;
            }
        }
        self.resume(ix, slot);
        self.meet_claims(ix);
    }

    /// What is stored of it is not known now: who waits is told, and it is read again when it is asked or looked for.
    fn unload(&mut self, ix: u32, mut slot: Box<Slot>) {
        self.forget(ix, &mut slot);
        if self.drives(&slot.subject) {
            self.unread.is_unread(slot.subject.group());
        }
        slot.transient = true;
        self.refuse_all(ix, &mut slot, &Failure::Unavailable);
        self.slots.put(ix, slot);
        self.slots.remove(ix);
    }

    fn take_in(&mut self, ix: u32, slot: &mut Slot, stream: LoadedStream) {
        let unread = self.projection.read(ix);
        self.forget(ix, slot);
        slot.has_read();
        slot.stale = false;
        slot.transient = !self.drives(&slot.subject);
        slot.entity = stream.entity;
        slot.deleted = stream.tombstone.and_then(|tombstone| {
            serde_json::from_slice(&tombstone.first_answer).ok().map(Arc::new)
        });
        slot.seq = stream.seq;
        slot.chain = stream.chain;
        slot.mark = stream.mark.map_or((0, None), |mark| (mark.number, Some(mark.due)));
        (slot.proven_at, slot.look_after) = (self.now, LOOK_FIRST_MS);
        self.count_tenant(slot);
        if slot.transient || slot.entity.is_none() {
            return self.clear_notice(slot);
        }
        // A deletion by another engine may be here before its append notice is, and its stream must not go unshown.
        let retired =
            slot.mark.1.is_none() && is_over(slot) && slot.noticed.is_none() && !slot.is_deleted();
        if retired {
            slot.shown = slot.seq;
        } else {
            slot.dirty_since = Some(self.now);
            self.projection.dirty(ix, self.now, is_over(slot));
            self.note_all_pages(ix, slot);
            if let Some(since) = unread {
                self.projection.unread(ix, since);
            }
            if !planted::on(Planted::EffectForgottenAtLoad) {
                self.refresh_job(ix, slot);
            }
        }
        if matches!(slot.entity, Some(Entity::Environment(_))) {
            slot.grants_from = self.now.saturating_add(GRANTS_AFTER_LOAD_MS);
            self.reconcile_grants(ix, slot);
            self.arm_look(ix, slot);
        }
        self.clear_notice(slot);
    }

    pub(super) fn tail(
        &mut self,
        subject: &SubjectId,
        after: u64,
        result: Result<LoadedTail, EventStoreError>,
    ) {
        let Some(ix) = self.slots.find(subject) else { return };
        let Some(mut slot) = self.slots.take(ix) else { return };
        if slot.phase == Phase::Catching && slot.seq == after {
            match result {
                Ok(tail) => self.take_in_tail(ix, &mut slot, &tail),
                Err(error) => {
                    tracing::warn!(subject = %subject, %error, "a stream's tail could not be read: it is read whole");
                    self.catch_up_whole(&mut slot);
                }
            }
        }
        self.resume(ix, slot);
    }

    fn take_in_tail(&mut self, ix: u32, slot: &mut Slot, tail: &LoadedTail) {
        slot.has_read();
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
        let events: Vec<EntityEvent> = tail.events.clone();
        self.effects(ix, slot, &events);
        self.clear_notice(slot);
    }

    pub(super) fn marks_moved(
        &mut self,
        moves: &[WakeUpMove],
        result: Result<Vec<bool>, EventStoreError>,
    ) {
        let unreachable = result.is_err();
        let held = result.unwrap_or_else(|_| vec![false; moves.len()]);
        for (moved, held) in moves.iter().zip(held) {
            let Some(ix) = self.slots.find(&moved.subject) else { continue };
            let Some(mut slot) = self.slots.take(ix) else { continue };
            let leaving = slot.phase == Phase::Leaving;
            if !leaving && slot.phase != Phase::Waking {
                self.slots.put(ix, slot);
                continue;
            }
            slot.phase = Phase::Ready;
            if held {
                slot.mark = match moved.due {
                    Some(due) => (moved.expected + 1, Some(due)),
                    None => (0, None),
                };
            } else if unreachable {
                // It may have been moved or not, and only a read tells: appending on a mark that is believed would
                // leave a job that no engine finds again. Who looks for what is due, or asks, reads it.
                self.unload(ix, slot);
                continue;
            } else {
                // Somebody else moved it: read everything again.
                self.catch_up_whole(&mut slot);
            }
            if held && !leaving && slot.noticed.is_some() {
                self.clear_notice(&mut slot);
            }
            let goes = leaving && held && slot.queue.is_empty() && slot.noticed.is_none();
            if goes {
                self.count_leaving(&slot);
                self.forget(ix, &mut slot);
                self.slots.put(ix, slot);
                self.slots.remove(ix);
            } else {
                self.resume(ix, slot);
            }
        }
    }

    /// A deleted job's stream is gone, or must be looked at again.
    pub(super) fn removed(&mut self, subject: &SubjectId, result: Result<bool, EventStoreError>) {
        let Some(ix) = self.slots.find(subject) else { return };
        let Some(mut slot) = self.slots.take(ix) else { return };
        if slot.phase != Phase::Leaving {
            return self.slots.put(ix, slot);
        }
        slot.phase = Phase::Ready;
        match result {
            Ok(true) if slot.queue.is_empty() && slot.noticed.is_none() => {
                self.forget(ix, &mut slot);
                self.slots.put(ix, slot);
                self.slots.remove(ix);
            }
            // Who asked meanwhile is answered from the tombstone; another head is somebody else's append.
            Ok(true | false) => {
                self.catch_up_whole(&mut slot);
                self.slots.put(ix, slot);
            }
            Err(error) => {
                tracing::warn!(subject = %subject, %error, "a deleted job's stream stays for now");
                self.refuse_all(ix, &mut slot, &Failure::Unavailable);
                let at = self.now.saturating_add(LEAVE_AGAIN_MS);
                self.arm(ix, &mut slot, at, JOB_TIMER);
                self.slots.put(ix, slot);
            }
        }
    }

    /// Has the stream read anew. It was in memory, so whoever wants it does so now.
    pub(super) fn catch_up_whole(&mut self, slot: &mut Slot) {
        slot.reads(Phase::Loading);
        self.outputs.push_back(Output::Load { subject: slot.subject.clone(), due: ASKED });
    }

    /// Looks which idle subjects may leave memory, and sends the mark moves that have gathered.
    pub(super) fn leave(&mut self) {
        for _ in 0..LEAVES_MAX {
            let Some(ix) = self.leave_checks.pop_first() else { break };
            let Some(mut slot) = self.slots.take(ix) else { continue };
            let gone = self.may_leave(ix, &mut slot);
            if gone {
                self.count_leaving(&slot);
                self.forget(ix, &mut slot);
            }
            self.slots.put(ix, slot);
            if gone {
                self.slots.remove(ix);
            }
        }
        if !self.wake_up_moves.is_empty() {
            let moves = std::mem::take(&mut self.wake_up_moves);
            self.outputs.push_back(Output::MoveMarks { moves });
        }
    }

    /// A subject whose mark is as it should be leaves memory.
    fn count_leaving(&mut self, slot: &Slot) {
        if slot.transient || slot.entity.is_none() {
            return;
        }
        match slot.mark.1 {
            Some(_) => self.counts.parked += 1,
            None => self.counts.retired += 1,
        }
    }

    /// Answers whether the slot goes at once; where its mark must be moved first, that is asked for.
    fn may_leave(&mut self, ix: u32, slot: &mut Slot) -> bool {
        if !slot.is_idle() || slot.flushing.is_some() {
            return false;
        }
        if slot.noticed.is_some() && !slot.transient && slot.damaged.is_none() {
            // It came while something was under way, or tells of an append that has not come. The store may have
            // lost it to another driver by now: nobody will tell of it again.
            self.clear_notice(slot);
            if let Some((_, since)) = slot.noticed {
                self.arm_once(ix, slot, since.saturating_add(NOTICES_KEPT_MS), JOB_TIMER);
                return false;
            }
        }
        let shown = slot.dirty_since.is_none() && slot.shown == slot.seq;
        let Some(entity) = slot.entity.as_ref() else {
            return slot.damaged.is_none() || slot.transient;
        };
        if slot.transient {
            return true;
        }
        if !shown || !slot.pages.is_empty() || slot.damaged.is_some() || !slot.asks.is_empty() {
            return false;
        }
        if let Some(job) = entity.job().filter(|job| job.head.deleted) {
            let keep_until = deleted_until(job.head.updated_at);
            let (subject, seq, chain) = (slot.subject.clone(), slot.seq, slot.chain);
            slot.phase = Phase::Leaving;
            self.outputs.push_back(Output::Remove { subject, seq, chain, keep_until });
            return false;
        }
        let over = is_over(slot);
        // A living environment stays: whoever asks it must not wait for a load.
        let due = match entity.job() {
            Some(job) if !over => parked_until(job, self.now, self.settings.park_after_ms),
            Some(_) | None => None,
        };
        if over || due.is_some() {
            if slot.mark.1 == due {
                return true;
            }
            if !self.owns_groups() {
                // Somebody else may drive it by now, and move its mark.
                let at = self.now.saturating_add(LEAVE_AGAIN_MS);
                self.arm_once(ix, slot, at, JOB_TIMER);
                return false;
            }
            if !self.settings.alone && slot.look_after == LOOK_FIRST_MS {
                // A former driver may still write to it: not before a look after the load.
                self.arm_look(ix, slot);
                return false;
            }
            let late = planted::on(Planted::WakeUpLate);
            let due = due.map(|due| due.saturating_add(if late { 600_000 } else { 0 }));
            slot.phase = Phase::Leaving;
            self.wake_up_moves.push(WakeUpMove {
                subject: slot.subject.clone(),
                expected: slot.mark.0,
                due,
            });
        }
        false
    }

    /// This engine does not drive it any more.
    pub(super) fn become_transient(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        let under_way = slot.in_flight.as_ref().map(|in_flight| in_flight.item.record.last());
        if under_way.is_some() || slot.shown < slot.seq {
            // The new driver may have loaded it already, and shows what this engine cannot show any more.
            let seq = under_way.unwrap_or(slot.seq);
            self.batch_notices.push(AppendNotice { subject: slot.subject.clone(), seq });
        }
        self.forget(ix, &mut slot);
        slot.transient = true;
        // What waits is decided on what the new driver wrote, not on what was known here.
        slot.stale = slot.seq > 0;
        slot.dirty_since = None;
        self.resume(ix, slot);
    }
}

/// Nothing of it is owed any more: it is retired once the view shows it.
pub(super) fn is_over(slot: &Slot) -> bool {
    match &slot.entity {
        Some(Entity::Job(job)) => job.head.status.is_over(),
        Some(Entity::Environment(environment)) => {
            environment.deleted && environment.grants.is_empty()
        }
        None => false,
    }
}

/// Until when a job has nothing to do, when that is far enough away to leave memory.
fn parked_until(job: &JobState, now: Millis, park_after_ms: Millis) -> Option<Millis> {
    next_due(job).filter(|next| *next >= now.saturating_add(park_after_ms))
}

/// When a job that is not over is due next, `NEVER` when it waits for a person; none when it must be in memory: a
/// queued job waits for a grant that may come any time, offered nodes and running attempts keep a job here.
pub(in crate::engine) fn next_due(job: &JobState) -> Option<Millis> {
    let busy = job.count(NodeStatus::Running) > 0
        || (job.offers_work() && job.count(NodeStatus::Ready) > 0);
    if busy || job.head.ending.is_some() || job.head.status == JobStatus::Queued {
        return None;
    }
    Some(job.next_due().unwrap_or(NEVER))
}
