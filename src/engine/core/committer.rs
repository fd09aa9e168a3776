//! Decisions and their appends. Commands of one subject are decided one after the other on the state with the events
//! before them applied, and leave in one record; records of many subjects travel in one batch. While a batch is under
//! way more commands gather: group commit by itself.
//! Invariant: an outcome is released only by `committed`, or by a decision that nothing uncommitted lies under.

use std::sync::Arc;

use domain::dice::Dice;
use domain::job;
use domain::job::command::JobCommand;
use domain::planted::{self, Planted};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;

use crate::engine::core::Core;
use crate::engine::core::entity::{self, Entity, EntityEvent};
use crate::engine::core::message::{Caller, Command, Failure, Output, Response};
use crate::engine::core::slot::{InFlight, Origin, Outcome, Slot, Waiting};
use crate::event_store::contract::{AppendItem, AppendNotice, Payload, Record};

/// Events of one record; more wait for the next.
const RECORD_EVENTS_MAX: usize = 1_000;

/// Most events are shorter: one allocation instead of a few that grow.
const EVENT_BYTES_USUAL: usize = 768;

/// A record in the making. Open within one turn only.
#[derive(Debug)]
pub(super) struct Round {
    body: Vec<u8>,
    events: Vec<EntityEvent>,
    payloads: Vec<Payload>,
    outcomes: Vec<Outcome>,
    undo: entity::EntityUndo,
    submits: bool,
    /// The tail was read for those that are decided in it, and so many of them are left; none: it was not.
    covered: Option<usize>,
}

impl Round {
    /// Whether more than what is in it may be decided in it.
    pub(super) fn takes_more(&self) -> bool {
        self.covered != Some(0)
    }

    /// For so many commands that wait: what is decided about most subjects at once is little, and known beforehand.
    fn on(entity: Option<&Entity>, waiting: usize, covered: usize) -> Self {
        let waiting = waiting.min(RECORD_EVENTS_MAX);
        Self {
            body: Vec::new(),
            events: Vec::with_capacity(waiting),
            payloads: Vec::new(),
            outcomes: Vec::with_capacity(waiting),
            undo: entity::undo_for(entity),
            submits: false,
            covered: (covered > 0).then_some(covered),
        }
    }
}

impl Core {
    /// Decides what waits, then the requests for work on top of it, so that a node that became ready a moment ago is
    /// leased by the same append that made it so.
    pub(super) fn decide_runnable(&mut self) {
        while self.has_to_decide() {
            while self.in_flight < self.settings.appends_in_flight_max {
                let Some(ix) = self.runnable.pop() else { break };
                let has_room = self.decide_slot(ix);
                if !has_room
                    || self.batch_events >= self.settings.batch_events_max
                    || self.batch_bytes >= self.settings.batch_bytes_max
                {
                    self.close_batch();
                }
            }
            // The rounds stay open until nobody wants more of them.
            if !self.serve_waiting() {
                self.close_batch();
            }
        }
    }

    /// Whether this turn has something to decide. What is let go of as a batch closes may be asked for again.
    pub(super) fn has_to_decide(&self) -> bool {
        let decides =
            !self.runnable.is_empty() && self.in_flight < self.settings.appends_in_flight_max;
        decides || !self.open.is_empty() || self.has_to_serve()
    }

    /// Sends what has gathered.
    fn close_batch(&mut self) {
        for ix in std::mem::take(&mut self.open) {
            let Some(mut slot) = self.slots.take(ix) else { continue };
            if let Some(round) = slot.round.take() {
                self.close_round(ix, &mut slot, *round);
            }
            self.resume(ix, slot);
        }
        self.batch_events = 0;
        self.batch_bytes = 0;
        if self.batch.is_empty() {
            return;
        }
        self.in_flight += 1;
        self.pace.sent(self.now);
        let notices = std::mem::take(&mut self.batch_notices);
        // The next batch is as long as this one, as a rule.
        let next = Vec::with_capacity(self.batch.len());
        let items = std::mem::replace(&mut self.batch, next);
        self.outputs.push_back(Output::Append { notices, items });
    }

