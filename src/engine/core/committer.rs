//! Decisions and their appends. Commands of one subject are decided one after the other on the state with the events
//! before them applied, and leave in one record; records of many subjects travel in one batch. While a batch is under
//! way more commands gather: group commit by itself.
//! Invariant: an outcome is released only by `committed`, or by a decision that nothing uncommitted lies under.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use domain::job::command::{Answer, Context, JobCommand};

use crate::engine::core::Core;
use crate::engine::core::entity::{self, Entity, EntityEvent};
use crate::engine::core::message::{Command, Failure, Output, Response};
use crate::engine::core::slot::{InFlight, Origin, Outcome, Phase, Slot, Waiting};
use crate::event_store::contract::{
    AppendItem, Appended, EventStoreError, MarkMove, Nudge, Payload, Record, Snapshot,
};

/// Decisions again after conflicts; a rival that wins so often is a driver, and the caller may ask it.
const TRIES_MAX: u8 = 16;
/// An append of unknown outcome is written again after so long.
const AGAIN_MS: Millis = 250;
/// Events of one record; more wait for the next.
const RECORD_EVENTS_MAX: usize = 1_000;

/// A record in the making.
#[derive(Debug)]
struct Round {
    body: Vec<u8>,
    events: Vec<EntityEvent>,
    payloads: Vec<Payload>,
    outcomes: Vec<Outcome>,
    undo: entity::EntityUndo,
    submits: bool,
}

impl Core {
    pub(super) fn decide_runnable(&mut self) {
        while self.in_flight < self.settings.appends_in_flight_max {
            let Some(ix) = self.runnable.pop_front() else { break };
            self.decide_slot(ix);
            if self.batch_events >= self.settings.batch_events_max
                || self.batch_bytes >= self.settings.batch_bytes_max
            {
                self.close_batch();
            }
        }
    }

