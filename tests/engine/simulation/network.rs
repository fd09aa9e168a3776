//! Requests between engines: lost, late, repeated, and answers that come when nobody waits for them any more.
//! Always holds: the asking engine hears exactly once, an answer or that there is none, unless it dies first.

use domain::ids::Millis;
use orrery::engine::core::message::{Input, Request, Response, Ticket};

use super::world::{Happening, Whose, World};

/// An engine waits so long for another.
const FORWARD_DEADLINE_MS: Millis = 2_000;

/// A request of one engine to another.
#[derive(Debug)]
pub(crate) struct Flight {
    of: Whose,
    ticket: Ticket,
    request: Request,
    /// The asking engine has been told.
    settled: bool,
}

impl World {
    pub(crate) fn forwards(&mut self, of: Whose, to: u32, ticket: Ticket, request: Request) {
        let at = usize::try_from(to).expect("few engines");
        if let Some(call) = self.calls.get_mut(&ticket) {
            call.relayed = true;
        }
        let flown = self.ticket();
        self.flights.insert(flown, Flight { of, ticket, request: request.clone(), settled: false });
        self.after(FORWARD_DEADLINE_MS, Happening::ForwardLost { ticket: flown });
        let (lost, repeated) = (self.mix.network.lost_requests, self.mix.network.repeated);
        if !self.dice.chance(lost) {
            let wait = self.network_wait();
            let request = request.clone();
            self.after(wait, Happening::Forwarded { at, ticket: flown, request });
        }
        if self.dice.chance(repeated) {
            // The copy has a ticket of its own, whose answer nobody waits for.
            let copy = self.ticket();
            let flight = Flight { of, ticket, request: request.clone(), settled: true };
            self.flights.insert(copy, flight);
            let wait = self.network_wait();
            self.after(wait, Happening::Forwarded { at, ticket: copy, request });
        }
    }

    pub(crate) fn forwarded(&mut self, at: usize, ticket: Ticket, request: Request) {
        let of = self.life_of(at);
        let frozen = self.members[at].frozen_until - self.now;
        if self.members[at].core.is_none() {
            return;
        }
        if frozen > 0 {
            return self.after(frozen, Happening::Forwarded { at, ticket, request });
        }
        self.give(of, Input::Request { ticket, request, forwarded: true });
    }

    /// The asked engine answers.
    pub(crate) fn answers_engine(&mut self, ticket: Ticket, response: Response) {
        let lost = self.mix.network.lost_answers;
        if self.dice.chance(lost) {
            return;
        }
        let wait = self.network_wait();
        self.after(wait, Happening::ForwardAnswered { ticket, response });
    }

    pub(crate) fn forward_answered(&mut self, ticket: Ticket, response: Response) {
        let Some(flight) = self.flights.get_mut(&ticket) else { return };
        if std::mem::replace(&mut flight.settled, true) {
            return;
        }
        let (of, ticket) = (flight.of, flight.ticket);
        self.give(of, Input::Forwarded { ticket, response });
    }

    pub(crate) fn forward_lost(&mut self, ticket: Ticket) {
        let Some(flight) = self.flights.get_mut(&ticket) else { return };
        if std::mem::replace(&mut flight.settled, true) {
            return;
        }
        self.checker.count("fault: no answer of another engine");
        let (of, ticket, request) = (flight.of, flight.ticket, flight.request.clone());
        self.give(of, Input::NotForwarded { ticket, request });
    }
}
