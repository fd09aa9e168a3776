//! Decisions and their appends. Commands of one subject are decided one after the other on the state with the events
//! before them applied, and leave in one record; records of many subjects travel in one batch. While a batch is under
//! way more commands gather: group commit by itself.
//! Invariant: an outcome is released only by `committed`, or by a decision that nothing uncommitted lies under.

use std::sync::Arc;

use domain::dice::Dice;
use domain::planted::{self, Planted};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;

use crate::engine::core::Core;
use crate::engine::core::commit::{BatchBounds, Head, Round, Stage};
use crate::engine::core::kinds::{self, Entity, EntityEvent};
use crate::engine::core::leases::Carried;
use crate::engine::core::message::{Caller, Command, Failure, Output, Response};
use crate::engine::core::residency::Slot;
use crate::engine::core::waiting::{Origin, Waiting};
use crate::event_store::contract::AppendNotice;

impl Core {
    /// Decides what waits, then the requests for work on top of it, so that a node that became ready a moment ago is
    /// leased by the same append that made it so.
    pub(in crate::engine::core) fn decide_runnable(&mut self) {
        let bounds = BatchBounds {
            events: self.settings.batch_events_max,
            bytes: self.settings.batch_bytes_max,
        };
        while self.has_to_decide() {
            while self.may_send() {
                let Some(ix) = self.backlog.next() else { break };
                let has_room = self.decide_slot(ix);
                if !has_room || self.commits.is_full(bounds) {
                    self.close_batch();
                }
            }
            // The rounds stay open until nobody wants more of them.
            if !self.serve_waiting() {
                self.close_batch();
            }
        }
    }

    /// Whether one more batch may be on its way.
    fn may_send(&self) -> bool {
        self.commits.in_flight() < self.settings.appends_in_flight_max
    }

    /// Whether this turn has something to decide. What is let go of as a batch closes may be asked for again.
    pub(in crate::engine::core) fn has_to_decide(&self) -> bool {
        let decides = self.backlog.has_runnable() && self.may_send();
        decides || self.commits.has_open() || self.has_to_serve()
    }

    /// Sends what has gathered.
    fn close_batch(&mut self) {
        for ix in self.commits.take_open() {
            self.work_on(ix, |core, slot| {
                if let Some(round) = slot.stage.take_round() {
                    core.close_round(ix, slot, *round);
                }
            });
        }
        if let Some(batch) = self.commits.take_batch() {
            self.send_batch(batch);
        }
    }

    /// Sends append notices that no record of this engine waits for.
    pub(super) fn send_notices(&mut self) {
        if let Some(notices) = self.commits.take_notices() {
            self.send_batch(notices);
        }
    }

    pub(super) fn send_batch(&mut self, batch: Output) {
        self.pace.sent(self.now);
        self.outputs.push_back(batch);
    }

    /// Answers whether the record it goes into has room for more.
    fn decide_slot(&mut self, ix: u32) -> bool {
        let decide = |core: &mut Self, slot: &mut Slot| {
            let ready = slot.may_decide() && !slot.queue.is_empty();
            if let Some(reason) = slot.damaged.clone() {
                core.refuse_all(ix, slot, &Failure::Damaged(reason));
            } else if ready && slot.transient && slot.reading.is_stale() {
                // Somebody else drives it: what is said about it rests on its newest events.
                core.catch_up(slot);
            } else if ready {
                return core.decide_round(ix, slot);
            }
            true
        };
        self.work_on(ix, decide).unwrap_or(true)
    }

    fn decide_round(&mut self, ix: u32, slot: &mut Slot) -> bool {
        let mut round = slot.stage.take_round().unwrap_or_else(|| {
            self.commits.opened(ix);
            let covered = slot.reading.take_covered();
            // Alone with its store, everything it knows is the newest.
            let verified = if self.settings.alone { 0 } else { covered };
            Box::new(Round::on(slot.entity.as_ref(), slot.queue.len(), verified))
        });
        let (events, bytes) = (round.events().len(), round.bytes());
        let bytes_max = self.settings.batch_bytes_max;
        let mut has_room = true;
        let mut expiries = Vec::new();
        while has_room
            && round.takes_more()
            && let Some(waiting) = self.backlog.pop_front(&mut slot.queue)
        {
            round.takes_one();
            if waiting.is_expiry() {
                // Reports and heartbeats that came behind it are heard first.
                expiries.push(waiting);
                continue;
            }
            let response = self.decide_one(slot, &waiting, &mut round);
            round.answers(waiting, response);
            has_room = round.has_room(bytes_max);
        }
        for waiting in expiries {
            if has_room {
                let response = self.decide_one(slot, &waiting, &mut round);
                round.answers(waiting, response);
                has_room = round.has_room(bytes_max);
            } else {
                self.backlog.push_back(&mut slot.queue, waiting);
            }
        }
        self.commits.grew(round.events().len() - events, round.bytes() - bytes);
        self.count_tenant(slot);
        self.offer_early(ix, slot, &round.events()[events..]);
        slot.stage = Stage::Open(round);
        has_room
    }

