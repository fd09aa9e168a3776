//! A record in the making: what is decided about one subject in one turn, one after the other, each on top of the last.

use std::sync::Arc;

use domain::payload::PayloadBytes;

use super::in_flight::InFlight;
use crate::engine::core::kinds::{self, Entity, EntityEvent, EntityUndo};
use crate::engine::core::message::Response;
use crate::engine::core::waiting::{PromisedAnswer, Waiting};
use crate::event_store::contract::{AppendItem, ChainHash, HashedPayload, Record};
use domain::ids::{Millis, SubjectId};

/// Events of one record; more wait for the next.
const RECORD_EVENTS_MAX: usize = 1_000;

/// Most events are shorter: one allocation instead of a few that grow.
const EVENT_BYTES_USUAL: usize = 768;

/// What is decided about a subject in this turn, with its answers, which leave when it has committed.
#[derive(Debug)]
pub(crate) struct Round {
    body: Vec<u8>,
    events: Vec<EntityEvent>,
    payloads: Vec<HashedPayload>,
    outcomes: Vec<PromisedAnswer>,
    undo: EntityUndo,
    /// Nothing in it makes work: it may use the room that is kept for finishing what runs.
    may_use_reserve: bool,
    /// The tail was read for those that are decided in it, and so many of them are left; none: it was not. What is
    /// refused without such a read may rest on events that somebody else has added to since.
    reads_verified: Option<usize>,
}

/// Where a round goes: behind this event of this subject.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) subject: &'a SubjectId,
    pub(crate) seq: u64,
    pub(crate) chain: ChainHash,
}

/// A round that came to nothing, to be decided again when more is known.
#[derive(Debug)]
pub(crate) struct TakenBack {
    pub(crate) undo: EntityUndo,
    pub(crate) events: Vec<EntityEvent>,
    /// In the order in which they were decided.
    pub(crate) outcomes: Vec<PromisedAnswer>,
}

impl Round {
    /// For so many commands that wait: what is decided about most subjects at once is little, and known beforehand.
    pub(crate) fn on(entity: Option<&Entity>, waiting: usize, verified: usize) -> Self {
        let waiting = waiting.min(RECORD_EVENTS_MAX);
        Self {
            body: Vec::new(),
            events: Vec::with_capacity(waiting),
            payloads: Vec::new(),
            outcomes: Vec::with_capacity(waiting),
            undo: kinds::undo_for(entity),
            may_use_reserve: true,
            reads_verified: (verified > 0).then_some(verified),
        }
    }

    /// Whether more than what is in it may be decided in it: not what came after the read that it rests on.
    pub(crate) fn takes_more(&self) -> bool {
        self.reads_verified != Some(0)
    }

    /// Whether the record has room for more.
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.events.len() < RECORD_EVENTS_MAX && self.body.len() < bytes_max
    }

    /// One more of those that wait is decided in it.
    pub(crate) fn takes_one(&mut self) {
        self.reads_verified = self.reads_verified.map(|left| left.saturating_sub(1));
    }

    /// Whether the tail was read for what is decided in it.
    pub(crate) fn is_verified(&self) -> bool {
        self.reads_verified.is_some()
    }

    pub(crate) fn events(&self) -> &[EntityEvent] {
        &self.events
    }

    /// Bytes of its events.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether it says no to somebody, or shows something: that must rest on the newest events, whoever wrote them.
    pub(crate) fn tells_what_is(&self) -> bool {
        self.outcomes
            .iter()
            .any(|outcome| matches!(outcome.response, Response::Refused(_) | Response::Read(_)))
    }

    /// What is said to whoever waits, when it has committed.
    pub(crate) fn answers(&mut self, waiting: Waiting, response: Response) {
        self.outcomes.push(PromisedAnswer { waiting, response });
    }

    /// Applies an event to the entity and adds it. False: it cannot be written, and nothing is changed.
    pub(crate) fn add(
        &mut self,
        entity: &mut Option<Entity>,
        event: EntityEvent,
        may_use_reserve: bool,
    ) -> bool {
        let before = self.body.len();
        self.body.reserve(EVENT_BYTES_USUAL);
        if before > 0 {
            self.body.push(b'\n');
        }
        if event.encode_into(&mut self.body).is_err() {
            self.body.truncate(before);
            return false;
        }
        kinds::apply_undoable(entity, &event, &mut self.undo);
        self.may_use_reserve &= may_use_reserve;
        self.events.push(event);
        true
    }

    /// Adds payloads; answers how many bytes.
    pub(crate) fn store(&mut self, payloads: Vec<PayloadBytes>) -> usize {
        let bytes = payloads.iter().map(|payload| payload.bytes.len()).sum();
        let stored = payloads.into_iter();
        self.payloads.extend(stored.map(|p| HashedPayload { hash: p.sha256.0, bytes: p.bytes }));
        bytes
    }

    /// Nothing of it has to be written: what is said may be said at once.
    pub(crate) fn into_outcomes(self) -> Vec<PromisedAnswer> {
        self.outcomes
    }

    /// It is decided anew when more is known.
    pub(crate) fn take_back(self) -> TakenBack {
        TakenBack { undo: self.undo, events: self.events, outcomes: self.outcomes }
    }

    /// As a record behind the head. `nonce` tells it from another of the same seq.
    pub(crate) fn into_append(self, head: &Head<'_>, nonce: u128, now: Millis) -> InFlight {
        let mut chain = head.chain;
        for line in self.body.split(|byte| *byte == b'\n') {
            chain = domain::history::chain(chain, line);
        }
        let record = Record {
            first: head.seq + 1,
            count: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
            nonce,
            at: self.events.last().map_or(now, EntityEvent::at),
            body: Arc::from(self.body),
            hash: chain,
        };
        let item = AppendItem {
            subject: head.subject.clone(),
            record,
            payloads: self.payloads,
            wake: (head.seq == 0).then_some(now),
            may_use_reserve: self.may_use_reserve,
        };
        InFlight::new(item, self.events, self.undo, self.outcomes)
    }
}
