//! Ready nodes and who wants them: one heap a (namespace, queue, action type), ordered by priority and age.
//! A candidate that is handed to a subject for its decision is reserved, not removed; whatever the outcome, the
//! subject's entries are then made anew from its state. Volatile: rebuilt by loading.
//! Invariant: what lies in a heap is offered by exactly one slot (`Slot::offered` mirrors it).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::ids::{ActionType, Millis, Namespace, QueueName, WorkerName};

use crate::engine::core::announcing::{Announcing, ToldOf};
use crate::engine::core::claims::ClaimKey;
use crate::engine::core::message::{LeaseRequest, QueueFacts, Ticket, WorkerFacts};

/// A node one priority step lower is served as if it had become ready so much later: ageing without re-sorting, and
/// the bound on starvation is 9 steps.
pub(super) const PRIORITY_STEP_MS: Millis = 30_000;
/// Workers remembered at most; the longest silent ones are forgotten first.
const WORKERS_MAX: usize = 10_000;
/// Requests parked at one queue at most; beyond it a request is answered at once, empty.
const PARKED_MAX: usize = 10_000;
/// A queue that nobody uses is shown for so long after the last poll.
const UNUSED_KEPT_MS: Millis = 3_600_000;

/// A ready node's place in its heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Smaller is served first.
    pub(super) score: Millis,
    /// Whose.
    pub(super) slot: u32,
    /// Which node.
    pub(super) node: u32,
}

/// Where a ready node lies.
pub(super) type QueueKey = (Namespace, QueueName);

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) heaps: BTreeMap<Option<ActionType>, BTreeSet<Entry>>,
    /// What other engines were told of it, while that holds.
    pub(super) told: Option<ToldOf>,
    parked: VecDeque<(Ticket, LeaseRequest)>,
    running: u64,
    last_poll_at: Option<Millis>,
    stirred: bool,
}

/// All ready heaps, parked requests, and what is known of workers.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    pub(super) queues: BTreeMap<QueueKey, Queue>,
    pub(super) announcing: Announcing,
    stirred: BTreeSet<QueueKey>,
    workers: BTreeMap<(Namespace, WorkerName), WorkerFacts>,
    parked_until: BTreeSet<(Millis, Ticket)>,
    /// Where, and until when.
    parked_at: BTreeMap<Ticket, (QueueKey, Millis)>,
}

/// The place of a node that became ready then, with this priority.
pub(super) fn score(ready_at: Millis, priority: u8) -> Millis {
    ready_at.saturating_add(Millis::from(priority) * PRIORITY_STEP_MS)
}

impl Dispatch {
    pub(super) fn offer(&mut self, key: &QueueKey, action: Option<&ActionType>, entry: Entry) {
        let queue = self.queues.entry(key.clone()).or_default();
        let action = action.cloned();
        self.announcing.offered(key, queue.told.as_ref(), &action);
        queue.heaps.entry(action).or_default().insert(entry);
        if !queue.parked.is_empty() && !queue.stirred {
            queue.stirred = true;
            self.stirred.insert(key.clone());
        }
    }