    /// Sends append notices that no record of this engine waits for.
    pub(super) fn send_notices(&mut self) {
        let notices = std::mem::take(&mut self.batch_notices);
        if !notices.is_empty() {
            self.in_flight += 1;
            self.pace.sent(self.now);
            self.outputs.push_back(Output::Append { notices, items: Vec::new() });
        }
    }

    /// Answers whether the record it goes into has room for more.
    fn decide_slot(&mut self, ix: u32) -> bool {
        let Some(mut slot) = self.slots.take(ix) else { return true };
        let ready = slot.may_decide() && !slot.queue.is_empty();
        let mut has_room = true;
        if let Some(reason) = slot.damaged.clone() {
            self.refuse_all(ix, &mut slot, &Failure::Damaged(reason));
        } else if ready && slot.transient && slot.stale {
            // Somebody else drives it: what is said about it rests on its newest events.
            self.catch_up(&mut slot);
        } else if ready {
            has_room = self.decide_round(ix, &mut slot);
        }
        self.resume(ix, slot);
        has_room
    }

    fn decide_round(&mut self, ix: u32, slot: &mut Slot) -> bool {
        let mut round = slot.round.take().unwrap_or_else(|| {
            self.open.push(ix);
            // Alone with its store, everything it knows is the newest.
            let covered = if self.settings.alone { 0 } else { slot.covered };
            slot.covered = 0;
            Box::new(Round::on(slot.entity.as_ref(), slot.queue.len(), covered))
        });
        let (events, bytes) = (round.events.len(), round.body.len());
        let mut has_room = true;
        let mut expiries = Vec::new();
        while has_room
            && round.takes_more()
            && let Some(waiting) = slot.queue.pop_front()
        {
            self.queued -= 1;
            round.covered = round.covered.map(|left| left.saturating_sub(1));
            if waiting.is_expiry() {
                // Reports and heartbeats that came behind it are heard first.
                expiries.push(waiting);
                continue;
            }
            let response = self.decide_one(slot, &waiting, &mut round);
            round.outcomes.push(Outcome { waiting, response });
            has_room = self.has_room(&round);
        }
        for waiting in expiries {
            if has_room {
                let response = self.decide_one(slot, &waiting, &mut round);
                round.outcomes.push(Outcome { waiting, response });
                has_room = self.has_room(&round);
            } else {
                slot.queue.push_back(waiting);
                self.queued += 1;
            }
        }
        self.batch_events += round.events.len() - events;
        self.batch_bytes += round.body.len() - bytes;
        self.count_tenant(slot);
        self.offer_early(ix, slot, &round.events[events..]);
        slot.round = Some(round);
        has_room
    }

    fn has_room(&self, round: &Round) -> bool {
        round.events.len() < RECORD_EVENTS_MAX && round.body.len() < self.settings.batch_bytes_max
    }

    fn close_round(&mut self, ix: u32, slot: &mut Slot, round: Round) {
        // What is refused or read rests on the newest events, whoever wrote them.
        let refuses = |outcome: &Outcome| {
            matches!(outcome.response, Response::Refused(_) | Response::Read(_))
        };
        let fresh =
            round.covered.is_some() || self.settings.alone || planted::on(Planted::StaleRefusal);
        if round.events.is_empty() && !fresh && round.outcomes.iter().any(refuses) {
            self.decide_later(ix, slot, round);
            self.catch_up(slot);
        } else if round.events.is_empty() {
            for outcome in round.outcomes {
                self.release(ix, slot, outcome);
            }
        } else if !slot.transient && slot.seq > 0 && slot.mark.1.is_none_or(|due| due > self.now) {
            // A parked or retired subject is marked for its driver before it gets events.
            self.decide_later(ix, slot, round);
            self.wake(slot);
        } else {
            self.send_record(slot, round);
        }
    }

