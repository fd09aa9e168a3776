//! Who asked for work, as far as it is remembered. Volatile.
//! Always holds: at most [`WORKERS_MAX`] are kept, the longest silent go first, and neither a request for work nor a page
//! of the list looks at the others.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Millis, Namespace, WorkerName};

use crate::engine::core::message::{LeaseRequest, Names, WorkerFacts};

/// Workers remembered at most.
const WORKERS_MAX: usize = 10_000;
/// Queues remembered of each.
const QUEUES_MAX: usize = 32;
/// How exactly it is known who is silent longest, so that not every request for work changes the order.
const ORDER_MS: Millis = 1_000;

#[derive(Debug)]
struct Worker {
    facts: WorkerFacts,
    /// Under which it stands in the order.
    ordered: Millis,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Workers {
    by_name: BTreeMap<Namespace, BTreeMap<WorkerName, Worker>>,
    /// The longest silent first.
    by_silence: BTreeSet<(Millis, Namespace, WorkerName)>,
}

impl Workers {
    /// Notes that a worker asked.
    pub(super) fn polled(&mut self, request: &LeaseRequest, now: Millis) {
        let (namespace, name) = (&request.namespace, &request.worker);
        let known = self.by_name.get_mut(namespace).and_then(|of| of.get_mut(name));
        if let Some(worker) = known {
            let facts = &mut worker.facts;
            facts.last_poll_at = now;
            if !facts.queues.contains(&request.queue) && facts.queues.len() < QUEUES_MAX {
                facts.queues.push(request.queue.clone());
            }
            if now >= worker.ordered.saturating_add(ORDER_MS) {
                let before = std::mem::replace(&mut worker.ordered, now);
                self.by_silence.remove(&(before, namespace.clone(), name.clone()));
                self.by_silence.insert((now, namespace.clone(), name.clone()));
            }
            return;
        }
        if self.by_silence.len() >= WORKERS_MAX
            && let Some((_, namespace, name)) = self.by_silence.pop_first()
        {
            self.forget(&namespace, &name);
        }
        let facts = WorkerFacts {
            worker: name.clone(),
            queues: vec![request.queue.clone()],
            last_poll_at: now,
            leased: 0,
        };
        let of = self.by_name.entry(namespace.clone()).or_default();
        of.insert(name.clone(), Worker { facts, ordered: now });
        self.by_silence.insert((now, namespace.clone(), name.clone()));
    }

    fn forget(&mut self, namespace: &Namespace, name: &WorkerName) {
        if let Some(of) = self.by_name.get_mut(namespace) {
            of.remove(name);
            if of.is_empty() {
                self.by_name.remove(namespace);
            }
        }
    }

    /// Notes what a worker was given.
    pub(super) fn leased(&mut self, namespace: &Namespace, name: &WorkerName, count: usize) {
        let known = self.by_name.get_mut(namespace).and_then(|of| of.get_mut(name));
        if let Some(worker) = known {
            worker.facts.leased += count as u64;
        }
    }

    /// A part of the workers of a namespace, by name, and how many are known of it.
    pub(super) fn facts(&self, namespace: &Namespace, part: &Names) -> (Vec<WorkerFacts>, u64) {
        let Some(of) = self.by_name.get(namespace) else { return (Vec::new(), 0) };
        (part.of(of).map(|(_, worker)| worker.facts.clone()).collect(), of.len() as u64)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use domain::ids::QueueName;

    use super::*;

    fn ask(worker: usize) -> LeaseRequest {
        LeaseRequest {
            namespace: Namespace::default_namespace(),
            queue: QueueName::default_queue(),
            action_types: Vec::new(),
            worker: WorkerName::parse(&format!("w{worker}")).expect("a name"),
            claim: None,
            lease_ms: 30_000,
            max: 1,
            wait_until: 0,
            correlation: None,
        }
    }

    #[test]
    fn the_longest_silent_is_forgotten_first_and_no_more_are_kept_than_may_be() {
        let mut workers = Workers::default();
        for worker in 0..WORKERS_MAX {
            workers.polled(&ask(worker), 0);
        }
        workers.polled(&ask(0), 5_000);
        workers.polled(&ask(WORKERS_MAX), 6_000);
        assert_eq!(workers.by_silence.len(), WORKERS_MAX);
        let all = Names::part(None, usize::MAX);
        let (facts, known) = workers.facts(&Namespace::default_namespace(), &all);
        assert_eq!((facts.len(), known), (WORKERS_MAX, WORKERS_MAX as u64));
        assert!(facts.iter().any(|facts| facts.worker.as_str() == "w0"), "it asked since");
        let page = Names::part(Some("w5"), 2);
        let (facts, _) = workers.facts(&Namespace::default_namespace(), &page);
        let names: Vec<&str> = facts.iter().map(|facts| facts.worker.as_str()).collect();
        assert_eq!(names, ["w50", "w500"]);
    }
}
