//! Claims: which attempts run here under which claim, and the requests under a claim that are not answered yet.
//! A request under a claim that is not known here is preceded by a question to every living engine. Of two engines that
//! ask each other the lower number goes first and the other defers to it: it asks once more, since the first no may be
//! from before the request came there. Requests under one claim at one engine are one request with several askers.
//! Absent: durability; the claim is in the lease's event, and this index is made anew from the jobs that are loaded.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Claim, Millis, Namespace, WorkerName};

use super::work::SlotWork;
use crate::engine::core::message::{EngineId, Failure, Granted, LeaseRequest, Response, Ticket};

/// Askers of one claim at one instant, and engines that wait for its outcome.
const ASKERS_MAX: usize = 16;

/// An engine that has not read everything is asked again after so long.
const READ_AGAIN_MS: Millis = 100;

/// An engine that gave way asks again so often; each time needs another request under its claim elsewhere.
const AGAIN_MAX: u8 = 3;

pub(crate) type ClaimKey = (Namespace, WorkerName, Claim);

/// The claim of a request, if it has one.
pub(crate) fn key_of(request: &LeaseRequest) -> Option<ClaimKey> {
    let claim = request.claim.clone()?;
    Some((request.namespace.clone(), request.worker.clone(), claim))
}

/// A request under a claim that is not answered yet. It is in one of three places: the other engines are asked about it
/// (`asking`), it waits for work (parked in the dispatch), or its parts are being decided. Only in the last is it not
/// known what runs under the claim: whoever asks then waits for the outcome.
#[derive(Debug)]
struct PendingClaim {
    /// Of the one who asked first.
    ticket: Ticket,
    /// Others who asked the same and get the same answer.
    duplicates: Vec<Ticket>,
    /// Nobody waits for `ticket` itself any more; its duplicates may.
    gone: bool,
    /// Questions of other engines that wait for the outcome.
    peer_queries: Vec<Ticket>,
    /// The question to the other engines is out.
    asking: Option<Asking>,
}

/// The question to the other engines.
#[derive(Debug)]
struct Asking {
    request: LeaseRequest,
    /// Engines that have not answered and are waited for.
    left: BTreeSet<EngineId>,
    /// Questions up to this number are from before: what comes back for them does not count.
    since: u64,
    found: Vec<Granted>,
    /// Engines that go first and were told so. What they said to the question under way may be from before.
    deferred_to: BTreeSet<EngineId>,
    /// How often it was asked again for their sake.
    retries: u8,
    /// Engines that have not read everything that may hold the claim's leases.
    unread: BTreeSet<EngineId>,
    /// They are asked until then.
    until: Millis,
}

/// A request that must ask the other engines first.
#[derive(Debug)]
pub(crate) struct PendingAsk {
    pub(crate) request: LeaseRequest,
    /// How long engines that have not read everything are asked.
    pub(crate) until: Millis,
}

/// Who asked first under a claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) ticket: Ticket,
    /// The other engines are being asked for him.
    pub(crate) asks: bool,
}

/// Another engine's question about a claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimQuestion {
    pub(crate) ticket: Ticket,
    pub(crate) by: EngineId,
    /// This engine has the lower number.
    pub(crate) own_goes_first: bool,
    /// The request here only waits for work.
    pub(crate) is_parked: bool,
}

/// What follows when an answer about a claim has come, or everything was read.
#[derive(Debug)]
pub(crate) enum ClaimStep {
    /// Somebody is still waited for.
    Wait,
    /// These are asked once more.
    Ask(Vec<EngineId>),
    /// Not everything could be read in time: whoever asked is told to ask again.
    GiveUp(Ticket),
    /// The request goes on, with what other engines know of it.
    GoOn { ticket: Ticket, request: LeaseRequest, found: Vec<Granted> },
}

/// What becomes of a request whose asker is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Others wait for the same answer, and go on waiting.
    OthersWait,
    /// Nothing was asked of subjects for it yet.
    Unserved,
    /// It may be waiting for work or be served.
    Served,
}

/// A request under a claim that is answered now.
#[derive(Debug)]
pub(crate) struct AnsweredClaim {
    pub(crate) duplicates: Vec<Ticket>,
    pub(crate) peer_queries: Vec<Ticket>,
    /// Whether the one who asked first still waits.
    pub(crate) first_waits: bool,
}

