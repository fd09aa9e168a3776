//! Requests for work on their way: those that have not had their chance in this turn, and those whose parts are being
//! decided, by subjects here and at other engines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::engine::core::message::{EngineId, Failure, Granted, LeaseRequest, Ticket};

/// A lease request whose parts are being decided. It is answered when no part is open.
#[derive(Debug)]
pub(crate) struct PendingPoll {
    pub(crate) ticket: Ticket,
    pub(crate) request: LeaseRequest,
    /// Parts that are not known yet.
    pub(crate) parts: usize,
    pub(crate) granted: Vec<Granted>,
    /// Why a part came to nothing, where it was not for want of work.
    pub(crate) failure: Option<Failure>,
    /// Other engines that were asked for a part.
    asked: BTreeSet<EngineId>,
    /// Nobody waits for the answer any more: what it was granted is given back.
    pub(crate) gone: bool,
}

impl PendingPoll {
    pub(crate) fn new(ticket: Ticket, request: LeaseRequest) -> Self {
        Self {
            ticket,
            request,
            parts: 0,
            granted: Vec::new(),
            failure: None,
            asked: BTreeSet::new(),
            gone: false,
        }
    }
}

/// What is still missing to a request of which all parts are known.
#[derive(Debug)]
pub(crate) struct MissingWork {
    pub(crate) ticket: Ticket,
    pub(crate) request: LeaseRequest,
    pub(crate) asked: BTreeSet<EngineId>,
    pub(crate) nodes: usize,
}

/// Reports that came together with a request for work, by their tickets, which follow one another.
#[derive(Debug)]
struct Reports {
    first: Ticket,
    unanswered: u64,
    lease: Ticket,
}

/// All requests for work that are not answered and not parked.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    /// Of this turn.
    fresh: VecDeque<(Ticket, LeaseRequest)>,
    /// They found nothing where they looked, and are tried once more in this turn.
    retries: Vec<(Ticket, LeaseRequest)>,
    pending: BTreeMap<u64, PendingPoll>,
    last_number: u64,
    /// Reports that came with a request for work, by the last of their tickets.
    reports: BTreeMap<Ticket, Reports>,
    /// Those requests: they wait for the outcome of the reports, however short they want to wait.
    after_report: BTreeSet<Ticket>,
    /// Another engine passed them on: nobody else is asked for them, and they never wait.
    no_forward: BTreeSet<Ticket>,
    /// Leased for askers who are gone.
    undelivered: Vec<Granted>,
}

impl Polls {
    /// A request that came with the reports of the tickets behind its own.
    pub(crate) fn comes_with(&mut self, ticket: Ticket, reports: u64) {
        if reports > 0 {
            let together = Reports { first: ticket + 1, unanswered: reports, lease: ticket };
            self.reports.insert(ticket.saturating_add(reports), together);
            self.after_report.insert(ticket);
        }
    }

