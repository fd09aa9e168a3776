//! Requests between engines: lost, late, repeated, and answers that come when nobody waits for them any more.
//! Always holds: the asking engine hears exactly once, an answer or that there is none, unless it dies first.

use domain::ids::Millis;
use orrery::engine::core::message::{Announced, ForwardTicket, Input, Request, Response, Ticket};

use super::bugs::Bug;
use super::world::{Happening, Whose, World};

/// A request of one engine to another.
#[derive(Debug)]
pub(crate) struct Flight {
    of: Whose,
    ticket: ForwardTicket,
    request: Request,
    /// The asking engine has been told.
    settled: bool,
    /// It came a second time by itself: nobody ever waited for its answer.
    copy: bool,
}

impl World {
    pub(crate) fn forwards(
        &mut self,
        of: Whose,
        to: u32,
        (ticket, request): (ForwardTicket, Request),
        within_ms: Millis,
    ) {
        let at = self.at_of(to);
        if let ForwardTicket::Asker(ticket) = ticket
            && let Some(call) = self.calls.get_mut(&ticket)
        {
            call.relayed = true;
        }
        let flown = self.ticket();
        let flight = Flight { of, ticket, request: request.clone(), settled: false, copy: false };
        self.flights.insert(flown, flight);
        self.after(within_ms, Happening::ForwardLost { ticket: flown });
        let (lost, repeated) = (self.mix.network.lost_requests, self.mix.network.repeated);
        if !self.dice.chance(lost) {
            let wait = self.network_wait();
            let request = request.clone();
            if let Some(at) = at {
                self.after(wait, Happening::Forwarded { at, ticket: flown, request });
            }
        }
        if self.dice.chance(repeated) {
            // The copy has a ticket of its own, whose answer nobody waits for.
            let copy = self.ticket();
            let flight = Flight { of, ticket, request: request.clone(), settled: true, copy: true };
            self.flights.insert(copy, flight);
            let wait = self.network_wait();
            if let Some(at) = at {
                self.after(wait, Happening::Forwarded { at, ticket: copy, request });
            }
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

    /// The asked engine answers. Where it notices that nobody takes the answer, it gives back what it leased for it.
    pub(crate) fn answers_engine(&mut self, of: Whose, ticket: Ticket, response: Response) {
        let (lost, noticed) = (self.mix.network.lost_answers, self.mix.network.noticed);
        let flight = self.flights.get(&ticket);
        let (settled, leases) = flight.map_or((true, false), |flight| {
            (flight.settled, !flight.copy && matches!(flight.request, Request::Lease(_)))
        });
        if self.dice.chance(lost) || (settled && leases) {
            if leases && self.dice.chance(noticed) {
                self.gives_back(of, response);
            }
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

    /// Words of work are lost, late and repeated like everything else.
    pub(crate) fn announces(&mut self, of: Whose, to: Vec<u32>, queues: &[Announced]) {
        self.checker.count("announced");
        let from = if self.has(Bug::OldNumber) {
            u32::try_from(of.at).expect("few engines")
        } else {
            self.members[of.at].number
        };
        let (lost, repeated) = (self.mix.network.lost_requests, self.mix.network.repeated);
        let to: Vec<usize> = to.into_iter().filter_map(|to| self.at_of(to)).collect();
        for at in to {
            let times = u32::from(!self.dice.chance(lost)) + u32::from(self.dice.chance(repeated));
            for _ in 0..times {
                let wait = self.network_wait();
                self.after(wait, Happening::Announced { at, from, queues: queues.to_vec() });
            }
        }
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
