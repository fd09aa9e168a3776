//! Lease requests. A request takes the best candidates of its queue, asks each subject for its part in
//! one command, and is answered when all parts are. A client that went away holds nothing: what was granted to it is
//! given back uncounted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::ids::{LeaseId, Millis};
use domain::job::command::{JobCommand, LeaseOrder};
use domain::job::due;
use domain::job::state::{HandedOn, JobState};
use domain::node::attempt::AttemptRef;
use domain::payload::Payload;
use domain::refusal::{Quota, Refusal};

use super::asking::undelivered;
use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::leases::{ANSWER_BYTES_MAX, Entry, NotParked, PendingPoll};
use crate::engine::core::message::{
    Caller, Failure, Granted, LeaseRequest, Response, Ticket, Work,
};
use crate::engine::core::residency::Slot;
use crate::engine::core::urgency::Urgency;
use crate::engine::core::waiting::{Origin, Waiting};

impl Core {
    /// As `poll_lease`, for the reports of the next tickets: it waits for their outcome at least, since they may
    /// make the very work ready that is asked for.
    pub(in crate::engine::core) fn next_work(
        &mut self,
        ticket: Ticket,
        request: LeaseRequest,
        reports: u64,
    ) {
        self.polls.comes_with(ticket, reports);
        self.poll_lease(ticket, request, false);
    }

    /// Whether a request for work has not had its chance yet.
    pub(super) fn has_to_serve(&self) -> bool {
        self.polls.has_next() || self.dispatch.has_new_work()
    }

    /// Gives a request for work its chance: one that found nothing where it looked, one that is parked and for which
    /// something came, a new one. Answers whether there was one.
    pub(super) fn serve_waiting(&mut self) -> bool {
        let waiting = self.polls.next_retry().or_else(|| self.dispatch.next_served());
        match waiting.or_else(|| self.polls.next_fresh()) {
            None => false,
            Some((ticket, request)) => {
                self.serve(ticket, request);
                true
            }
        }
    }

    fn serve(&mut self, ticket: Ticket, request: LeaseRequest) {
        if self.waits_for_pauses(ticket, &request) {
            return;
        }
        let entries = self.dispatch.take(&request);
        let most = entries.len();
        let entries = self.within_bytes(&request, entries);
        if self.polls.is_forwarded(ticket) && most < request.max {
            self.dispatch.emptied(&(request.namespace.clone(), request.queue.clone()));
        }
        let asks = most < request.max && entries.len() == most;
        let ask = if asks { self.whom_to_ask(ticket, &request, &BTreeSet::new()) } else { None };
        if entries.is_empty() && ask.is_none() {
            return self.park_or_answer(ticket, request);
        }
        let missing = request.max - entries.len();
        let number = self.lease_parts(ticket, request, entries);
        if let Some(ask) = ask {
            self.ask_for_work(number, ask, missing);
        }
    }

    /// There is nothing for it now.
    fn park_or_answer(&mut self, ticket: Ticket, request: LeaseRequest) {
        let until =
            if self.polls.is_after_report(ticket) { Millis::MAX } else { request.wait_until };
        let waits = until > self.now
            && !self.leaving
            && !self.polls.is_forwarded(ticket)
            && !self.claims.has_peer_queries(ticket);
        if !waits {
            return self.answer(ticket, Response::Leases(Vec::new()));
        }
        let max = self.settings.quotas.queues_max;
        let namespace = request.namespace.clone();
        match self.dispatch.park(ticket, request, until, max) {
            Ok(()) => {}
            Err(NotParked::Full) => self.answer(ticket, Response::Leases(Vec::new())),
            Err(NotParked::TooManyQueues) => {
                let refusal = Refusal::quota(Quota::Queues, max, Some(&namespace));
                self.answer(ticket, Response::Refused(refusal));
            }
        }
    }

    /// Asks each subject for its part of a request for work, and notes that they were asked.
    pub(super) fn lease_parts(
        &mut self,
        ticket: Ticket,
        request: LeaseRequest,
        entries: Vec<Entry>,
    ) -> u64 {
        let mut by_slot: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in entries {
            by_slot.entry(entry.slot).or_default().push(entry.node);
        }
        let number = self.polls.next_number();
        let caller = Caller {
            actor: Arc::from(format!("worker/{}", request.worker)),
            correlation: request.correlation.clone(),
            ..Caller::engine()
        };
        let mut pending = PendingPoll::new(ticket, request);
        for (ix, nodes) in by_slot {
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            pending.parts += 1;
            for node in &nodes {
                slot.work.reserve(*node);
            }
            let order = LeaseOrder {
                worker: pending.request.worker.clone(),
                claim: pending.request.claim.clone(),
                lease_ms: pending.request.lease_ms,
                nodes: nodes.clone(),
                changes: slot
                    .entity
                    .as_ref()
                    .and_then(Entity::job)
                    .map_or(0, |job| job.plan.changes()),
            };
            let waiting = Waiting::Command {
                origin: Origin::Lease { request: Some(number), nodes },
                command: JobCommand::Lease(Arc::new(order)).into(),
                caller: caller.clone(),
                tries: 0,
            };
            self.backlog.push_back(&mut slot.queue, waiting);
            if slot.may_decide() {
                self.backlog.is_runnable(ix, Urgency::Lease, self.now);
            }
        }
        self.polls.begins(number, pending);
        number
    }