/// All claims that are known here.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Slots and nodes of the attempts that run under each claim. An entry alone grants nothing: the subject's own word
    /// counts.
    running: BTreeMap<ClaimKey, BTreeSet<(u32, u32)>>,
    pending: BTreeMap<ClaimKey, PendingClaim>,
    /// The claims of their askers, by ticket.
    of: BTreeMap<Ticket, ClaimKey>,
    /// Which of them ask other engines once more, and when.
    retries: BTreeSet<(Millis, ClaimKey)>,
}

/// The index of what runs.
impl Claims {
    /// Where attempts may run under a claim.
    pub(crate) fn places(&self, key: &ClaimKey) -> impl Iterator<Item = (u32, u32)> {
        self.running.get(key).into_iter().flatten().copied()
    }

    /// Under which claim a node's newest attempt runs now; none: it does not run, or under none.
    pub(crate) fn runs_under(
        &mut self,
        ix: u32,
        work: &mut SlotWork,
        node: u32,
        claim: Option<ClaimKey>,
    ) {
        if work.claimed.get(&node) == claim.as_ref() {
            return;
        }
        if let Some(key) = work.claimed.remove(&node) {
            self.forget_place(&key, (ix, node));
        }
        if let Some(key) = claim {
            work.claimed.insert(node, key.clone());
            self.running.entry(key).or_default().insert((ix, node));
        }
    }

    /// The subject leaves memory, or is not driven here any more.
    pub(crate) fn forget(&mut self, ix: u32, work: &mut SlotWork) {
        for (node, key) in std::mem::take(&mut work.claimed) {
            self.forget_place(&key, (ix, node));
        }
    }

    fn forget_place(&mut self, key: &ClaimKey, place: (u32, u32)) {
        let Some(places) = self.running.get_mut(key) else { return };
        places.remove(&place);
        if places.is_empty() {
            self.running.remove(key);
        }
    }

    /// Claims under which something runs.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
}

/// The requests that are not answered.
impl Claims {
    /// A first request under this claim; `ask`: the other engines are asked before it is served.
    pub(crate) fn begins(&mut self, key: ClaimKey, ticket: Ticket, ask: Option<PendingAsk>) {
        let asking = ask.map(|PendingAsk { request, until }| Asking {
            request,
            left: BTreeSet::new(),
            since: 0,
            found: Vec::new(),
            deferred_to: BTreeSet::new(),
            retries: 0,
            unread: BTreeSet::new(),
            until,
        });
        let (duplicates, peer_queries) = (Vec::new(), Vec::new());
        let pending = PendingClaim { ticket, duplicates, gone: false, peer_queries, asking };
        self.pending.insert(key.clone(), pending);
        self.of.insert(ticket, key);
    }

    /// Who asked first under this claim.
    pub(crate) fn asker(&self, key: &ClaimKey) -> Option<Asker> {
        let pending = self.pending.get(key)?;
        Some(Asker { ticket: pending.ticket, asks: pending.asking.is_some() })
    }

    /// Somebody else asks the same. False: too many do.
    pub(crate) fn joins(&mut self, key: &ClaimKey, ticket: Ticket) -> bool {
        let Some(pending) = self.pending.get_mut(key) else { return false };
        if pending.duplicates.len() >= ASKERS_MAX {
            return false;
        }
        pending.duplicates.push(ticket);
        self.of.insert(ticket, key.clone());
        true
    }

    /// Another engine asks about a claim under which a request is pending here. Answers whether it waits for the
    /// outcome; otherwise it is told that nothing runs under it.
    pub(crate) fn is_asked_about(&mut self, key: &ClaimKey, question: ClaimQuestion) -> bool {
        let Some(pending) = self.pending.get_mut(key) else { return false };
        let goes_first = pending.asking.is_none() || question.own_goes_first;
        if goes_first && !question.is_parked && pending.peer_queries.len() < ASKERS_MAX {
            pending.peer_queries.push(question.ticket);
            return true;
        }
        if let Some(asking) = pending.asking.as_mut()
            && !question.is_parked
            && !question.own_goes_first
        {
            asking.deferred_to.insert(question.by);
        }
        false
    }

    fn pending_of(&self, ticket: Ticket) -> Option<&PendingClaim> {
        let pending = self.pending.get(self.of.get(&ticket)?)?;
        Some(pending).filter(|pending| pending.ticket == ticket)
    }

    /// Whether another engine waits to hear what this request comes to: it must not be parked then.
    pub(crate) fn has_peer_queries(&self, ticket: Ticket) -> bool {
        self.pending_of(ticket).is_some_and(|pending| !pending.peer_queries.is_empty())
    }

