//! Claims: the same claim gives the same leases, also when it comes again at another engine, or twice at one instant.
//! A request under a claim that is not known here is preceded by a question to every living engine; silence is no, and
//! an engine that is known to be silent is asked without being waited for. Nothing is leased under a claim before
//! everything is read that may hold its leases, here (`Unread`) and at whoever is asked: an engine that still reads says
//! so, and is asked again.

use std::collections::BTreeSet;

use domain::ids::Millis;

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::leases::{
    AnsweredClaim, ClaimKey, ClaimQuestion, ClaimStep, Gone, PendingAsk, key_of,
};
use crate::engine::core::message::{EngineId, Failure, LeaseRequest, Request, Response, Ticket};
use crate::engine::core::peers::Sent;
use crate::engine::core::residency::WAITS_MS;

/// Other engines have so long to say that they know a claim.
const WITHIN_MS: Millis = 50;

impl Core {
    /// A request for work: served in this turn, when what can be decided is decided; under a claim not before it is known
    /// that nothing runs under it.
    pub(in crate::engine::core) fn poll_lease(
        &mut self,
        ticket: Ticket,
        request: LeaseRequest,
        forwarded: bool,
    ) {
        self.dispatch.polled(&request, self.now);
        if request.claim.is_some() && !forwarded && !self.leaving && self.unread.is_there() {
            return self.waits_to_be_read(ticket, request);
        }
        if forwarded {
            self.polls.was_forwarded(ticket);
        }
        let known = self.claimed_before(&request);
        // What was leased for it elsewhere may not be known here.
        let whole = known.len() >= request.max || forwarded || self.peers.are_none();
        let Some(key) = key_of(&request) else {
            return self.polls.push(ticket, request);
        };
        // What is leased under it at the moment may be known in part only.
        let in_part = !forwarded && self.is_being_leased(&key);
        if !known.is_empty() && whole && !in_part {
            return self.answer(ticket, Response::Leases(known));
        }
        if self.claims.asker(&key).is_some() {
            return self.poll_again(ticket, request, &key);
        }
        if forwarded || self.peers.are_none() {
            self.claims.begins(key, ticket, None);
            return self.polls.push(ticket, request);
        }
        let until = request.wait_until.max(self.now.saturating_add(WAITS_MS));
        self.claims.begins(key.clone(), ticket, Some(PendingAsk { request, until }));
        self.ask_about(self.peers.all().to_vec(), &key);
    }

    /// Whether a request under this claim is pending here and does not wait for work.
    fn is_being_leased(&self, key: &ClaimKey) -> bool {
        let asker = self.claims.asker(key);
        asker.is_some_and(|asker| !asker.asks && !self.dispatch.is_parked(asker.ticket))
    }

    /// Asks these engines about a pending claim, and goes on at once where none of them is to be waited for.
    fn ask_about(&mut self, engines: Vec<EngineId>, key: &ClaimKey) {
        let answering = engines.iter().copied().filter(|engine| !self.peers.is_silent(*engine));
        if !self.claims.asks(key, answering, self.outbox.last()) {
            return;
        }
        for to in engines {
            let (namespace, worker, claim) = key.clone();
            let by = self.routing.external_id();
            let request = Request::Claimed { namespace, worker, claim, by };
            self.send_to(to, request, Sent::Claim { key: key.clone(), to }, WITHIN_MS);
        }
        self.go_on_with_claim(key);
    }

    /// A request under this claim is pending already.
    fn poll_again(&mut self, ticket: Ticket, request: LeaseRequest, key: &ClaimKey) {
        let Some(first) = self.claims.asker(key) else { return };
        let waits = first.asks || self.dispatch.is_parked(first.ticket);
        if self.polls.is_forwarded(ticket) && waits {
            // Another engine leases under it: what only waits here gives way.
            self.unpark_polls(key);
            return self.polls.push(ticket, request);
        }
        if !self.claims.joins(key, ticket) {
            self.fail(ticket, Failure::Overloaded);
        }
    }

    /// Another engine asks what runs under a claim.
    pub(in crate::engine::core) fn claimed(
        &mut self,
        ticket: Ticket,
        key: &ClaimKey,
        by: EngineId,
    ) {
        if self.unread.is_there() {
            return self.fail(ticket, Failure::Unavailable);
        }
        let known = self.claimed_here(key);
        let tells = !known.is_empty() && !self.is_being_leased(key);
        let Some(asker) = self.claims.asker(key).filter(|_| !tells) else {
            return self.answer(ticket, Response::Leases(known));
        };
        let own_goes_first = self.routing.external_id() < by;
        let is_parked = self.dispatch.is_parked(asker.ticket);
        let question = ClaimQuestion { ticket, by, own_goes_first, is_parked };
        if self.claims.is_asked_about(key, question) {
            return;
        }
        if is_parked {
            self.unpark_polls(key);
        }
        self.answer(ticket, Response::Leases(Vec::new()));
    }