    fn decide_one(&mut self, slot: &mut Slot, waiting: &Waiting, round: &mut Round) -> Response {
        match waiting {
            Waiting::Read { .. } if slot.is_deleted() => Response::Refused(Refusal::JobDeleted),
            Waiting::Read { .. } => Response::Read(slot.entity.as_ref().map(Entity::shown)),
            Waiting::Heartbeat { lease, .. } => self.heartbeat(slot, *lease),
            Waiting::Command { origin: Origin::Clock, command, .. }
                if self.was_kept(slot, command) =>
            {
                Response::Command { answer: Answer::Nothing, shown: None }
            }
            Waiting::Command { command: Command::Job(command), caller, .. }
                if slot.entity.is_none()
                    && let Some(first) = &slot.deleted =>
            {
                match job::decide::after_deletion(first, command, caller.mark.as_ref()) {
                    Ok(answer) => Response::Command { answer, shown: None },
                    Err(refusal) => Response::Refused(refusal),
                }
            }
            Waiting::Command { command, .. }
                if let Some(refusal) = self.over_quota(slot, command) =>
            {
                Response::Refused(refusal)
            }
            Waiting::Command { command, caller, origin, .. } => {
                let context = self.context(caller);
                let decided =
                    entity::decide(slot.subject.kind, slot.entity.as_ref(), command, &context);
                let decision = match decided {
                    Ok(decision) => decision,
                    Err(refusal) => {
                        if matches!(refusal, Refusal::LeaseLost) {
                            self.counts.stale_reports += 1;
                        }
                        return Response::Refused(refusal);
                    }
                };
                if let Some(event) = decision.event {
                    let before = round.body.len();
                    round.body.reserve(EVENT_BYTES_USUAL);
                    if before > 0 {
                        round.body.push(b'\n');
                    }
                    if event.encode_into(&mut round.body).is_err() {
                        round.body.truncate(before);
                        return Response::Failed(Failure::Damaged(
                            "an event that cannot be written".to_owned(),
                        ));
                    }
                    entity::apply_undoable(&mut slot.entity, &event, &mut round.undo);
                    round.submits |= matches!(command, Command::Job(JobCommand::Submit(_)));
                    round.events.push(event);
                }
                self.batch_bytes += decision.payloads.iter().map(|p| p.bytes.len()).sum::<usize>();
                let stored = decision.payloads.into_iter();
                round.payloads.extend(stored.map(|p| Payload { hash: p.sha256.0, bytes: p.bytes }));
                let shows =
                    matches!(origin, Origin::Asked(_)) && is_shown(command, &decision.answer);
                let shown = if shows { slot.entity.as_ref().map(Entity::shown) } else { None };
                Response::Command { answer: decision.answer, shown }
            }
        }
    }

    /// What a decision for this caller may look at beside the state.
    fn context(&mut self, caller: &Caller) -> Context {
        Context {
            now: self.now,
            dice: Dice::of(self.draw()),
            incarnation: self.incarnation,
            grace_ms: self.settings.grace_ms,
            actor: Arc::clone(&caller.actor),
            command: caller.mark.clone(),
            correlation: caller.correlation.clone(),
            expected_version: caller.expected_version,
            keyed_commands_max: self.settings.quotas.keyed_commands_max,
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
        if slot.transient || !self.owns_groups() {
            // Whoever drives it, or may by now, is told.
            self.batch_notices.push(AppendNotice {
                subject: slot.subject.clone(),
                seq: slot.seq + u64::from(count),
            });
        }
        self.batch.push(item.clone());
        slot.in_flight = Some(Box::new(InFlight {
            item,
            events: round.events,
            undo: round.undo,
            outcomes: round.outcomes,
            again_at: None,
            was_unknown: false,
        }));
    }

    /// Takes a round back: it is decided anew when more is known.
    fn decide_later(&mut self, ix: u32, slot: &mut Slot, round: Round) {
        self.take_back(ix, slot, round.undo, &round.events);
        for outcome in round.outcomes.into_iter().rev() {
            slot.queue.push_front(outcome.waiting);
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
            | JobCommand::Delete { .. }
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
