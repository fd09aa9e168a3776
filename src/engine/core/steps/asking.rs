//! Asking other engines for work, when there is too little here: those that told of some, one after the other, for what
//! is missing. Their answers become parts of one answer.
//! Always holds: a request that another engine passed on is never passed on again, and what was leased for an asker who
//! is gone is given back uncounted. An engine that does not answer is skipped, and not asked for the same again: what
//! it may have leased is under the request's claim, or runs out.

use std::collections::BTreeSet;

use domain::ids::{Epoch, Millis, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::Hash;

use crate::engine::core::Core;
use crate::engine::core::leases::{ANSWER_BYTES_MAX, QueueKey};
use crate::engine::core::message::{
    EngineId, ForwardTicket, Granted, LeaseRequest, Output, Request, Response, Ticket,
};
use crate::engine::core::peers::{Sent, SentLease};
use crate::engine::core::waiting::Origin;

/// An engine that leases nothing in so long has other worries; who waits is not kept longer.
const WITHIN_MS: Millis = 1_000;
/// Parked requests looked at when another engine tells of work: those that wait longest.
const PARKED_LOOKED_MAX: usize = 64;

/// Whom to ask for work, and on which hint.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskFor {
    to: EngineId,
    hint: u64,
}

impl Core {
    /// Who is asked next for what is missing to a request.
    pub(super) fn whom_to_ask(
        &mut self,
        ticket: Ticket,
        request: &LeaseRequest,
        asked: &BTreeSet<EngineId>,
    ) -> Option<AskFor> {
        if self.leaving || self.polls.is_forwarded(ticket) {
            return None;
        }
        let (to, hint) = self.peers.whom_to_ask(request, asked, self.now)?;
        Some(AskFor { to, hint })
    }

    /// Asks another engine for a part of a pending request.
    pub(super) fn ask_for_work(&mut self, number: u64, ask: AskFor, missing: usize) {
        let AskFor { to, hint } = ask;
        let Some(asked) = self.polls.asks(number, to) else { return };
        let request = LeaseRequest { max: missing, wait_until: Millis::MIN, ..asked.clone() };
        let sent = Sent::Lease(SentLease { number, to, hint, request: request.clone() });
        self.send_to(to, Request::Lease(request), sent, WITHIN_MS);
    }

    /// All parts of a pending request are in: whether another engine is asked for what is still missing.
    pub(super) fn asks_another(&mut self, number: u64) -> bool {
        let Some(missing) = self.polls.misses(number, ANSWER_BYTES_MAX) else { return false };
        let ask = self.whom_to_ask(missing.ticket, &missing.request, &missing.asked);
        let Some(ask) = ask else { return false };
        self.ask_for_work(number, ask, missing.nodes);
        true
    }

    /// Another engine's part of a pending request; none: it did not answer.
    pub(super) fn leased_elsewhere(&mut self, sent: SentLease, response: Option<Response>) {
        let answered = response.is_some();
        let granted = match response {
            Some(Response::Leases(granted)) => granted,
            Some(_) | None => Vec::new(),
        };
        let whole = granted.len() >= sent.request.max;
        self.peers.has_leased(&sent, answered, whole, self.now);
        if self.polls.is_pending(sent.number) {
            self.lease_part(Some(sent.number), Ok(granted));
        } else {
            self.polls.give_back(granted);
        }
        self.ask_for_parked(&(sent.request.namespace, sent.request.queue));
    }

    /// Those who wait longest at a queue ask for it elsewhere, as far as anybody told of work.
    pub(super) fn ask_for_parked(&mut self, key: &QueueKey) {
        if self.leaving {
            return;
        }
        for (ticket, request) in self.dispatch.parked_first(key, PARKED_LOOKED_MAX) {
            let Some(ask) = self.whom_to_ask(ticket, &request, &BTreeSet::new()) else {
                continue;
            };
            let missing = request.max;
            _ = self.dispatch.unpark(ticket);
            let number = self.lease_parts(ticket, request, Vec::new());
            self.ask_for_work(number, ask, missing);
        }
    }

    /// Gives back what nobody takes, wherever it was leased: no subject is in hands.
    pub(in crate::engine::core) fn give_back_undelivered(&mut self) {
        for Granted { lease, namespace, .. } in self.polls.take_undelivered() {
            let subject = SubjectId::job(namespace, lease.job);
            let report = undelivered(lease.node, lease.epoch);
            self.send(&subject, report, Origin::Nobody);
        }
    }

    /// Asks another engine something of this one's own.
    pub(super) fn send_to(
        &mut self,
        to: EngineId,
        request: Request,
        sent: Sent,
        within_ms: Millis,
    ) {
        let ticket = ForwardTicket::Own(self.outbox.send(sent));
        self.outputs.push_back(Output::Forward { to, ticket, request, within_ms });
    }
}

/// The report that gives back an attempt that never reached its worker, uncounted.
pub(super) fn undelivered(node: u32, epoch: Epoch) -> JobCommand {
    JobCommand::Report(Box::new(Report {
        node,
        epoch,
        hash: Hash::of(b"undelivered"),
        outcome: Outcome::Release { undelivered: true },
    }))
}
