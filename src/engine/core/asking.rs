//! Asking other engines for work, when there is too little here: those that told of some, one after the other, for what
//! is missing. Their answers become parts of one answer.
//! Always holds: a request that another engine passed on is never passed on again, and what was leased for an asker who
//! is gone is given back uncounted. An engine that does not answer is skipped, and not asked for the same again: what
//! it may have leased is under the request's claim, or runs out.

use std::collections::BTreeSet;

use domain::ids::SubjectId;
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::{Hash, Payload};

use crate::engine::core::Core;
use crate::engine::core::dispatch::QueueKey;
use crate::engine::core::leasing::ANSWER_BYTES_MAX;
use crate::engine::core::message::{
    Command, EngineId, Granted, LeaseRequest, Output, Request, Response, Ticket,
};
use crate::engine::core::routing::Sent;
use crate::engine::core::slot::Origin;
use domain::ids::Millis;

/// An engine that leases nothing in so long has other worries; who waits is not kept longer.
const WITHIN_MS: Millis = 1_000;
/// Parked requests looked at when another engine tells of work: those that wait longest.
const PARKED_LOOKED_MAX: usize = 64;

impl Core {
    /// Who is asked next for what is missing to a request.
    pub(super) fn whom_to_ask(
        &mut self,
        ticket: Ticket,
        request: &LeaseRequest,
        asked: &BTreeSet<EngineId>,
    ) -> Option<(EngineId, u64)> {
        if self.leaving || self.no_forward.contains(&ticket) {
            return None;
        }
        self.hints.ask(request, asked, self.now)
    }

    /// Asks another engine for a part of a pending request.
    pub(super) fn ask_for_work(&mut self, number: u64, to: EngineId, heard: u64, missing: usize) {
        let Some(pending) = self.pending_leases.get_mut(&number) else { return };
        pending.parts += 1;
        pending.asked.insert(to);
        let request =
            LeaseRequest { max: missing, wait_until: Millis::MIN, ..pending.request.clone() };
        let sent = Sent::Lease { number, to, heard, request: request.clone() };
        self.send_to(to, Request::Lease(request), sent, WITHIN_MS);
    }

    /// All parts of a pending request are in: whether another engine is asked for what is still missing.
    pub(super) fn asks_another(&mut self, number: u64) -> bool {
        let Some(pending) = self.pending_leases.get(&number) else { return false };
        let missing = pending.request.max.saturating_sub(pending.granted.len());
        let bytes = |granted: &Granted| {
            granted.node().and_then(|node| node.input.as_ref()).map_or(0, Payload::len)
        };
        let whole = pending.granted.iter().map(bytes).sum::<u64>() >= ANSWER_BYTES_MAX;
        // A first ask is made where the request is served: here only those go on that have asked.
        if missing == 0 || whole || pending.gone || pending.asked.is_empty() {
            return false;
        }
        let (ticket, request, asked) =
            (pending.ticket, pending.request.clone(), pending.asked.clone());
        let Some((to, heard)) = self.whom_to_ask(ticket, &request, &asked) else { return false };
        self.ask_for_work(number, to, heard, missing);
        true
    }

    /// Another engine's part of a pending request; none: it did not answer.
    pub(super) fn leased_elsewhere(
        &mut self,
        (number, to, heard): (u64, EngineId, u64),
        request: &LeaseRequest,
        response: Option<Response>,
    ) {
        let granted = match response {
            Some(Response::Leases(granted)) => granted,
            Some(_) => Vec::new(),
            None => {
                // It is down, or cut off, or slow: it tells of itself when it is there again.
                self.hints.forget(self.now, |engine| engine != to);
                Vec::new()
            }
        };
        let whole = granted.len() >= request.max;
        self.hints.answered(to, request, heard, whole);
        if self.pending_leases.contains_key(&number) {
            self.lease_part(number, Ok(granted));
        } else {
            self.give_back_granted(granted);
        }
        self.ask_for_parked(&(request.namespace.clone(), request.queue.clone()));
    }

    /// Those who wait longest at a queue ask for it elsewhere, as far as anybody told of work.
    pub(super) fn ask_for_parked(&mut self, key: &QueueKey) {
        if self.leaving {
            return;
        }
        for (ticket, request) in self.dispatch.parked_first(key, PARKED_LOOKED_MAX) {
            let Some((to, heard)) = self.whom_to_ask(ticket, &request, &BTreeSet::new()) else {
                continue;
            };
            let missing = request.max;
            _ = self.dispatch.unpark(ticket);
            let number = self.lease_parts(ticket, request, Vec::new());
            self.ask_for_work(number, to, heard, missing);
        }
    }

    /// Attempts whose asker is gone are given back, wherever they were leased, when no subject is in hands.
    pub(super) fn give_back_granted(&mut self, granted: Vec<Granted>) {
        self.undelivered.extend(granted);
    }

    /// Gives back what nobody takes.
    pub(super) fn give_back_undelivered(&mut self) {
        for one in std::mem::take(&mut self.undelivered) {
            let report = Report {
                node: one.lease.node,
                epoch: one.lease.epoch,
                hash: Hash::of(b"undelivered"),
                outcome: Outcome::Release { undelivered: true },
            };
            let subject = SubjectId::job(one.namespace.clone(), one.lease.job);
            let command = Command::Job(JobCommand::Report(Box::new(report)));
            self.send(&subject, command, Origin::Message);
        }
    }

    /// Asks another engine something of this one's own.
    pub(super) fn send_to(&mut self, to: EngineId, request: Request, sent: Sent, within: Millis) {
        self.next_sent += 1;
        let ticket = self.next_sent;
        self.sent.insert(ticket, sent);
        self.outputs.push_back(Output::Forward { to, ticket, request, within_ms: within });
    }
}