    /// Whether others wait for the same answer.
    pub(crate) fn has_duplicates(&self, ticket: Ticket) -> bool {
        self.pending_of(ticket).is_some_and(|pending| !pending.duplicates.is_empty())
    }

    /// The other engines are asked from now on, in questions behind this number, and these are waited for. False: the
    /// request does not ask any more.
    pub(crate) fn asks(
        &mut self,
        key: &ClaimKey,
        waited_for: impl Iterator<Item = EngineId>,
        since: u64,
    ) -> bool {
        let asking = self.pending.get_mut(key).and_then(|pending| pending.asking.as_mut());
        let Some(asking) = asking else { return false };
        asking.left.extend(waited_for);
        asking.since = since;
        true
    }

    /// What another engine knows of a claim; none: it did not answer. Answers whether that counts.
    pub(crate) fn told(
        &mut self,
        key: &ClaimKey,
        number: u64,
        from: EngineId,
        response: Option<Response>,
    ) -> bool {
        let asking = self.pending.get_mut(key).and_then(|pending| pending.asking.as_mut());
        let Some(asking) = asking.filter(|asking| number > asking.since) else { return false };
        match response {
            Some(Response::Leases(granted)) => asking.found.extend(granted),
            Some(Response::Failed(Failure::Unavailable)) => _ = asking.unread.insert(from),
            Some(_) | None => {}
        }
        asking.left.remove(&from);
        true
    }

    /// What follows now for a request that asks the other engines. `has_unread`: this one has not read everything.
    pub(crate) fn step(&mut self, key: &ClaimKey, has_unread: bool, now: Millis) -> ClaimStep {
        let Some(pending) = self.pending.get_mut(key) else { return ClaimStep::Wait };
        let Some(asking) = pending.asking.as_mut().filter(|asking| asking.left.is_empty()) else {
            return ClaimStep::Wait;
        };
        let defers = asking.found.is_empty() && !asking.deferred_to.is_empty();
        if defers && asking.retries < AGAIN_MAX {
            asking.retries += 1;
            return ClaimStep::Ask(std::mem::take(&mut asking.deferred_to).into_iter().collect());
        }
        let ticket = pending.ticket;
        if has_unread || !asking.unread.is_empty() {
            if now < asking.until {
                let at = now.saturating_add(READ_AGAIN_MS).min(asking.until);
                self.retries.insert((at, key.clone()));
                return ClaimStep::Wait;
            }
            pending.asking = None;
            return ClaimStep::GiveUp(ticket);
        }
        let Some(asking) = pending.asking.take() else { return ClaimStep::Wait };
        ClaimStep::GoOn { ticket, request: asking.request, found: asking.found }
    }

    /// The next claim for which engines are asked again by now that had not read everything; with them, if any.
    pub(crate) fn next_retry(&mut self, now: Millis) -> Option<(ClaimKey, Vec<EngineId>)> {
        while self.next_due().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.retries.pop_first()
        {
            let pending = self.pending.get_mut(&key);
            let Some(asking) = pending.and_then(|pending| pending.asking.as_mut()) else {
                continue;
            };
            let engines = std::mem::take(&mut asking.unread).into_iter().collect();
            return Some((key, engines));
        }
        None
    }

    /// When engines are asked again next.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Something is answered. Where it is the request of who asked first under a claim, everybody gets the answer.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<AnsweredClaim> {
        let key = self.of.remove(&ticket)?;
        if self.pending.get(&key)?.ticket != ticket {
            return None;
        }
        let PendingClaim { duplicates, gone, peer_queries, .. } = self.pending.remove(&key)?;
        for duplicate in &duplicates {
            self.of.remove(duplicate);
        }
        let first_waits = !gone || duplicates.is_empty();
        Some(AnsweredClaim { duplicates, peer_queries, first_waits })
    }

    /// The asker of a request is gone.
    pub(crate) fn is_gone(&mut self, ticket: Ticket) -> Gone {
        let pending = self.of.get(&ticket).and_then(|key| self.pending.get_mut(key));
        let Some(pending) = pending else { return Gone::Served };
        if pending.ticket != ticket {
            pending.duplicates.retain(|duplicate| *duplicate != ticket);
            self.of.remove(&ticket);
            return Gone::OthersWait;
        }
        pending.gone = true;
        if !pending.duplicates.is_empty() {
            return Gone::OthersWait;
        }
        if pending.asking.take().is_some() { Gone::Unserved } else { Gone::Served }
    }

    /// Requests that are not answered.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }
}
