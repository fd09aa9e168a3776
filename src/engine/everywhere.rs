//! What only all living engines know together: queues and workers, each engine knowing its own part, and whether the view
//! shows what each of them has acknowledged. The part of the handle that asks them all.
//! Always holds: nobody waits for a silent engine longer than its deadline; one that does not answer is left out and
//! named. Alone, it asks nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{Namespace, QueueName, WorkerName};
use futures_util::future::join_all;

use crate::engine::core::message::{EngineId, QueueFacts, Request, Response, WorkerFacts};
use crate::engine::handle::{Engine, EngineError};

/// Other engines have so long to say what they know: a page that is a little short is worth more than a late one.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What is known of something, and by whom not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Everywhere<T> {
    /// By name.
    pub facts: Vec<T>,
    /// Living engines that did not answer: what they know is missing.
    pub silent: Vec<EngineId>,
}

impl Engine {
    /// The queues of a namespace, summed over the living engines.
    ///
    /// # Errors
    /// What keeps this engine from answering.
    pub async fn queues_everywhere(
        &self,
        namespace: &Namespace,
    ) -> Result<Everywhere<QueueFacts>, EngineError> {
        let request = Request::Queues { namespace: namespace.clone() };
        let (here, others) = tokio::join!(self.queues(namespace), self.ask_others(request));
        let mut sums: BTreeMap<QueueName, QueueFacts> = BTreeMap::new();
        let mut silent = Vec::new();
        let told = others.into_iter().filter_map(|(engine, response)| {
            if let Some(Response::Queues(facts)) = response {
                return Some(facts);
            }
            silent.push(engine);
            None
        });
        for facts in std::iter::once(here?).chain(told).flatten() {
            match sums.get_mut(&facts.queue) {
                Some(sum) => add_queue(sum, &facts),
                None => _ = sums.insert(facts.queue.clone(), facts),
            }
        }
        Ok(Everywhere { facts: sums.into_values().collect(), silent })
    }

    /// The workers of a namespace, summed over the living engines.
    ///
    /// # Errors
    /// What keeps this engine from answering.
    pub async fn workers_everywhere(
        &self,
        namespace: &Namespace,
    ) -> Result<Everywhere<WorkerFacts>, EngineError> {
        let request = Request::Workers { namespace: namespace.clone() };
        let (here, others) = tokio::join!(self.workers(namespace), self.ask_others(request));
        let mut sums: BTreeMap<WorkerName, WorkerFacts> = BTreeMap::new();
        let mut silent = Vec::new();
        let told = others.into_iter().filter_map(|(engine, response)| {
            if let Some(Response::Workers(facts)) = response {
                return Some(facts);
            }
            silent.push(engine);
            None
        });
        for facts in std::iter::once(here?).chain(told).flatten() {
            match sums.get_mut(&facts.worker) {
                Some(sum) => add_worker(sum, facts),
                None => _ = sums.insert(facts.worker.clone(), facts),
            }
        }
        Ok(Everywhere { facts: sums.into_values().collect(), silent })
    }

    /// Waits until the view shows what every other living engine had acknowledged by now. False: one could not say so, or
    /// there are groups whose driver is gone and that nobody has taken over.
    pub async fn others_are_shown(&self) -> bool {
        let Some(forward) = &self.forward else { return true };
        // Before the engines: whoever is gone by then left groups that nobody drives.
        let (drivers, living) = (forward.drivers(), forward.others());
        let asked = living.iter().map(|engine| forward.shown(*engine));
        let all = join_all(asked).await.into_iter().all(|shown| shown);
        all && self.each_group_is_driven(&drivers, &living)
    }

    async fn ask_others(&self, request: Request) -> Vec<(EngineId, Option<Response>)> {
        let Some(forward) = &self.forward else { return Vec::new() };
        let asked = forward.others().into_iter().map(|engine| {
            let answer = forward.forward(engine, request.clone(), TOLD_WITHIN);
            async move {
                let answer = tokio::select! {
                    biased;
                    answer = answer => answer,
                    () = self.clock.sleep(TOLD_WITHIN) => None,
                };
                (engine, answer)
            }
        });
        join_all(asked).await
    }
}

fn add_queue(sum: &mut QueueFacts, facts: &QueueFacts) {
    sum.ready += facts.ready;
    sum.running += facts.running;
    sum.waiting_polls += facts.waiting_polls;
    let oldest = [sum.oldest_ready_at, facts.oldest_ready_at];
    sum.oldest_ready_at = oldest.into_iter().flatten().min();
    sum.last_poll_at = sum.last_poll_at.max(facts.last_poll_at);
}

fn add_worker(sum: &mut WorkerFacts, facts: WorkerFacts) {
    sum.leased += facts.leased;
    sum.last_poll_at = sum.last_poll_at.max(facts.last_poll_at);
    sum.queues.extend(facts.queues);
    sum.queues.sort();
    sum.queues.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_two_engines_add_up() {
        let queue = QueueName::default_queue();
        let facts = |ready, oldest_ready_at, last_poll_at| QueueFacts {
            queue: queue.clone(),
            ready,
            running: 1,
            oldest_ready_at,
            waiting_polls: 2,
            last_poll_at,
        };
        let mut sum = facts(3, None, Some(8));
        add_queue(&mut sum, &facts(4, Some(5), None));
        assert_eq!((sum.ready, sum.running, sum.waiting_polls), (7, 2, 4));
        assert_eq!((sum.oldest_ready_at, sum.last_poll_at), (Some(5), Some(8)));
        add_queue(&mut sum, &facts(0, Some(4), Some(9)));
        assert_eq!((sum.oldest_ready_at, sum.last_poll_at), (Some(4), Some(9)));
    }
}
