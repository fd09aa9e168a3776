//! How far a subject's decisions are on their way to the store.

use domain::ids::Millis;

use super::round::Round;
use crate::engine::core::kinds::{self, EntityEvent, EntityUndo};
use crate::engine::core::message::Ticket;
use crate::engine::core::waiting::{Origin, PromisedAnswer, Waiting};
use crate::event_store::contract::AppendItem;

/// An append of one subject that has not come back.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) item: AppendItem,
    pub(crate) events: Vec<EntityEvent>,
    /// Takes the entity back to the committed state, should the append come to nothing.
    pub(crate) undo: EntityUndo,
    /// Released when it has committed.
    pub(crate) outcomes: Vec<PromisedAnswer>,
    /// Its outcome is unknown: the same record is written again then.
    again_at: Option<Millis>,
    /// Its outcome was unknown once: heartbeats may have been held up meanwhile.
    was_unknown: bool,
}

/// Who waited for an append of unknown outcome, and what it is about.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) nodes: Vec<u32>,
    pub(crate) tickets: Vec<Ticket>,
    /// Lease requests of which it decided a part.
    pub(crate) polls: Vec<u64>,
}

impl InFlight {
    pub(crate) fn new(
        item: AppendItem,
        events: Vec<EntityEvent>,
        undo: EntityUndo,
        outcomes: Vec<PromisedAnswer>,
    ) -> Self {
        Self { item, events, undo, outcomes, again_at: None, was_unknown: false }
    }

    pub(super) fn again_at(&self) -> Option<Millis> {
        self.again_at
    }

    /// Its outcome is unknown. Answers when it was to be written again before.
    pub(super) fn writes_again_at(&mut self, at: Millis) -> Option<Millis> {
        self.was_unknown = true;
        self.again_at.replace(at)
    }

    pub(crate) fn was_unknown(&self) -> bool {
        self.was_unknown
    }

    /// Whoever waits for it is told that nobody knows, and waits no more: what it comes to is nobody's answer then.
    pub(super) fn nobody_waits(&mut self) -> Unanswered {
        let nodes = kinds::touched(&self.events);
        let mut told = Unanswered { nodes, tickets: Vec::new(), polls: Vec::new() };
        for outcome in &mut self.outcomes {
            match &mut outcome.waiting {
                Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. } => {
                    told.tickets.extend(ticket.take());
                }
                Waiting::Command { origin, .. } => match origin {
                    Origin::Asked(ticket) => {
                        told.tickets.push(*ticket);
                        *origin = Origin::Nobody;
                    }
                    Origin::Lease { request, .. } => told.polls.extend(request.take()),
                    Origin::Clock
                    | Origin::Grant { .. }
                    | Origin::Admission { .. }
                    | Origin::Nobody => {}
                },
            }
        }
        told
    }
}

/// How far what was decided about a subject is. A round is open within a turn only, and closing it makes it an append
/// or nothing; while an append is in flight nothing is decided, so there is never a round on top of one.
#[derive(Debug, Default)]
pub(crate) enum Stage {
    /// What the entity shows is committed.
    #[default]
    Settled,
    /// It was decided in this turn and is not sent yet: more may be decided on top of it.
    Open(Box<Round>),
    /// It is being written.
    InFlight(Box<InFlight>),
}

impl Stage {
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Settled)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self, Self::InFlight(_))
    }

    /// Whether something may be decided on top of it now.
    pub(crate) fn takes_more(&self) -> bool {
        match self {
            Self::Settled => true,
            Self::Open(round) => round.takes_more(),
            Self::InFlight(_) => false,
        }
    }

    /// The open round, to add to it or to close it.
    pub(crate) fn take_round(&mut self) -> Option<Box<Round>> {
        match std::mem::take(self) {
            Self::Open(round) => Some(round),
            stage @ (Self::Settled | Self::InFlight(_)) => {
                *self = stage;
                None
            }
        }
    }

    pub(super) fn take_in_flight(&mut self) -> Option<InFlight> {
        match std::mem::take(self) {
            Self::InFlight(in_flight) => Some(*in_flight),
            stage @ (Self::Settled | Self::Open(_)) => {
                *self = stage;
                None
            }
        }
    }

    pub(super) fn in_flight_mut(&mut self) -> Option<&mut InFlight> {
        match self {
            Self::InFlight(in_flight) => Some(in_flight),
            Self::Settled | Self::Open(_) => None,
        }
    }

    /// The seq of the last event that is being written.
    pub(crate) fn writes_up_to(&self) -> Option<u64> {
        match self {
            Self::InFlight(in_flight) => Some(in_flight.item.record.last()),
            Self::Settled | Self::Open(_) => None,
        }
    }

    /// The append, which is about to be written again.
    pub(crate) fn write_again(&mut self) -> Option<&InFlight> {
        let in_flight = self.in_flight_mut()?;
        in_flight.again_at = None;
        Some(in_flight)
    }
}