    /// Something was answered. Where it was the last report of a request for work, that request waits only as long as it
    /// wants to from now on: its ticket.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<Ticket> {
        self.no_forward.remove(&ticket);
        let (last, together) = self.reports.range_mut(ticket..).next()?;
        if ticket < together.first {
            return None;
        }
        together.unanswered = together.unanswered.saturating_sub(1);
        if together.unanswered > 0 {
            return None;
        }
        let (last, lease) = (*last, together.lease);
        self.reports.remove(&last);
        self.after_report.remove(&lease);
        Some(lease)
    }

    /// Whether its reports are not all answered yet.
    pub(crate) fn is_after_report(&self, ticket: Ticket) -> bool {
        self.after_report.contains(&ticket)
    }

    /// Another engine has passed it on.
    pub(crate) fn was_forwarded(&mut self, ticket: Ticket) {
        self.no_forward.insert(ticket);
    }

    pub(crate) fn is_forwarded(&self, ticket: Ticket) -> bool {
        self.no_forward.contains(&ticket)
    }

    /// A request has its chance in this turn.
    pub(crate) fn push(&mut self, ticket: Ticket, request: LeaseRequest) {
        self.fresh.push_back((ticket, request));
    }

    pub(crate) fn has_next(&self) -> bool {
        !self.fresh.is_empty() || !self.retries.is_empty()
    }

    /// One that found nothing where it looked; before all others.
    pub(crate) fn next_retry(&mut self) -> Option<(Ticket, LeaseRequest)> {
        self.retries.pop()
    }

    /// A new one; after all others.
    pub(crate) fn next_fresh(&mut self) -> Option<(Ticket, LeaseRequest)> {
        self.fresh.pop_front()
    }

    /// The number of the next pending request.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Its parts are asked for.
    pub(crate) fn begins(&mut self, number: u64, poll: PendingPoll) {
        self.pending.insert(number, poll);
    }

    pub(crate) fn is_pending(&self, number: u64) -> bool {
        self.pending.contains_key(&number)
    }

    /// Another engine is asked for a part. Answers the request; none: it is not pending any more.
    pub(crate) fn asks(&mut self, number: u64, engine: EngineId) -> Option<&LeaseRequest> {
        let pending = self.pending.get_mut(&number)?;
        pending.parts += 1;
        pending.asked.insert(engine);
        Some(&pending.request)
    }

    /// A part is known. Answers whether that was the last one.
    pub(crate) fn part_is_known(
        &mut self,
        number: u64,
        part: Result<Vec<Granted>, Failure>,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(&number) else { return false };
        match part {
            Ok(granted) => pending.granted.extend(granted),
            Err(failure) => pending.failure = Some(failure),
        }
        pending.parts = pending.parts.saturating_sub(1);
        pending.parts == 0
    }

    /// What is missing to a request that has asked another engine before; a first ask is made where it is served.
    pub(crate) fn misses(&self, number: u64, bytes_max: u64) -> Option<MissingWork> {
        let pending = self.pending.get(&number)?;
        let nodes = pending.request.max.saturating_sub(pending.granted.len());
        let is_whole = nodes == 0
            || pending.granted.iter().map(|one| one.work.bytes()).sum::<u64>() >= bytes_max;
        if is_whole || pending.gone || pending.asked.is_empty() {
            return None;
        }
        let (request, asked) = (pending.request.clone(), pending.asked.clone());
        Some(MissingWork { ticket: pending.ticket, request, asked, nodes })
    }

    /// All parts are known: it is answered.
    pub(crate) fn finish(&mut self, number: u64) -> Option<PendingPoll> {
        self.pending.remove(&number)
    }

    /// It leased nothing, and is tried once more in this turn, when no subject is in hands.
    pub(crate) fn retry(&mut self, poll: PendingPoll) {
        self.retries.push((poll.ticket, poll.request));
    }

    /// The asker is gone. Answers whether the request had not had its chance yet: then nothing came of it.
    pub(crate) fn take_fresh(&mut self, ticket: Ticket) -> bool {
        let before = self.fresh.len();
        self.fresh.retain(|(fresh, _)| *fresh != ticket);
        self.fresh.len() < before
    }

    /// The asker of a pending request is gone.
    pub(crate) fn is_gone(&mut self, ticket: Ticket) {
        if let Some(pending) = self.pending.values_mut().find(|one| one.ticket == ticket) {
            pending.gone = true;
        }
    }

    /// Nobody takes these: they are given back, when no subject is in hands.
    pub(crate) fn give_back(&mut self, granted: Vec<Granted>) {
        self.undelivered.extend(granted);
    }

    pub(crate) fn take_undelivered(&mut self) -> Vec<Granted> {
        std::mem::take(&mut self.undelivered)
    }

    /// What is kept for a while.
    pub(crate) fn len(&self) -> usize {
        self.pending.len() + self.reports.len() + self.after_report.len() + self.no_forward.len()
    }
}
