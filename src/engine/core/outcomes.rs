//! What becomes of appends, and who is told: committed, a rival was first, no room, or not known.
//! Invariant: an outcome is released only by `committed`, or by a decision that nothing uncommitted lies under.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::command::JobCommand;
use domain::job::event::JobFact;
use domain::subject::answer::Answer;

use crate::engine::core::Core;
use crate::engine::core::effects::touched;
use crate::engine::core::entity::{self, Entity, EntityEvent, EntityUndo};
use crate::engine::core::foreign_appends::LOOK_LAST_MS;
use crate::engine::core::message::{Caller, Command, Failure, Output, Response};
use crate::engine::core::slot::{Origin, Outcome, Phase, Slot, Waiting};
use crate::engine::core::urgency::Urgency;
use crate::event_store::contract::{AppendNotice, Appended, EventStoreError, Snapshot};

/// Decisions again after conflicts; a rival that wins so often is a driver, and the caller may ask it.
const TRIES_MAX: u8 = 16;
/// An append of unknown outcome is written again after so long.
const AGAIN_MS: Millis = 250;
/// No append is sent so long after it was built: tombstones stay a day, and what is let go of by then stays gone.
const BUILT_MAX_MS: Millis = 3_600_000;

impl Core {
    pub(super) fn appended(
        &mut self,
        subjects: &[SubjectId],
        outcome: Result<Vec<Appended>, EventStoreError>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pace.came_back(self.now);
        self.counts.appends += 1;
        let outcomes = outcome.unwrap_or_else(|_| vec![Appended::Unknown; subjects.len()]);
        for (subject, appended) in subjects.iter().zip(outcomes) {
            let Some(ix) = self.slots.find(subject) else { continue };
            match appended {
                Appended::Committed => self.committed(ix),
                Appended::Conflict => self.conflict(ix),
                Appended::Full => self.full(ix),
                Appended::Unknown => self.outcome_unknown(ix),
            }
        }
    }

    fn committed(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        if let Some(in_flight) = slot.in_flight.take() {
            if let Some(at) = in_flight.again_at {
                self.unknown.remove(&(at, ix));
            }
            slot.seq += u64::from(in_flight.item.record.count);
            slot.chain = in_flight.item.record.hash;
            slot.proven_at = self.now;
            if in_flight.item.wake.is_some() {
                slot.mark = (1, in_flight.item.wake);
                if !slot.transient && self.now >= self.former_until {
                    slot.look_after = LOOK_LAST_MS;
                }
            }
            self.counts.events += u64::from(in_flight.item.record.count);
            self.count_attempts(&in_flight.events);
            self.keep_snapshot(&slot, u64::from(in_flight.item.record.count));
            self.effects(ix, &mut slot, &in_flight.events);
            if in_flight.was_unknown {
                self.prolong_leases(&mut slot);
            }
            for outcome in in_flight.outcomes {
                self.release(ix, &mut slot, outcome);
            }
        }
        self.resume(ix, slot);
    }

