//! Ready nodes and who wants them. A candidate that is handed to a subject for its decision is reserved, not removed;
//! whatever the outcome, the subject's entries are then made anew from its state. Volatile: rebuilt by loading.
//! Invariant: what lies in a queue is offered by exactly one slot (`SlotWork` mirrors it).
//! Always holds: no step of it looks at more queues, nodes or requests than it changes; sums are counted where they
//! change.

mod announcing;
mod queue;
mod spaces;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{ActionType, Millis, Namespace, QueueName, WorkerName};

use self::announcing::{Announcing, ToldOf};
use self::spaces::Spaces;
use self::workers::Workers;
use crate::engine::core::message::{LeaseRequest, Names, QueueFacts, Ticket, WorkerFacts};

pub(crate) use self::queue::{Entry, Kind, score};
pub(crate) use self::spaces::{Place, Stops};

/// Requests parked at one queue at most; beyond it a request is answered at once, empty.
const PARKED_MAX: usize = 10_000;

/// Where a ready node lies.
pub(crate) type QueueKey = (Namespace, QueueName);

/// A parked request.
#[derive(Debug)]
struct Parked {
    key: QueueKey,
    /// Under which it waits there.
    number: u64,
    until: Millis,
}

/// All ready nodes, parked requests, and what is known of workers.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    spaces: Spaces,
    announcing: Announcing,
    /// Kinds of work that came and that somebody may wait for.
    new_work: BTreeSet<(QueueKey, Kind)>,
    workers: Workers,
    parked_until: BTreeSet<(Millis, Ticket)>,
    parked_at: BTreeMap<Ticket, Parked>,
}

/// Why a request is not parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotParked {
    /// So many wait there that it is answered at once.
    Full,
    /// As many queues of the namespace are in use as may be, and this is another one.
    TooManyQueues,
}

impl Dispatch {
    pub(crate) fn offer(&mut self, key: &QueueKey, action: Option<&ActionType>, entry: Entry) {
        let kind = action.cloned();
        let announcing = &mut self.announcing;
        let wanted = self.spaces.change(key, true, |place| {
            announcing.offered(key, place.told.as_ref(), &kind);
            place.queue.insert(&kind, entry);
            place.queue.is_wanted(&kind)
        });
        if wanted == Some(true) {
            self.new_work.insert((key.clone(), kind));
        }
    }

    pub(crate) fn withdraw(&mut self, key: &QueueKey, action: Option<&ActionType>, entry: Entry) {
        let kind = action.cloned();
        self.spaces.change(key, false, |place| place.queue.remove(&kind, entry));
    }

    /// What is paused of a namespace from now on; who waits for what is not paused any more is served.
    pub(crate) fn stop(&mut self, namespace: &Namespace, stops: Stops) {
        for key in self.spaces.stop(namespace, stops) {
            let Some(place) = self.spaces.get(&key) else { continue };
            for kind in place.queue.kinds() {
                self.announcing.offered(&key, place.told.as_ref(), kind);
                if place.queue.is_wanted(kind) {
                    self.new_work.insert((key.clone(), kind.clone()));
                }
            }
        }
    }

    /// The best candidates for a request, taken out of their queue: the caller reserves them.
    pub(crate) fn take(&mut self, request: &LeaseRequest) -> Vec<Entry> {
        let key = (request.namespace.clone(), request.queue.clone());
        let take = |place: &mut Place| place.queue.take(&request.action_types, request.max);
        self.spaces.change(&key, false, take).unwrap_or_default()
    }

    /// How many nodes of the same queue and kind are served before an offered one; at most `max` are counted.
    pub(crate) fn before(
        &self,
        key: &QueueKey,
        kind: &Kind,
        entry: Entry,
        max: usize,
    ) -> Option<u64> {
        Some(self.spaces.get(key)?.queue.before(kind, entry, max))
    }

    /// Notes that a worker asked.
    pub(crate) fn polled(&mut self, request: &LeaseRequest, now: Millis) {
        self.spaces.polled(&(request.namespace.clone(), request.queue.clone()), now);
        self.workers.polled(request, now);
    }

    /// Notes what a worker was given.
    pub(crate) fn leased(&mut self, namespace: &Namespace, worker: &WorkerName, count: usize) {
        self.workers.leased(namespace, worker, count);
    }

    /// Attempts that run, over all queues.
    pub(crate) fn running(&self) -> u64 {
        self.spaces.running()
    }

    /// Counts running attempts of a queue up or down.
    pub(crate) fn count_running(&mut self, key: &QueueKey, up: bool) {
        self.spaces.count_running(key, up);
    }

    /// Forgets queues without work, pollers and running attempts that nobody asked for in a minute.
    pub(crate) fn forget_unused(&mut self, now: Millis) {
        self.spaces.forget_unused(now);
    }