    /// Sends what has gathered.
    pub(super) fn close_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.in_flight += 1;
        self.batch_events = 0;
        self.batch_bytes = 0;
        let nudges = std::mem::take(&mut self.batch_nudges);
        let items = std::mem::take(&mut self.batch);
        self.outputs.push_back(Output::Append { nudges, items });
    }

    fn decide_slot(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        let ready = slot.phase == Phase::Ready && slot.is_settled() && !slot.queue.is_empty();
        if ready {
            self.decide_round(ix, &mut slot);
        }
        let damaged = slot.damaged.clone();
        let idle = slot.is_idle();
        self.slots.put(ix, slot);
        if let Some(reason) = damaged {
            self.refuse_damaged(ix, &reason);
        }
        if idle {
            self.leave_checks.insert(ix);
        }
    }

    fn decide_round(&mut self, ix: u32, slot: &mut Slot) {
        if slot.damaged.is_some() {
            return;
        }
        let mut round = Round {
            body: Vec::new(),
            events: Vec::new(),
            payloads: Vec::new(),
            outcomes: Vec::new(),
            undo: entity::undo_for(slot.entity.as_ref()),
            submits: false,
        };
        while round.events.len() < RECORD_EVENTS_MAX
            && round.body.len() < self.settings.batch_bytes_max
        {
            let Some(waiting) = slot.queue.pop_front() else { break };
            self.queued -= 1;
            let response = self.decide_one(slot, &waiting, &mut round);
            round.outcomes.push(Outcome { waiting, response });
        }
        if round.events.is_empty() {
            for outcome in round.outcomes {
                self.release(ix, slot, outcome);
            }
        } else if !slot.guest && slot.seq > 0 && slot.mark.1.is_none_or(|due| due > self.now) {
            self.wake_first(slot, round);
        } else {
            self.send_record(slot, round);
        }
        if slot.is_settled() && !slot.queue.is_empty() && slot.phase == Phase::Ready {
            self.runnable.push_back(ix);
        }
    }

    fn decide_one(&mut self, slot: &mut Slot, waiting: &Waiting, round: &mut Round) -> Response {
        match waiting {
            Waiting::Read { .. } => Response::Read(slot.entity.as_ref().map(Entity::shown)),
            Waiting::Heartbeat { lease, .. } => self.heartbeat(slot, *lease),
            Waiting::Command { command, caller, origin, .. } => {
                let newest = slot.entity.as_ref().map_or(0, Entity::updated_at);
                let context = Context {
                    now: self.now.max(newest),
                    draw: self.draw_unit(),
                    incarnation: self.incarnation,
                    grace_ms: self.settings.grace_ms,
                    actor: Arc::clone(&caller.actor),
                    command: caller.mark.clone(),
                    correlation: caller.correlation.clone(),
                    expected_version: caller.expected_version,
                };
                let decided =
                    entity::decide(slot.subject.kind, slot.entity.as_ref(), command, &context);
                let decision = match decided {
                    Ok(decision) => decision,
                    Err(refusal) => {
                        if matches!(refusal, domain::refusal::Refusal::LeaseLost) {
                            self.counts.stale_reports += 1;
                        }
                        return Response::Refused(refusal);
                    }
                };
                if let Some(event) = decision.event {
                    let Ok(line) = event.encode() else {
                        return Response::Failed(Failure::Damaged(
                            "an event that cannot be written".to_owned(),
                        ));
                    };
                    if !round.body.is_empty() {
                        round.body.push(b'\n');
                    }
                    round.body.extend_from_slice(&line);
                    entity::apply_undoable(&mut slot.entity, &event, &mut round.undo);
                    round.submits |= matches!(command, Command::Job(JobCommand::Submit(_)));
                    round.events.push(event);
                }
                let stored = decision.payloads.into_iter();
                round.payloads.extend(stored.map(|p| Payload { hash: p.sha256.0, bytes: p.bytes }));
                let shows =
                    matches!(origin, Origin::Asked(_)) && is_shown(command, &decision.answer);
                let shown = if shows { slot.entity.as_ref().map(Entity::shown) } else { None };
                Response::Command { answer: decision.answer, shown }
            }
        }
    }

    fn send_record(&mut self, slot: &mut Slot, round: Round) {
        let mut chain = slot.chain;
        for line in round.body.split(|byte| *byte == b'\n') {
            chain = domain::history::chain(chain, line);
        }
        let count = u32::try_from(round.events.len()).unwrap_or(u32::MAX);
        let record = Record {
            first: slot.seq + 1,
            count,
            nonce: u128::from(self.draw()) << 64 | u128::from(self.draw()),
            at: round.events.last().map_or(self.now, EntityEvent::at),
            body: Arc::from(round.body),
            hash: chain,
        };
        let item = AppendItem {
            subject: slot.subject.clone(),
            record,
            payloads: round.payloads,
            wake: (slot.seq == 0).then_some(self.now),
            may_use_reserve: !round.submits,
        };
        self.batch_events += round.events.len();
        self.batch_bytes +=
            item.record.body.len() + item.payloads.iter().map(|p| p.bytes.len()).sum::<usize>();
        if slot.guest {
            self.batch_nudges
                .push(Nudge { subject: slot.subject.clone(), seq: slot.seq + u64::from(count) });
        }
        self.batch.push(item.clone());
        slot.in_flight = Some(Box::new(InFlight {
            item,
            events: round.events,
            undo: round.undo,
            outcomes: round.outcomes,
            again_at: None,
        }));
    }

    /// A parked or retired subject is marked for its driver before it gets events.
    fn wake_first(&mut self, slot: &mut Slot, round: Round) {
        entity::undo(&mut slot.entity, round.undo);
        for outcome in round.outcomes.into_iter().rev() {
            slot.queue.push_front(outcome.waiting);
            self.queued += 1;
        }
        slot.phase = Phase::Waking;
        self.mark_moves.push(MarkMove {
            subject: slot.subject.clone(),
            expected: slot.mark.0,
            due: Some(self.now),
        });
    }

    pub(super) fn appended(
        &mut self,
        subjects: &[SubjectId],
        outcome: Result<Vec<Appended>, EventStoreError>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
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
            if in_flight.item.wake.is_some() {
                slot.mark = (1, in_flight.item.wake);
            }
            self.counts.events += u64::from(in_flight.item.record.count);
            self.keep_snapshot(&slot, u64::from(in_flight.item.record.count));
            self.effects(ix, &mut slot, &in_flight.events);
            for outcome in in_flight.outcomes {
                self.release(ix, &mut slot, outcome);
            }
        }
        self.resume(ix, slot);
    }

    /// Now and then the state of a long stream is kept beside it. An optimisation: replay gives the same.
    fn keep_snapshot(&mut self, slot: &Slot, new: u64) {
        let every = self.settings.snapshot_every_events.max(1);
        if slot.guest || slot.seq / every == slot.seq.saturating_sub(new) / every {
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
            entity::undo(&mut slot.entity, in_flight.undo);
            for outcome in in_flight.outcomes.into_iter().rev() {
                match outcome.waiting {
                    Waiting::Command { tries, .. } if tries >= TRIES_MAX => {
                        self.refuse(&outcome.waiting, &Failure::Unavailable);
                    }
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
        if slot.seq == 0 {
            slot.phase = Phase::Loading;
            self.outputs.push_back(Output::Load { subject });
        } else {
            slot.phase = Phase::Catching;
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
            entity::undo(&mut slot.entity, in_flight.undo);
            for outcome in in_flight.outcomes {
                self.refuse(&outcome.waiting, &Failure::Full);
            }
        }
        // What the clock asked for is asked again.
        self.arm(
            ix,
            &mut slot,
            self.now.saturating_add(1_000),
            crate::engine::core::slot::JOB_TIMER,
        );
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
        let mut told = Vec::new();
        for outcome in &mut in_flight.outcomes {
            let ticket = match &mut outcome.waiting {
                Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. } => {
                    std::mem::take(ticket)
                }
                Waiting::Command { origin, .. } => match origin {
                    Origin::Asked(ticket) => std::mem::take(ticket),
                    Origin::Lease { .. }
                    | Origin::Clock
                    | Origin::Grant { .. }
                    | Origin::Admission { .. }
                    | Origin::Message => 0,
                },
            };
            told.extend((ticket != 0).then_some(ticket));
        }
        self.unknown.insert((again_at, ix));
        for ticket in told {
            self.fail(ticket, Failure::OutcomeUnknown);
        }
    }

    pub(super) fn write_again(&mut self) {
        while let Some((at, ix)) = self.unknown.first().copied().filter(|(at, _)| *at <= self.now) {
            self.unknown.remove(&(at, ix));
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            let Some(in_flight) = slot.in_flight.as_mut() else { continue };
            in_flight.again_at = None;
            self.in_flight += 1;
            let items = vec![in_flight.item.clone()];
            self.outputs.push_back(Output::Append { nudges: Vec::new(), items });
        }
    }

    /// Puts a slot back and lets it go on with what waits.
    pub(super) fn resume(&mut self, ix: u32, slot: Box<Slot>) {
        let (waits, idle) = (!slot.queue.is_empty() && slot.phase == Phase::Ready, slot.is_idle());
        self.slots.put(ix, slot);
        if waits {
            self.runnable.push_back(ix);
        }
        if idle {
            self.leave_checks.insert(ix);
        }
    }

    /// Tells whoever waits, and does what follows.
    fn release(&mut self, ix: u32, slot: &mut Slot, outcome: Outcome) {
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
                self.grant_answered(slot, &environment, run, number, &outcome.response);
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
            let caller = crate::engine::core::message::Caller::engine();
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

/// Whether the asker is shown the subject with the answer.
fn is_shown(command: &Command, answer: &Answer) -> bool {
    match command {
        Command::Environment(_) => true,
        Command::Job(
            JobCommand::Lease(_)
            | JobCommand::Report(_)
            | JobCommand::ExpireLease { .. }
            | JobCommand::Wake { .. },
        ) => false,
        Command::Job(
            JobCommand::Submit(_)
            | JobCommand::Start
            | JobCommand::Pause { .. }
            | JobCommand::Resume { .. }
            | JobCommand::Cancel { .. }
            | JobCommand::Patch(_)
            | JobCommand::TakeGrant { .. },
        ) => matches!(answer, Answer::Done { .. }),
    }
}