    pub(super) fn withdraw(&mut self, key: &QueueKey, action: Option<&ActionType>, entry: Entry) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let action = action.cloned();
        if let Some(heap) = queue.heaps.get_mut(&action) {
            heap.remove(&entry);
            if heap.is_empty() {
                queue.heaps.remove(&action);
            }
        }
    }

    /// The best candidates for a request, taken out of their heaps: the caller reserves them.
    pub(super) fn take(&mut self, request: &LeaseRequest) -> Vec<Entry> {
        let key = (request.namespace.clone(), request.queue.clone());
        let mut taken = Vec::new();
        let Some(queue) = self.queues.get_mut(&key) else { return taken };
        while taken.len() < request.max {
            let fits = |action: &Option<ActionType>| {
                request.action_types.is_empty()
                    || action.as_ref().is_some_and(|action| request.action_types.contains(action))
            };
            let heaps = queue.heaps.iter().filter(|(action, _)| fits(action));
            let best =
                heaps.filter_map(|(action, heap)| Some((*heap.first()?, action.clone()))).min();
            let Some((entry, action)) = best else { break };
            let Some(heap) = queue.heaps.get_mut(&action) else { break };
            heap.remove(&entry);
            if heap.is_empty() {
                queue.heaps.remove(&action);
            }
            taken.push(entry);
        }
        taken
    }

    /// Notes that a worker asked.
    pub(super) fn polled(&mut self, request: &LeaseRequest, now: Millis) {
        let key = (request.namespace.clone(), request.queue.clone());
        self.queues.entry(key).or_default().last_poll_at = Some(now);
        let worker = (request.namespace.clone(), request.worker.clone());
        if !self.workers.contains_key(&worker) && self.workers.len() >= WORKERS_MAX {
            let silent = self
                .workers
                .iter()
                .min_by_key(|(_, facts)| facts.last_poll_at)
                .map(|(key, _)| key.clone());
            silent.map(|key| self.workers.remove(&key));
        }
        let facts = self.workers.entry(worker).or_insert_with(|| WorkerFacts {
            worker: request.worker.clone(),
            queues: Vec::new(),
            last_poll_at: now,
            leased: 0,
        });
        facts.last_poll_at = now;
        if !facts.queues.contains(&request.queue) && facts.queues.len() < 32 {
            facts.queues.push(request.queue.clone());
        }
    }

    /// Notes what a worker was given.
    pub(super) fn leased(&mut self, namespace: &Namespace, worker: &WorkerName, count: usize) {
        if let Some(facts) = self.workers.get_mut(&(namespace.clone(), worker.clone())) {
            facts.leased += count as u64;
        }
    }

    /// Attempts that run, over all queues.
    pub(super) fn running(&self) -> u64 {
        self.queues.values().map(|queue| queue.running).sum()
    }

    /// Counts running attempts of a queue up or down.
    pub(super) fn count_running(&mut self, key: &QueueKey, up: bool) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.running = if up { queue.running + 1 } else { queue.running.saturating_sub(1) };
        } else if up {
            self.queues.insert(key.clone(), Queue { running: 1, ..Queue::default() });
        }
    }

    /// Forgets queues without work, pollers and running attempts that nobody asked for in an hour.
    pub(super) fn forget_unused(&mut self, now: Millis) {
        self.queues.retain(|_, queue| {
            !queue.heaps.is_empty()
                || !queue.parked.is_empty()
                || queue.told.is_some()
                || queue.running > 0
                || queue.last_poll_at.is_some_and(|at| now < at.saturating_add(UNUSED_KEPT_MS))
        });
    }

    /// Parks a request until there is work, or until then. Answers whether there was room.
    pub(super) fn park(&mut self, ticket: Ticket, request: LeaseRequest, until: Millis) -> bool {
        let key = (request.namespace.clone(), request.queue.clone());
        let queue = self.queues.entry(key.clone()).or_default();
        if queue.parked.len() >= PARKED_MAX {
            return false;
        }
        self.parked_until.insert((until, ticket));
        self.parked_at.insert(ticket, (key, until));
        queue.parked.push_back((ticket, request));
        true
    }

    /// A request that was parked for longer than it asked waits as long as it asked from now on.
    pub(super) fn waits_for_itself(&mut self, ticket: Ticket) {
        let Some((key, until)) = self.parked_at.get_mut(&ticket) else { return };
        let Some(queue) = self.queues.get(key) else { return };
        let Some((_, request)) = queue.parked.iter().find(|(parked, _)| *parked == ticket) else {
            return;
        };
        self.parked_until.remove(&(*until, ticket));
        *until = request.wait_until;
        self.parked_until.insert((*until, ticket));
    }

    /// Takes a parked request away.
    pub(super) fn unpark(&mut self, ticket: Ticket) -> Option<LeaseRequest> {
        let (key, until) = self.parked_at.remove(&ticket)?;
        let queue = self.queues.get_mut(&key)?;
        let position = queue.parked.iter().position(|(parked, _)| *parked == ticket)?;
        let (_, request) = queue.parked.remove(position)?;
        self.parked_until.remove(&(until, ticket));
        Some(request)
    }

    /// Whether a request is parked.
    pub(super) fn is_parked(&self, ticket: Ticket) -> bool {
        self.parked_at.contains_key(&ticket)
    }

    /// The requests parked at a queue that wait longest.
    pub(super) fn parked_first(&self, key: &QueueKey, max: usize) -> Vec<(Ticket, LeaseRequest)> {
        let parked = self.queues.get(key).into_iter().flat_map(|queue| &queue.parked);
        parked.take(max).cloned().collect()
    }

    /// The parked requests under a claim.
    pub(super) fn parked_under(&self, (namespace, worker, claim): &ClaimKey) -> Vec<Ticket> {
        let queues = self.queues.iter().filter(|((of, _), _)| of == namespace);
        let parked = queues.flat_map(|(_, queue)| &queue.parked);
        parked
            .filter(|(_, request)| {
                request.worker == *worker && request.claim.as_ref() == Some(claim)
            })
            .map(|(ticket, _)| *ticket)
            .collect()
    }

    /// Whether a queue got work that somebody may wait for.
    pub(super) fn is_stirred(&self) -> bool {
        !self.stirred.is_empty()
    }

    /// The next parked request of a queue that got work, oldest first, as long as there is work.
    pub(super) fn next_served(&mut self) -> Option<(Ticket, LeaseRequest)> {
        while let Some(key) = self.stirred.first().cloned() {
            let ticket =
                self.queues.get(&key).filter(|queue| !queue.heaps.is_empty()).and_then(|queue| {
                    let wanted = |request: &LeaseRequest| {
                        request.action_types.is_empty()
                            || request
                                .action_types
                                .iter()
                                .any(|action| queue.heaps.contains_key(&Some(action.clone())))
                    };
                    queue
                        .parked
                        .iter()
                        .find(|(_, request)| wanted(request))
                        .map(|(ticket, _)| *ticket)
                });
            if let Some(ticket) = ticket {
                if let Some(request) = self.unpark(ticket) {
                    return Some((ticket, request));
                }
            } else {
                self.stirred.remove(&key);
                if let Some(queue) = self.queues.get_mut(&key) {
                    queue.stirred = false;
                }
            }
        }
        None
    }

    /// Parked requests whose time is over.
    pub(super) fn waited_enough(&mut self, now: Millis) -> Vec<Ticket> {
        let over: Vec<Ticket> = self
            .parked_until
            .iter()
            .take_while(|(until, _)| *until <= now)
            .map(|(_, ticket)| *ticket)
            .collect();
        for ticket in &over {
            self.unpark(*ticket);
        }
        over
    }

    /// When the next parked request has waited enough.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.parked_until.first().map(|(until, _)| *until)
    }

    /// Nodes offered.
    pub(super) fn ready(&self) -> u64 {
        let heaps = self.queues.values().flat_map(|queue| queue.heaps.values());
        heaps.map(|heap| heap.len() as u64).sum()
    }

    /// Requests that wait.
    pub(super) fn waiting_polls(&self) -> u64 {
        self.parked_at.len() as u64
    }

    /// Queues with work that one of the requests that wait longest wants.
    pub(super) fn stalled_queues(&self) -> u64 {
        let stalled = |queue: &&Queue| {
            let wanted = |(_, request): &(Ticket, LeaseRequest)| {
                let mut actions = request.action_types.iter();
                request.action_types.is_empty()
                    || actions.any(|action| queue.heaps.contains_key(&Some(action.clone())))
            };
            !queue.heaps.is_empty() && queue.parked.iter().take(16).any(wanted)
        };
        self.queues.values().filter(stalled).count() as u64
    }

    pub(super) fn queue_facts(&self, namespace: &Namespace) -> Vec<QueueFacts> {
        let own = self.queues.iter().filter(|((of, _), _)| of == namespace);
        own.map(|((_, name), queue)| {
            let first =
                queue.heaps.values().filter_map(|heap| heap.first().map(|entry| entry.score)).min();
            QueueFacts {
                queue: name.clone(),
                ready: queue.heaps.values().map(|heap| heap.len() as u64).sum(),
                running: queue.running,
                oldest_ready_at: first.map(|score| score - PRIORITY_STEP_MS * 5),
                waiting_polls: queue.parked.len() as u64,
                last_poll_at: queue.last_poll_at,
            }
        })
        .collect()
    }

    pub(super) fn worker_facts(&self, namespace: &Namespace) -> Vec<WorkerFacts> {
        let own = self.workers.iter().filter(|((of, _), _)| of == namespace);
        own.map(|(_, facts)| facts.clone()).collect()
    }
}
