//! Claims: the same claim gives the same leases, also when it comes again at another engine, or twice at one instant.
//! A request under a claim that is not known here is preceded by a question to every living engine; silence is no, and
//! an engine that is known to be silent (`silence`) is asked without being waited for. Of
//! two engines that ask each other the lower number goes first and the other waits for its word: it asks once more, since
//! the first no may be from before the request came there. Requests under one claim at one engine are one request with
//! several askers.
//! Nothing is leased under a claim before everything is read that may hold its leases, here (`unread`) and at whoever is
//! asked: an engine that still reads says so, and is asked again.
//! Absent: durability; the claim is in the lease's event, and this index is made anew from the jobs that are loaded.

use std::collections::BTreeSet;

use domain::ids::{Claim, Millis, Namespace, WorkerName};

use crate::engine::core::Core;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{
    EngineId, Failure, Granted, LeaseRequest, Request, Response, Ticket,
};
use crate::engine::core::routing::Sent;
use crate::engine::core::unread::WAITS_MS;

/// Old hints are looked for so often.
const SWEPT_EVERY_MS: Millis = 10_000;
/// Other engines have so long to say that they know a claim.
const WITHIN_MS: Millis = 50;
/// Askers of one claim at one instant, and engines that wait for its outcome.
const ASKERS_MAX: usize = 16;

/// An engine that has not read everything is asked again after so long.
const READ_AGAIN_MS: Millis = 100;

/// An engine that gave way asks again so often; each time needs another request under its claim elsewhere.
const AGAIN_MAX: u8 = 3;

/// Whose claim.
pub(super) type ClaimKey = (Namespace, WorkerName, Claim);

/// A request under a claim that is not answered yet.
#[derive(Debug)]
pub(super) struct PendingClaim {
    ticket: Ticket,
    /// Others who asked the same and get the same answer.
    duplicates: Vec<Ticket>,
    /// Nobody waits for `ticket` itself any more.
    gone: bool,
    /// Questions of other engines that wait for the outcome.
    questions: Vec<Ticket>,
    /// The question to the other engines is out.
    asking: Option<Asking>,
}

#[derive(Debug)]
struct Asking {
    request: LeaseRequest,
    /// Engines that have not answered and are waited for.
    left: BTreeSet<EngineId>,
    /// Tickets up to this one are of questions before: what comes back for them does not count.
    since: Ticket,
    found: Vec<Granted>,
    /// Engines that go first and were told so. What they said to the question under way may be from before.
    first: BTreeSet<EngineId>,
    /// How often it was asked again.
    again: u8,
    /// Engines that have not read everything that may hold the claim's leases, or this one.
    unread: BTreeSet<EngineId>,
    /// They are asked until then.
    until: Millis,
}

impl Core {
    /// A request for work: served in this turn, when what can be decided is decided; under a claim not before it is known
    /// that nothing runs under it.
    pub(super) fn poll_lease(&mut self, ticket: Ticket, request: LeaseRequest, forwarded: bool) {
        self.dispatch.polled(&request, self.now);
        if request.claim.is_some() && !forwarded && !self.leaving && self.has_unread() {
            return self.waits_to_be_read(ticket, request);
        }
        if forwarded {
            self.no_forward.insert(ticket);
        }
        let known = self.claimed_before(&request);
        // What was leased for it elsewhere may not be known here.
        let whole = known.len() >= request.max || forwarded || self.peers.is_empty();
        let Some(key) = key_of(&request) else {
            return self.polls.push_back((ticket, request));
        };
        // What is leased under it at the moment may be known in part only.
        let in_part = !forwarded && self.is_being_leased(&key);
        if !known.is_empty() && whole && !in_part {
            return self.answer(ticket, Response::Leases(known));
        }
        if self.pending_claims.contains_key(&key) {
            return self.poll_again(ticket, request, &key);
        }
        let mut in_hand = PendingClaim {
            ticket,
            duplicates: Vec::new(),
            gone: false,
            questions: Vec::new(),
            asking: None,
        };
        let asks = !forwarded && !self.peers.is_empty();
        if asks {
            let until = request.wait_until.max(self.now.saturating_add(WAITS_MS));
            in_hand.asking = Some(Asking {
                unread: BTreeSet::new(),
                until,
                request,
                left: BTreeSet::new(),
                since: self.next_sent,
                found: Vec::new(),
                first: BTreeSet::new(),
                again: 0,
            });
        } else {
            self.polls.push_back((ticket, request));
        }
        self.pending_claims.insert(key.clone(), in_hand);
        self.claim_of.insert(ticket, key.clone());
        if asks {
            self.ask_about(self.peers.clone(), &key);
        }
    }

