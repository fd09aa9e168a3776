//! What becomes of appends, and who is told: committed, a rival was first, no room, or not known.
//! Invariant: an outcome is released only by `committed`, or by a decision that nothing uncommitted lies under.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::fact::{AttemptFact, FailureFact, JobFact};
use domain::subject::answer::Answer;

use crate::engine::core::Core;
use crate::engine::core::kinds::{self, Entity, EntityEvent, EntityUndo};
use crate::engine::core::message::{Command, Failure, Output, Response};
use crate::engine::core::residency::{Phase, Slot};
use crate::engine::core::waiting::{Origin, PromisedAnswer, Waiting};
use crate::event_store::contract::{AppendNotice, Appended, EventStoreError, Snapshot};

/// Decisions again after conflicts; a rival that wins so often is a driver, and the caller may ask it.
const TRIES_MAX: u8 = 16;
/// No append is sent so long after it was built: tombstones stay a day, and what is let go of by then stays gone.
const BUILT_MAX_MS: Millis = 3_600_000;

impl Core {
    pub(in crate::engine::core) fn appended(
        &mut self,
        subjects: &[SubjectId],
        outcome: Result<Vec<Appended>, EventStoreError>,
    ) {
        self.commits.came_back();
        self.pace.came_back(self.now);
        self.counts.appends += 1;
        let outcomes = outcome.unwrap_or_else(|_| vec![Appended::Unknown; subjects.len()]);
        for (subject, appended) in subjects.iter().zip(outcomes) {
            let Some(ix) = self.slots.find(subject) else { continue };
            match appended {
                Appended::Committed => _ = self.work_on(ix, |core, slot| core.committed(ix, slot)),
                Appended::Conflict => _ = self.with_slot(ix, |core, slot| core.conflict(ix, slot)),
                Appended::Full => _ = self.work_on(ix, |core, slot| core.full(ix, slot)),
                Appended::Unknown => self.outcome_unknown(ix),
            }
        }
    }

    fn committed(&mut self, ix: u32, slot: &mut Slot) {
        let Some(in_flight) = self.commits.settle(ix, &mut slot.stage) else { return };
        let count = u64::from(in_flight.item.record.count);
        slot.seq += count;
        slot.chain = in_flight.item.record.hash;
        slot.foreign.are_disproven(self.now);
        if let Some(due) = in_flight.item.wake {
            slot.first_wake_up(due);
            if !slot.transient && self.ownership.former_are_over(self.now) {
                slot.foreign.cannot_be_unheard();
            }
        }
        self.counts.events += count;
        self.count_attempts(slot, &in_flight.events);
        self.keep_snapshot(slot, count);
        self.effects(ix, slot, &in_flight.events);
        if in_flight.was_unknown() {
            slot.work.prolong_leases(self.now);
        }
        for outcome in in_flight.outcomes {
            self.release(ix, slot, outcome);
        }
    }

    fn count_attempts(&mut self, slot: &mut Slot, events: &[EntityEvent]) {
        let attempts = &mut self.counts.attempts;
        for event in events.iter().filter_map(EntityEvent::job) {
            self.counts.jobs.count(event);
            slot.retries.count(event, &mut self.counts.retries);
            match &event.fact {
                JobFact::Attempt(fact) => match fact {
                    AttemptFact::Completed { .. } => attempts.completed += 1,
                    AttemptFact::Released { .. } => attempts.released += 1,
                    AttemptFact::Leased { .. }
                    | AttemptFact::DelaysOver
                    | AttemptFact::LateReport { .. } => {}
                },
                JobFact::Failure(fact) => match fact {
                    FailureFact::Failed(_) => attempts.failed += 1,
                    FailureFact::LeaseExpired(_) => attempts.expired += 1,
                    FailureFact::AttemptTimedOut(_) => attempts.timed_out += 1,
                    FailureFact::RetriesDue | FailureFact::NodesTimedOut { .. } => {}
                },
                JobFact::Admission(_)
                | JobFact::Steering(_)
                | JobFact::Ending(_)
                | JobFact::Flow(_) => {}
            }
        }
    }