    fn close_round(&mut self, ix: u32, slot: &mut Slot, round: Round) {
        // What is refused or read rests on the newest events, whoever wrote them.
        let fresh =
            round.is_verified() || self.settings.alone || planted::on(Planted::StaleRefusal);
        let has_events = !round.events().is_empty();
        if !has_events && !fresh && round.tells_what_is() {
            self.decide_later(ix, slot, round);
            self.catch_up(slot);
        } else if !has_events {
            for outcome in round.into_outcomes() {
                self.release(ix, slot, outcome);
            }
        } else if !slot.transient && slot.seq > 0 && !slot.is_awake(self.now) {
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
            Waiting::Heartbeat { lease, beat, .. } => self.heartbeat(slot, *lease, beat),
            Waiting::Command { origin: Origin::Clock, command, .. }
                if self.was_kept(slot, command) =>
            {
                Response::Command { answer: Answer::Nothing, shown: None }
            }
            Waiting::Command { command, caller, .. }
                if slot.entity.is_none()
                    && let Some(first) = &slot.deleted
                    && let Some(answered) = command.after_deletion(first, caller.mark.as_ref()) =>
            {
                match answered {
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
                self.decide_command(slot, command, caller, origin, round)
            }
        }
    }

    fn decide_command(
        &mut self,
        slot: &mut Slot,
        command: &Command,
        caller: &Caller,
        origin: &Origin,
        round: &mut Round,
    ) -> Response {
        let context = Context { heard: Self::heard_with(slot, command), ..self.context(caller) };
        let decided = kinds::decide(slot.subject.kind, slot.entity.as_ref(), command, &context);
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => {
                if matches!(refusal, Refusal::LeaseLost) {
                    self.counts.stale_reports += 1;
                }
                return Response::Refused(refusal);
            }
        };
        Self::is_said(slot, decision.event.as_ref().and_then(EntityEvent::job));
        if let Some(event) = decision.event
            && !round.add(&mut slot.entity, event, command.may_use_reserve())
        {
            let reason = "an event that cannot be written".to_owned();
            return Response::Failed(Failure::Damaged(reason));
        }
        self.commits.grew(0, round.store(decision.payloads));
        let shows = matches!(origin, Origin::Asked(_)) && command.shows_subject(&decision.answer);
        let shown = if shows { slot.entity.as_ref().map(Entity::shown) } else { None };
        Response::Command { answer: decision.answer, shown }
    }

    /// What a decision for this caller may look at beside the state.
    fn context(&mut self, caller: &Caller) -> Context {
        Context {
            now: self.now,
            dice: Dice::of(self.dice.draw()),
            incarnation: self.incarnation,
            grace_ms: self.settings.grace_ms,
            actor: Arc::clone(&caller.actor),
            command: caller.mark.clone(),
            correlation: caller.correlation.clone(),
            expected_version: caller.expected_version,
            heard: Carried::new(),
            keyed_commands_max: self.settings.quotas.keyed_commands_max,
        }
    }

    fn send_record(&mut self, slot: &mut Slot, round: Round) {
        let head = Head { subject: &slot.subject, seq: slot.seq, chain: slot.chain };
        let nonce = u128::from(self.dice.draw()) << 64 | u128::from(self.dice.draw());
        let in_flight = round.into_append(&head, nonce, self.now);
        let item = in_flight.item.clone();
        if slot.transient || !self.owns_groups() {
            // Whoever drives it, or may by now, is told.
            let (subject, seq) = (slot.subject.clone(), item.record.last());
            self.commits.notify(AppendNotice { subject, seq });
        }
        self.commits.push(item);
        slot.stage = Stage::InFlight(Box::new(in_flight));
    }

    /// Takes a round back: it is decided anew when more is known.
    fn decide_later(&mut self, ix: u32, slot: &mut Slot, round: Round) {
        let taken = round.take_back();
        self.take_back(ix, slot, taken.undo, &taken.events);
        for outcome in taken.outcomes.into_iter().rev() {
            self.backlog.push_front(&mut slot.queue, outcome.waiting);
        }
    }
}