    /// Whether a request under this claim is in hand here and does not wait for work.
    fn is_being_leased(&self, key: &ClaimKey) -> bool {
        let in_hand = self.pending_claims.get(key);
        in_hand.is_some_and(|in_hand| {
            in_hand.asking.is_none() && !self.dispatch.is_parked(in_hand.ticket)
        })
    }

    /// Asks these engines about a claim in hand, and goes on at once where none of them is to be waited for.
    fn ask_about(&mut self, engines: Vec<EngineId>, key: &ClaimKey) {
        let asking = self.pending_claims.get_mut(key).and_then(|in_hand| in_hand.asking.as_mut());
        let Some(asking) = asking else { return };
        let silence = &self.silence;
        asking.left.extend(engines.iter().filter(|engine| !silence.is_silent(**engine)));
        asking.since = self.next_sent;
        for to in engines {
            let (namespace, worker, claim) = key.clone();
            let request = Request::Claimed { namespace, worker, claim, by: self.external_id };
            self.send_to(to, request, Sent::Claim { key: key.clone(), to }, WITHIN_MS);
        }
        self.go_on_with_claim(key);
    }

    /// A request under this claim is in hand already.
    fn poll_again(&mut self, ticket: Ticket, request: LeaseRequest, key: &ClaimKey) {
        let Some(in_hand) = self.pending_claims.get_mut(key) else { return };
        let (asks, first) = (in_hand.asking.is_some(), in_hand.ticket);
        if self.no_forward.contains(&ticket) && (asks || self.dispatch.is_parked(first)) {
            // Another engine leases under it: what only waits here gives way.
            self.unpark_polls(key);
            return self.polls.push_back((ticket, request));
        }
        if in_hand.duplicates.len() >= ASKERS_MAX {
            return self.fail(ticket, Failure::Overloaded);
        }
        in_hand.duplicates.push(ticket);
        self.claim_of.insert(ticket, key.clone());
    }

    /// Another engine asks what runs under a claim.
    pub(super) fn claimed(&mut self, ticket: Ticket, key: &ClaimKey, by: EngineId) {
        if self.has_unread() {
            return self.fail(ticket, Failure::Unavailable);
        }
        let known = self.claimed_here(key);
        let first = self.external_id < by;
        let tells = !known.is_empty() && !self.is_being_leased(key);
        let Some(in_hand) = self.pending_claims.get_mut(key).filter(|_| !tells) else {
            return self.answer(ticket, Response::Leases(known));
        };
        let goes_first = in_hand.asking.is_none() || first;
        let parked = self.dispatch.is_parked(in_hand.ticket);
        if goes_first && !parked && in_hand.questions.len() < ASKERS_MAX {
            return in_hand.questions.push(ticket);
        }
        if parked {
            self.unpark_polls(key);
        } else if let Some(asking) = in_hand.asking.as_mut().filter(|_| !first) {
            asking.first.insert(by);
        }
        self.answer(ticket, Response::Leases(Vec::new()));
    }