    /// Whoever waits here under a claim that is asked for elsewhere gets nothing here: a claim is one request.
    fn unpark_polls(&mut self, key: &ClaimKey) {
        let Some(asker) = self.claims.asker(key) else { return };
        if self.dispatch.unpark(asker.ticket).is_some() {
            self.answer(asker.ticket, Response::Leases(Vec::new()));
        }
    }

    /// What another engine knows of a claim; none: it did not answer. The last word lets the request go on.
    pub(super) fn claim_told(
        &mut self,
        number: u64,
        from: EngineId,
        key: &ClaimKey,
        response: Option<Response>,
    ) {
        self.peers.heard(from, response.is_some());
        if self.claims.told(key, number, from, response) {
            self.go_on_with_claim(key);
        }
    }

    /// Lets a request under a claim go on when nobody is waited for any more.
    fn go_on_with_claim(&mut self, key: &ClaimKey) {
        match self.claims.step(key, self.unread.is_there(), self.now) {
            ClaimStep::Wait => {}
            ClaimStep::Ask(engines) => self.ask_about(engines, key),
            ClaimStep::GiveUp(ticket) => self.fail(ticket, Failure::Unavailable),
            ClaimStep::GoOn { ticket, request, found } => {
                let mut known = self.claimed_before(&request);
                let there: BTreeSet<_> = known.iter().map(|one| one.lease).collect();
                known.extend(found.into_iter().filter(|one| !there.contains(&one.lease)));
                if known.is_empty() {
                    self.polls.push(ticket, request);
                } else {
                    self.answer(ticket, Response::Leases(known));
                }
            }
        }
    }

    /// Engines that had not read everything are asked once more, each with what it knows by now.
    pub(in crate::engine::core) fn ask_claims_again(&mut self) {
        while let Some((key, engines)) = self.claims.next_retry(self.now) {
            if engines.is_empty() {
                self.go_on_with_claim(&key);
            } else {
                self.ask_about(engines, &key);
            }
        }
    }

    /// The answer to a request under a claim is known: whoever asked the same gets the same. Answers whether the one who
    /// asked first still waits.
    pub(in crate::engine::core) fn claim_answered(
        &mut self,
        ticket: Ticket,
        response: &Response,
    ) -> bool {
        let Some(answered) = self.claims.answered(ticket) else { return true };
        let AnsweredClaim { duplicates, peer_queries, first_waits } = answered;
        for duplicate in duplicates {
            self.answer(duplicate, response.clone());
        }
        let known =
            if let Response::Leases(granted) = response { granted.clone() } else { Vec::new() };
        for query in peer_queries {
            self.answer(query, Response::Leases(known.clone()));
        }
        first_waits
    }

    /// The asker of a request for work is gone.
    pub(in crate::engine::core) fn gone(&mut self, ticket: Ticket) {
        if self.gone_unread(ticket) {
            return;
        }
        let unserved = match self.claims.is_gone(ticket) {
            Gone::OthersWait => return,
            Gone::Unserved => true,
            Gone::Served => {
                self.polls.take_fresh(ticket)
                    || self.dispatch.unpark(ticket).is_some()
                    || self.pauses.is_gone(ticket)
            }
        };
        if unserved {
            return self.answer(ticket, Response::Leases(Vec::new()));
        }
        self.polls.is_gone(ticket);
    }

    /// A claim may have come again before the job that holds its leases was read: it gets them now.
    pub(super) fn meet_claims(&mut self, ix: u32) {
        let Some(slot) = self.slots.get(ix).filter(|slot| !slot.transient) else { return };
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let claims = slot.work.leases().filter_map(|(node, _)| job.claims.get(&node));
        let keys: BTreeSet<ClaimKey> = claims
            .map(|mark| (job.namespace.clone(), mark.worker.clone(), mark.claim.clone()))
            .collect();
        for key in keys {
            // Whoever waits under a claim is the one who asked first; all others wait for the same answer.
            let Some(asker) = self.claims.asker(&key) else { continue };
            let known = self.claimed_here(&key);
            if !known.is_empty() && self.dispatch.unpark(asker.ticket).is_some() {
                self.answer(asker.ticket, Response::Leases(known));
            }
        }
    }
}