    /// Parks a request until there is work, or until then.
    pub(crate) fn park(
        &mut self,
        ticket: Ticket,
        request: LeaseRequest,
        until: Millis,
        queues_max: usize,
    ) -> Result<(), NotParked> {
        let key = (request.namespace.clone(), request.queue.clone());
        let used = self.spaces.is_used(&key.0, &key.1);
        if !used && self.spaces.used(&key.0) >= queues_max {
            return Err(NotParked::TooManyQueues);
        }
        let park = |place: &mut Place| {
            (place.queue.parked() < PARKED_MAX).then(|| place.queue.park(ticket, request))
        };
        let number = self.spaces.change(&key, true, park).flatten().ok_or(NotParked::Full)?;
        self.parked_until.insert((until, ticket));
        self.parked_at.insert(ticket, Parked { key, number, until });
        Ok(())
    }

    /// A request that was parked for longer than it asked waits as long as it asked from now on.
    pub(crate) fn waits_for_itself(&mut self, ticket: Ticket) {
        let Some(parked) = self.parked_at.get_mut(&ticket) else { return };
        let Some(place) = self.spaces.get(&parked.key) else { return };
        let Some(request) = place.queue.parked_as(parked.number) else { return };
        self.parked_until.remove(&(parked.until, ticket));
        parked.until = request.wait_until;
        self.parked_until.insert((parked.until, ticket));
    }

    /// Takes a parked request away.
    pub(crate) fn unpark(&mut self, ticket: Ticket) -> Option<LeaseRequest> {
        let Parked { key, number, until } = self.parked_at.remove(&ticket)?;
        self.parked_until.remove(&(until, ticket));
        self.spaces.change(&key, false, |place| place.queue.unpark(number)).flatten()
    }

    /// Whether a request is parked.
    pub(crate) fn is_parked(&self, ticket: Ticket) -> bool {
        self.parked_at.contains_key(&ticket)
    }

    /// The requests parked at a queue that wait longest.
    pub(crate) fn parked_first(&self, key: &QueueKey, max: usize) -> Vec<(Ticket, LeaseRequest)> {
        self.spaces.get(key).map(|place| place.queue.parked_first(max)).unwrap_or_default()
    }

    /// Whether a queue got work that somebody may wait for.
    pub(crate) fn has_new_work(&self) -> bool {
        !self.new_work.is_empty()
    }

    /// The next parked request that work came for, oldest first, as long as there is work.
    pub(crate) fn next_served(&mut self) -> Option<(Ticket, LeaseRequest)> {
        while let Some((key, kind)) = self.new_work.first() {
            let next = self.spaces.get(key).and_then(|place| place.queue.next_for(kind));
            match next {
                Some(ticket) => {
                    if let Some(request) = self.unpark(ticket) {
                        return Some((ticket, request));
                    }
                }
                None => _ = self.new_work.pop_first(),
            }
        }
        None
    }

    /// Parked requests whose time is over.
    pub(crate) fn waited_enough(&mut self, now: Millis) -> Vec<Ticket> {
        let mut over = Vec::new();
        while let Some((_, ticket)) = self.parked_until.first().filter(|(until, _)| *until <= now) {
            let ticket = *ticket;
            self.parked_until.pop_first();
            self.unpark(ticket);
            over.push(ticket);
        }
        over
    }

    /// When the next parked request has waited enough.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.parked_until.first().map(|(until, _)| *until)
    }

    pub(crate) fn ready(&self) -> u64 {
        self.spaces.ready()
    }

    /// Requests that wait.
    pub(crate) fn waiting_polls(&self) -> u64 {
        self.parked_at.len() as u64
    }

    /// Queues with work that one of the requests parked there wants.
    pub(crate) fn stalled_queues(&self) -> u64 {
        self.spaces.stalled()
    }

    /// Whether a namespace may use these queues beside those that it uses: with how many it would be too many.
    pub(crate) fn too_many_queues<'a>(
        &self,
        namespace: &Namespace,
        names: impl ExactSizeIterator<Item = &'a QueueName>,
        queues_max: usize,
    ) -> Option<usize> {
        let used = self.spaces.used(namespace);
        if used.saturating_add(names.len()) <= queues_max {
            return None;
        }
        // Only where it may matter each name is looked at, once.
        let new: BTreeSet<_> = names.filter(|name| !self.spaces.is_used(namespace, name)).collect();
        let would = used.saturating_add(new.len());
        (!new.is_empty() && would > queues_max).then_some(would)
    }

    /// A part of the queues of a namespace, by name, and how many there are.
    pub(crate) fn queue_facts(&self, of: &Namespace, part: &Names) -> (Vec<QueueFacts>, u64) {
        self.spaces.facts(of, part)
    }

    /// The queues in use, at most `max`, in the order of their names.
    pub(crate) fn queues_in_use(&self, max: usize) -> Vec<(Namespace, QueueFacts)> {
        self.spaces.in_use(max)
    }

    /// A part of the workers of a namespace, by name, and how many there are.
    pub(crate) fn worker_facts(&self, of: &Namespace, part: &Names) -> (Vec<WorkerFacts>, u64) {
        self.workers.facts(of, part)
    }
}

#[cfg(test)]
mod tests;