    /// Whoever waits here under a claim that is asked for elsewhere gets nothing here: a claim is one request.
    fn unpark_polls(&mut self, key: &ClaimKey) {
        let Some(ticket) = self.pending_claims.get(key).map(|in_hand| in_hand.ticket) else {
            return;
        };
        if self.dispatch.unpark(ticket).is_some() {
            self.answer(ticket, Response::Leases(Vec::new()));
        }
    }

    /// Whether another engine waits to hear what this request comes to: it must not be parked then.
    pub(super) fn is_asked_about(&self, ticket: Ticket) -> bool {
        let key = self.claim_of.get(&ticket);
        let in_hand = key.and_then(|key| self.pending_claims.get(key));
        in_hand.is_some_and(|in_hand| in_hand.ticket == ticket && !in_hand.questions.is_empty())
    }

    /// Whether others wait for the same answer.
    pub(super) fn has_duplicates(&self, ticket: Ticket) -> bool {
        let key = self.claim_of.get(&ticket);
        let in_hand = key.and_then(|key| self.pending_claims.get(key));
        in_hand.is_some_and(|in_hand| in_hand.ticket == ticket && !in_hand.duplicates.is_empty())
    }

    /// What another engine knows of a claim; nothing, also when it did not answer. The last word lets the request go on.
    pub(super) fn claim_told(
        &mut self,
        (ticket, from): (Ticket, EngineId),
        key: &ClaimKey,
        response: Option<Response>,
    ) {
        self.silence.heard(from, response.is_some());
        let asking = self.pending_claims.get_mut(key).and_then(|in_hand| in_hand.asking.as_mut());
        let Some(asking) = asking.filter(|asking| ticket > asking.since) else { return };
        match response {
            Some(Response::Leases(granted)) => asking.found.extend(granted),
            Some(Response::Failed(Failure::Unavailable)) => _ = asking.unread.insert(from),
            Some(_) | None => {}
        }
        asking.left.remove(&from);
        self.go_on_with_claim(key);
    }

    /// Lets a request under a claim go on when nobody is waited for any more.
    fn go_on_with_claim(&mut self, key: &ClaimKey) {
        let unread = self.has_unread();
        let Some(in_hand) = self.pending_claims.get_mut(key) else { return };
        let Some(asking) = in_hand.asking.as_mut().filter(|asking| asking.left.is_empty()) else {
            return;
        };
        if asking.found.is_empty() && !asking.first.is_empty() && asking.again < AGAIN_MAX {
            asking.again += 1;
            let first = std::mem::take(&mut asking.first).into_iter().collect();
            return self.ask_about(first, key);
        }
        if unread || !asking.unread.is_empty() {
            if self.now < asking.until {
                let at = self.now.saturating_add(READ_AGAIN_MS).min(asking.until);
                self.claim_retries.insert((at, key.clone()));
                return;
            }
            let ticket = in_hand.ticket;
            in_hand.asking = None;
            return self.fail(ticket, Failure::Unavailable);
        }
        let (ticket, Some(asking)) = (in_hand.ticket, in_hand.asking.take()) else { return };
        let mut known = self.claimed_before(&asking.request);
        let there: BTreeSet<_> = known.iter().map(|one| one.lease).collect();
        known.extend(asking.found.into_iter().filter(|one| !there.contains(&one.lease)));
        if known.is_empty() {
            self.polls.push_back((ticket, asking.request));
        } else {
            self.answer(ticket, Response::Leases(known));
        }
    }

    /// Engines that had not read everything are asked once more, each with what it knows by now.
    pub(super) fn ask_claims_again(&mut self) {
        while self.asks_claims_at().is_some_and(|at| at <= self.now)
            && let Some((_, key)) = self.claim_retries.pop_first()
        {
            let in_hand = self.pending_claims.get_mut(&key);
            let Some(asking) = in_hand.and_then(|in_hand| in_hand.asking.as_mut()) else {
                continue;
            };
            let engines: Vec<EngineId> = std::mem::take(&mut asking.unread).into_iter().collect();
            if engines.is_empty() {
                self.go_on_with_claim(&key);
            } else {
                self.ask_about(engines, &key);
            }
        }
    }