    /// As many candidates as one answer carries, by the bytes of their inputs; the others go back to where they were.
    fn within_bytes(&mut self, request: &LeaseRequest, entries: Vec<Entry>) -> Vec<Entry> {
        let key = (request.namespace.clone(), request.queue.clone());
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let job = self.slots.get(entry.slot).and_then(|slot| slot.entity.as_ref()?.job());
            let Some(job) = job else { continue };
            let Some(spec) = job.plan.get(entry.node) else { continue };
            bytes += job.input_of(entry.node).map_or(0, Payload::len);
            bytes += job.handed_on.get(&entry.node).map_or(0, HandedOn::bytes);
            if kept.is_empty() || bytes <= ANSWER_BYTES_MAX {
                kept.push(entry);
            } else {
                let action = spec.action_type.clone();
                self.dispatch.offer(&key, action.as_ref(), entry);
            }
        }
        kept
    }

    /// A subject's part of a lease request is known: the reservation ends, whatever came of it.
    pub(super) fn leased(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        request: Option<u64>,
        nodes: &[u32],
        response: Response,
    ) {
        self.end_reservation(ix, slot, nodes);
        let attempts = response.into_leased();
        if attempts.is_empty() {
            return self.lease_part(request, Ok(Vec::new()));
        }
        if !request.is_some_and(|request| self.polls.is_pending(request)) {
            return self.give_back(slot, &attempts);
        }
        let now = self.now;
        let granted = attempts.iter().filter_map(|attempt| granted(slot, *attempt, now)).collect();
        self.lease_part(request, Ok(granted));
    }

    /// The nodes are offered again, if they still are ready.
    pub(super) fn end_reservation(&mut self, ix: u32, slot: &mut Slot, nodes: &[u32]) {
        for node in nodes {
            slot.work.release(*node);
            self.refresh_node(ix, slot, *node);
        }
    }

    /// Counts one part of a lease request in; the last one answers it. None: its asker was told that nobody knows.
    pub(super) fn lease_part(&mut self, request: Option<u64>, part: Result<Vec<Granted>, Failure>) {
        let Some(number) = request else { return };
        if !self.polls.part_is_known(number, part) || self.asks_another(number) {
            return;
        }
        let Some(pending) = self.polls.finish(number) else { return };
        if pending.gone && !self.claims.has_duplicates(pending.ticket) {
            self.polls.give_back(pending.granted);
            return self.answer(pending.ticket, Response::Leases(Vec::new()));
        }
        if pending.granted.is_empty() {
            match pending.failure {
                Some(failure) => return self.fail(pending.ticket, failure),
                // Tried once more in this turn, when no subject is in hands.
                None => return self.polls.retry(pending),
            }
        }
        let wanted = &pending.request;
        self.dispatch.leased(&wanted.namespace, &wanted.worker, pending.granted.len());
        self.answer(pending.ticket, Response::Leases(pending.granted));
    }

    /// Attempts whose asker is gone are given back, not counted.
    fn give_back(&mut self, slot: &mut Slot, attempts: &[AttemptRef]) {
        for attempt in attempts {
            let report = undelivered(attempt.node, attempt.epoch);
            self.backlog.push_back(&mut slot.queue, Waiting::own(Origin::Nobody, report));
        }
    }
}

/// What a worker is told of an attempt.
pub(super) fn granted(slot: &Slot, attempt: AttemptRef, now: Millis) -> Option<Granted> {
    let job = slot.entity.as_ref()?.job()?;
    let node = job.nodes.get(attempt.node as usize).filter(|node| node.epoch == attempt.epoch)?;
    // A transient subject keeps no lease times: the driver counts a full period from when it reads of the lease.
    let lease = slot.work.lease(attempt.node).filter(|lease| lease.epoch == attempt.epoch);
    let lease_ms = u64::from(node.lease_ms);
    let from_now = now.saturating_add(Millis::from(node.lease_ms));
    Some(Granted {
        lease: LeaseId { job: job.id, node: attempt.node, epoch: attempt.epoch },
        namespace: job.namespace.clone(),
        work: work_of(job, attempt.node)?,
        attempt: attempt.attempt,
        run: job.head.runs,
        expires_at: lease.map_or(from_now, |lease| lease.expires_at),
        lease_ms,
        trace_id: Arc::clone(&job.trace_id),
    })
}

fn work_of(job: &JobState, ix: u32) -> Option<Work> {
    let (spec, node) = (job.plan.get(ix)?, job.nodes.get(ix as usize)?);
    let handed_on = job.handed_on.get(&ix);
    Some(Work {
        node: job.path_of(ix),
        action_type: spec.action_type.clone(),
        input: job.input_of(ix).cloned(),
        previous: handed_on.and_then(|handed_on| handed_on.error.clone()),
        details: handed_on.and_then(|handed_on| handed_on.details.clone()),
        max_attempts: node.base.saturating_add(job.plan.max_attempts_of(spec)),
        deadline: due::attempt_deadline(job, ix),
    })
}