    fn count_attempts(&mut self, events: &[EntityEvent]) {
        let attempts = &mut self.counts.attempts;
        for event in events {
            let EntityEvent::Job(event) = event else { continue };
            self.counts.jobs.count(event);
            match event.fact {
                JobFact::Completed { .. } => attempts.completed += 1,
                JobFact::Failed(_) => attempts.failed += 1,
                JobFact::LeaseExpired(_) => attempts.expired += 1,
                JobFact::AttemptTimedOut(_) => attempts.timed_out += 1,
                JobFact::Released { .. } => attempts.released += 1,
                JobFact::Submitted(_)
                | JobFact::Started
                | JobFact::Granted { .. }
                | JobFact::GrantDeclined { .. }
                | JobFact::Leased { .. }
                | JobFact::RetriesDue
                | JobFact::NodesTimedOut { .. }
                | JobFact::EndingDecided { .. }
                | JobFact::Revoked
                | JobFact::Paused { .. }
                | JobFact::Resumed
                | JobFact::Patched(_)
                | JobFact::LateReport { .. }
                | JobFact::Deleted => {}
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
    fn conflict(&mut self, ix: u32) {
        self.counts.conflicts += 1;
        let Some(mut slot) = self.slots.take(ix) else { return };
        if let Some(in_flight) = slot.in_flight.take() {
            if let Some(at) = in_flight.again_at {
                self.unknown.remove(&(at, ix));
            }
            self.take_back(ix, &mut slot, in_flight.undo, &in_flight.events);
            if in_flight.was_unknown {
                self.prolong_leases(&mut slot);
            }
            for outcome in in_flight.outcomes.into_iter().rev() {
                match outcome.waiting {
                    Waiting::Command { tries, .. } if tries >= TRIES_MAX => {
                        self.refuse(ix, &mut slot, &outcome.waiting, &Failure::Unavailable);
                    }
                    // Its asker was told that nobody knows: nothing is leased to nobody.
                    Waiting::Command {
                        origin: Origin::Lease { request: 0, ref nodes }, ..
                    } => {
                        self.end_reservation(ix, &mut slot, nodes);
                    }
                    Waiting::Read { ticket: 0 } | Waiting::Heartbeat { ticket: 0, .. } => {}
                    Waiting::Command { origin, command, caller, tries } => {
                        slot.queue.push_front(Waiting::Command {
                            origin,
                            command,
                            caller,
                            tries: tries + 1,
                        });
                        self.queued += 1;
                    }
                    Waiting::Read { .. } | Waiting::Heartbeat { .. } => {
                        slot.queue.push_front(outcome.waiting);
                        self.queued += 1;
                    }
                }
            }
        }
        self.catch_up(&mut slot);
        self.slots.put(ix, slot);
    }

    /// Reads what others wrote.
    pub(super) fn catch_up(&mut self, slot: &mut Slot) {
        let subject = slot.subject.clone();
        slot.stale = false;
        if slot.seq == 0 {
            self.catch_up_whole(slot);
        } else {
            slot.reads(Phase::Catching);
            self.outputs.push_back(Output::LoadTail {
                subject,
                after: slot.seq,
                chain: slot.chain,
            });
        }
    }

    /// No room: nothing was written, and who asked is told.
    fn full(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        if let Some(in_flight) = slot.in_flight.take() {
            self.take_back(ix, &mut slot, in_flight.undo, &in_flight.events);
            if let Some(at) = in_flight.again_at {
                self.unknown.remove(&(at, ix));
            }
            for outcome in in_flight.outcomes {
                match outcome.waiting {
                    // Work of a job that there is not: who wants work goes on waiting for other work.
                    Waiting::Command { origin: Origin::Lease { request, ref nodes }, .. }
                        if slot.seq == 0 =>
                    {
                        self.end_reservation(ix, &mut slot, nodes);
                        self.lease_part(request, Ok(Vec::new()));
                    }
                    Waiting::Command { .. } | Waiting::Read { .. } | Waiting::Heartbeat { .. } => {
                        self.refuse(ix, &mut slot, &outcome.waiting, &Failure::Full);
                    }
                }
            }
        }
        if slot.seq == 0 && !slot.queue.is_empty() {
            // It was only believed not to exist.
            self.catch_up(&mut slot);
        }
        self.resume(ix, slot);
    }

    /// Neither known to be durable nor not: clients are told so, and the same record is written until it is known.
    fn outcome_unknown(&mut self, ix: u32) {
        let again_at = self.now.saturating_add(AGAIN_MS);
        let Some(slot) = self.slots.get_mut(ix) else { return };
        let Some(in_flight) = slot.in_flight.as_mut() else { return };
        if let Some(before) = in_flight.again_at.replace(again_at) {
            self.unknown.remove(&(before, ix));
        }
        in_flight.was_unknown = true;
        let nodes = touched(&in_flight.events);
        let (mut told, mut parts) = (Vec::new(), Vec::new());
        for outcome in &mut in_flight.outcomes {
            let ticket = match &mut outcome.waiting {
                Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. } => {
                    std::mem::take(ticket)
                }
                Waiting::Command { origin, .. } => match origin {
                    Origin::Asked(ticket) => std::mem::take(ticket),
                    Origin::Lease { request, .. } => {
                        parts.push(std::mem::take(request));
                        0
                    }
                    Origin::Clock
                    | Origin::Grant { .. }
                    | Origin::Admission { .. }
                    | Origin::Message => 0,
                },
            };
            told.extend((ticket != 0).then_some(ticket));
        }
        self.unknown.insert((again_at, ix));
        self.withdraw_all(ix, &nodes);
        for ticket in told {
            self.fail(ticket, Failure::OutcomeUnknown);
        }
        for request in parts {
            self.lease_part(request, Err(Failure::OutcomeUnknown));
        }
    }

    /// Writes the records of unknown outcome again, the same ones, together; also their append notices, which may not have
    /// been written either.
    pub(super) fn write_again(&mut self) {
        let (mut items, mut notices, mut events) = (Vec::new(), Vec::new(), 0);
        while let Some((at, ix)) = self.unknown.first().copied().filter(|(at, _)| *at <= self.now) {
            self.unknown.remove(&(at, ix));
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            let Some(in_flight) = slot.in_flight.as_mut() else { continue };
            in_flight.again_at = None;
            let record = &in_flight.item.record;
            if self.now.saturating_sub(record.at) > BUILT_MAX_MS {
                self.give_up(ix);
                continue;
            }
            if slot.transient {
                let seq = record.first - 1 + u64::from(record.count);
                notices.push(AppendNotice { subject: slot.subject.clone(), seq });
            }
            events += in_flight.events.len();
            items.push(in_flight.item.clone());
            if events >= self.settings.batch_events_max {
                self.in_flight += 1;
                self.pace.sent(self.now);
                let (items, notices) = (std::mem::take(&mut items), std::mem::take(&mut notices));
                self.outputs.push_back(Output::Append { notices, items });
                events = 0;
            }
        }
        if !items.is_empty() {
            self.in_flight += 1;
            self.pace.sent(self.now);
            self.outputs.push_back(Output::Append { notices, items });
        }
    }

    /// An append of unknown outcome that is too old to be sent again: whether it is there, the stream says. Who asked was
    /// told that nobody knows; what the clock asked for is asked again.
    fn give_up(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        if let Some(in_flight) = slot.in_flight.take() {
            self.take_back(ix, &mut slot, in_flight.undo, &in_flight.events);
            self.prolong_leases(&mut slot);
            for outcome in in_flight.outcomes {
                self.refuse(ix, &mut slot, &outcome.waiting, &Failure::Unavailable);
            }
        }
        self.catch_up(&mut slot);
        self.slots.put(ix, slot);
    }

    /// Takes a slot back to its committed state, with what it offers.
    pub(super) fn take_back(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        undo: EntityUndo,
        events: &[EntityEvent],
    ) {
        let nodes = touched(events);
        for node in &nodes {
            self.withdraw(slot, *node);
        }
        entity::undo(&mut slot.entity, undo);
        self.count_tenant(slot);
        for node in &nodes {
            self.refresh_offer(ix, slot, *node);
        }
    }

    /// Puts a slot back and lets it go on with what waits.
    pub(super) fn resume(&mut self, ix: u32, mut slot: Box<Slot>) {
        if !slot.asks.is_empty() {
            self.grant_next(ix, &mut slot);
        }
        let (waits, idle) = (slot.may_decide() && !slot.queue.is_empty(), slot.is_idle());
        let urgency = waits.then(|| Urgency::of_queue(&slot.queue));
        self.slots.put(ix, slot);
        if let Some(urgency) = urgency {
            self.runnable.push(ix, urgency, self.now);
        }
        if idle {
            self.leave_checks.insert(ix);
        }
    }

    /// Tells whoever waits, and does what follows.
    pub(super) fn release(&mut self, ix: u32, slot: &mut Slot, outcome: Outcome) {
        match outcome.waiting {
            Waiting::Read { ticket }
            | Waiting::Heartbeat { ticket, .. }
            | Waiting::Command { origin: Origin::Asked(ticket), .. } => {
                if ticket != 0 {
                    self.answer(ticket, outcome.response);
                }
            }
            Waiting::Command { origin: Origin::Lease { request, nodes }, .. } => {
                self.leased(ix, slot, request, &nodes, outcome.response);
            }
            Waiting::Command { origin: Origin::Clock, command, .. } => {
                self.clock_again(slot, command, &outcome.response);
            }
            Waiting::Command { origin: Origin::Grant { environment, run, number }, .. } => {
                let response = &outcome.response;
                self.grant_answered(&slot.subject, &environment, run, number, response);
            }
            Waiting::Command { origin: Origin::Admission { ask }, .. } => {
                self.admitted(ix, slot, ask, &outcome.response);
            }
            Waiting::Command { origin: Origin::Message, .. } => {}
        }
    }

    /// A wake-up does one kind of thing: asked again until there is nothing left to do.
    fn clock_again(&mut self, slot: &mut Slot, command: Command, response: &Response) {
        let changed = matches!(
            response,
            Response::Command { answer: Answer::Done { .. } | Answer::Recorded, .. }
        );
        if changed && matches!(command, Command::Job(JobCommand::Wake { .. })) {
            let caller = Caller::engine();
            slot.queue.push_back(Waiting::Command {
                origin: Origin::Clock,
                command,
                caller,
                tries: 0,
            });
            self.queued += 1;
        }
    }
}