    /// When they are asked next.
    pub(super) fn asks_claims_at(&self) -> Option<Millis> {
        self.claim_retries.first().map(|(at, _)| *at)
    }

    /// The answer to a request under a claim is known: whoever asked the same gets the same. Answers whether the one who
    /// asked first still waits.
    pub(super) fn claim_answered(&mut self, ticket: Ticket, response: &Response) -> bool {
        let Some(key) = self.claim_of.remove(&ticket) else { return true };
        if self.pending_claims.get(&key).is_none_or(|in_hand| in_hand.ticket != ticket) {
            return true;
        }
        let Some(in_hand) = self.pending_claims.remove(&key) else { return true };
        let waits = !in_hand.gone || in_hand.duplicates.is_empty();
        for twin in in_hand.duplicates {
            self.claim_of.remove(&twin);
            self.answer(twin, response.clone());
        }
        let known =
            if let Response::Leases(granted) = response { granted.clone() } else { Vec::new() };
        for question in in_hand.questions {
            self.answer(question, Response::Leases(known.clone()));
        }
        waits
    }

    /// The asker of a request for work is gone.
    pub(super) fn gone(&mut self, ticket: Ticket) {
        if self.gone_unread(ticket) {
            return;
        }
        if let Some(key) = self.claim_of.get(&ticket).cloned()
            && let Some(in_hand) = self.pending_claims.get_mut(&key)
        {
            if in_hand.ticket != ticket {
                in_hand.duplicates.retain(|twin| *twin != ticket);
                self.claim_of.remove(&ticket);
                return;
            }
            in_hand.gone = true;
            if !in_hand.duplicates.is_empty() {
                return;
            }
            if in_hand.asking.take().is_some() {
                return self.answer(ticket, Response::Leases(Vec::new()));
            }
        }
        let polled = self.polls.len();
        self.polls.retain(|(polled, _)| *polled != ticket);
        if self.polls.len() < polled || self.dispatch.unpark(ticket).is_some() {
            return self.answer(ticket, Response::Leases(Vec::new()));
        }
        if let Some(pending) = self.pending_leases.values_mut().find(|one| one.ticket == ticket) {
            pending.gone = true;
        }
    }

    /// A claim may have come again before the job that holds its leases was read: it gets them now.
    pub(super) fn meet_claims(&mut self, ix: u32) {
        let Some(slot) = self.slots.get(ix).filter(|slot| !slot.transient) else { return };
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let claims = slot.leases.keys().filter_map(|node| job.claims.get(node));
        let keys: BTreeSet<ClaimKey> = claims
            .map(|mark| (job.namespace.clone(), mark.worker.clone(), mark.claim.clone()))
            .collect();
        for key in keys {
            // Whoever waits under a claim is the one that has it in hand; all others wait for the same answer.
            let Some(ticket) = self.pending_claims.get(&key).map(|in_hand| in_hand.ticket) else {
                continue;
            };
            let known = self.claimed_here(&key);
            if !known.is_empty() && self.dispatch.unpark(ticket).is_some() {
                self.answer(ticket, Response::Leases(known));
            }
        }
    }

    /// Forgets queues that nobody uses, and old hints, now and then.
    pub(super) fn sweep(&mut self) {
        self.dispatch.forget_unused(self.now);
        if self.now < self.swept_at.saturating_add(SWEPT_EVERY_MS) {
            return;
        }
        self.swept_at = self.now;
        self.hints.forget(self.now, |_| true);
    }
}

pub(super) fn key_of(request: &LeaseRequest) -> Option<ClaimKey> {
    let claim = request.claim.clone()?;
    Some((request.namespace.clone(), request.worker.clone(), claim))
}