    /// Now and then the state of a long stream is kept beside it. An optimisation: replay gives the same.
    fn keep_snapshot(&mut self, slot: &Slot, new: u64) {
        let every = self.settings.snapshot_every_events.max(1);
        if slot.transient || slot.seq / every == slot.seq.saturating_sub(new) / every {
            return;
        }
        if let Some(body) = slot.entity.as_ref().and_then(Entity::encode_snapshot) {
            let snapshot = Snapshot { seq: slot.seq, hash: slot.chain, body: Arc::from(body) };
            self.outputs.push_back(Output::Snapshot { subject: slot.subject.clone(), snapshot });
        }
    }

    /// Somebody else wrote: what was decided is thrown away, the tail is read, and everything is decided again.
    fn conflict(&mut self, ix: u32, slot: &mut Slot) {
        self.counts.conflicts += 1;
        if let Some(in_flight) = self.commits.settle(ix, &mut slot.stage) {
            let was_unknown = in_flight.was_unknown();
            self.take_back(ix, slot, in_flight.undo, &in_flight.events);
            if was_unknown {
                slot.work.prolong_leases(self.now);
            }
            for outcome in in_flight.outcomes.into_iter().rev() {
                self.decide_again(ix, slot, outcome.waiting);
            }
        }
        self.catch_up(slot);
    }

    /// What a rival came before waits at the front again, as long as somebody waits for it.
    fn decide_again(&mut self, ix: u32, slot: &mut Slot, waiting: Waiting) {
        let again = match waiting {
            Waiting::Command { tries, .. } if tries >= TRIES_MAX => {
                return self.refuse(ix, slot, &waiting, &Failure::Unavailable);
            }
            // Its asker was told that nobody knows: nothing is leased to nobody.
            Waiting::Command { origin: Origin::Lease { request: None, ref nodes }, .. } => {
                return self.end_reservation(ix, slot, nodes);
            }
            Waiting::Read { ticket: None } | Waiting::Heartbeat { ticket: None, .. } => return,
            Waiting::Command { origin, command, caller, tries } => {
                Waiting::Command { origin, command, caller, tries: tries + 1 }
            }
            Waiting::Read { .. } | Waiting::Heartbeat { .. } => waiting,
        };
        self.backlog.push_front(&mut slot.queue, again);
    }

    /// Reads what others wrote.
    pub(super) fn catch_up(&mut self, slot: &mut Slot) {
        let subject = slot.subject.clone();
        slot.reading.set_stale(false);
        if slot.seq == 0 {
            self.catch_up_whole(slot);
        } else {
            slot.reading.begins(Phase::Catching, slot.queue.len());
            self.outputs.push_back(Output::LoadTail {
                subject,
                after: slot.seq,
                chain: slot.chain,
            });
        }
    }

    /// No room: nothing was written, and who asked is told.
    fn full(&mut self, ix: u32, slot: &mut Slot) {
        if let Some(in_flight) = self.commits.settle(ix, &mut slot.stage) {
            self.take_back(ix, slot, in_flight.undo, &in_flight.events);
            for outcome in in_flight.outcomes {
                match outcome.waiting {
                    // Work of a job that there is not: who wants work goes on waiting for other work.
                    Waiting::Command { origin: Origin::Lease { request, ref nodes }, .. }
                        if slot.seq == 0 =>
                    {
                        self.end_reservation(ix, slot, nodes);
                        self.lease_part(request, Ok(Vec::new()));
                    }
                    Waiting::Command { .. } | Waiting::Read { .. } | Waiting::Heartbeat { .. } => {
                        self.refuse(ix, slot, &outcome.waiting, &Failure::Full);
                    }
                }
            }
        }
        if slot.seq == 0 && !slot.queue.is_empty() {
            // It was only believed not to exist.
            self.catch_up(slot);
        }
    }

    /// Neither known to be durable nor not: clients are told so, and the same record is written until it is known.
    fn outcome_unknown(&mut self, ix: u32) {
        let Some(slot) = self.slots.get_mut(ix) else { return };
        let unanswered = self.commits.is_unknown(ix, &mut slot.stage, self.now);
        let Some(unanswered) = unanswered else { return };
        self.withdraw_all(ix, &unanswered.nodes);
        for ticket in unanswered.tickets {
            self.fail(ticket, Failure::OutcomeUnknown);
        }
        for request in unanswered.polls {
            self.lease_part(Some(request), Err(Failure::OutcomeUnknown));
        }
    }

    /// Writes the records of unknown outcome again, the same ones, together; also their notices, which may not have
    /// been written either.
    pub(in crate::engine::core) fn write_again(&mut self) {
        let (mut items, mut notices, mut events) = (Vec::new(), Vec::new(), 0);
        while let Some(ix) = self.commits.next_unknown(self.now) {
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            let Some(in_flight) = slot.stage.write_again() else { continue };
            let record = &in_flight.item.record;
            if self.now.saturating_sub(record.at) > BUILT_MAX_MS {
                self.with_slot(ix, |core, slot| core.give_up(ix, slot));
                continue;
            }
            if slot.transient {
                notices.push(AppendNotice { subject: slot.subject.clone(), seq: record.last() });
            }
            events += in_flight.events.len();
            items.push(in_flight.item.clone());
            if events >= self.settings.batch_events_max {
                let (items, notices) = (std::mem::take(&mut items), std::mem::take(&mut notices));
                let batch = self.commits.sends(notices, items);
                self.send_batch(batch);
                events = 0;
            }
        }
        if !items.is_empty() {
            let batch = self.commits.sends(notices, items);
            self.send_batch(batch);
        }
    }

    /// An append of unknown outcome that is too old to be sent again: whether it is there, the stream says. Who asked was
    /// told that nobody knows; what the clock asked for is asked again.
    fn give_up(&mut self, ix: u32, slot: &mut Slot) {
        if let Some(in_flight) = self.commits.settle(ix, &mut slot.stage) {
            self.take_back(ix, slot, in_flight.undo, &in_flight.events);
            slot.work.prolong_leases(self.now);
            for outcome in in_flight.outcomes {
                self.refuse(ix, slot, &outcome.waiting, &Failure::Unavailable);
            }
        }
        self.catch_up(slot);
    }

    /// Takes a slot back to its committed state, with what it offers.
    pub(super) fn take_back(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        undo: EntityUndo,
        events: &[EntityEvent],
    ) {
        let nodes = kinds::touched(events);
        for node in &nodes {
            self.withdraw(slot, *node);
        }
        kinds::undo(&mut slot.entity, undo);
        slot.heard.is_all_unsaid();
        self.count_tenant(slot);
        for node in &nodes {
            self.refresh_offer(ix, slot, *node);
        }
    }

    /// Tells whoever waits, and does what follows.
    pub(super) fn release(&mut self, ix: u32, slot: &mut Slot, outcome: PromisedAnswer) {
        match outcome.waiting {
            Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. } => {
                if let Some(ticket) = ticket {
                    self.answer(ticket, outcome.response);
                }
            }
            Waiting::Command { origin, command, .. } => match origin {
                Origin::Asked(ticket) => self.answer(ticket, outcome.response),
                Origin::Lease { request, nodes } => {
                    self.leased(ix, slot, request, &nodes, outcome.response);
                }
                Origin::Clock => self.clock_again(slot, command, &outcome.response),
                Origin::Grant { environment, run, number } => {
                    let response = &outcome.response;
                    self.grant_answered(&slot.subject, &environment, run, number, response);
                }
                Origin::Admission { ask } => self.admitted(slot, ask, &outcome.response),
                Origin::Nobody => {}
            },
        }
    }

    /// A wake-up does one kind of thing: asked again until there is nothing left to do.
    fn clock_again(&mut self, slot: &mut Slot, command: Command, response: &Response) {
        let changed = matches!(
            response,
            Response::Command { answer: Answer::Done { .. } | Answer::Recorded, .. }
        );
        if changed && matches!(command.job(), Some(JobCommand::Wake { .. })) {
            self.backlog.push_back(&mut slot.queue, Waiting::own(Origin::Clock, command));
        }
    }
}
