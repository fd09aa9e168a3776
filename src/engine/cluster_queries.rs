//! What only all living engines know together: queues and workers, each engine knowing its own part, and whether the view
//! shows what each of them has acknowledged. The part of the cluster that asks them all.
//! Always holds: nobody waits for a silent engine longer than its deadline; one that does not answer is left out and
//! named. Alone, it asks nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::Namespace;
use futures_util::future::join_all;

use crate::engine::cluster::Cluster;
use crate::engine::core::message::{EngineId, Names, QueueFacts, Request, Response, WorkerFacts};
use crate::engine::error::EngineError;

/// Other engines have so long to say what they know: a page that is a little short is worth more than a late one.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What is known of something, and by whom not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Everywhere<T> {
    pub facts: Vec<T>,
    /// How many there are in all, at least.
    pub known: u64,
    /// Whether there are no more than that.
    pub is_exact: bool,
    /// Living engines that did not answer: what they know is missing.
    pub silent: Vec<EngineId>,
}

impl Cluster {
    /// A part of the queues of a namespace, by name, summed over the living engines.
    ///
    /// # Errors
    /// What keeps this engine from answering.
    pub async fn queues_everywhere(
        &self,
        namespace: &Namespace,
        part: &Names,
    ) -> Result<Everywhere<QueueFacts>, EngineError> {
        let request = Request::Queues { namespace: namespace.clone(), part: part.clone() };
        let (answers, silent) = self.ask_all_engines(request).await?;
        let told = answers.into_iter().map(|answer| answer.into_queues().ok());
        let name = |facts: &QueueFacts| facts.queue.clone();
        summed(told, silent, part, name, |sum, facts| add_queue(sum, &facts))
    }

    /// A part of the workers of a namespace, by name, summed over the living engines.
    ///
    /// # Errors
    /// What keeps this engine from answering.
    pub async fn workers_everywhere(
        &self,
        namespace: &Namespace,
        part: &Names,
    ) -> Result<Everywhere<WorkerFacts>, EngineError> {
        let request = Request::Workers { namespace: namespace.clone(), part: part.clone() };
        let (answers, silent) = self.ask_all_engines(request).await?;
        let told = answers.into_iter().map(|answer| answer.into_workers().ok());
        summed(told, silent, part, |facts: &WorkerFacts| facts.worker.clone(), add_worker)
    }

    /// This engine's answer first, then those of the others; and who did not answer.
    async fn ask_all_engines(
        &self,
        request: Request,
    ) -> Result<(Vec<Response>, Vec<EngineId>), EngineError> {
        let (here, others) = tokio::join!(self.0.ask(request.clone()), self.ask_others(request));
        let mut silent = Vec::new();
        let mut answers = vec![here?];
        for (engine, answer) in others {
            match answer {
                Some(answer @ (Response::Queues { .. } | Response::Workers { .. })) => {
                    answers.push(answer);
                }
                Some(_) | None => silent.push(engine),
            }
        }
        Ok((answers, silent))
    }

    /// Waits until the view shows what every other living engine had acknowledged by now. False: one could not say so, or
    /// there are groups whose driver is gone and that nobody has taken over.
    pub async fn others_are_shown(&self) -> bool {
        let Some(forward) = &self.0.forward else { return true };
        // Before the engines: whoever is gone by then left groups that nobody drives.
        let (drivers, living) = (forward.drivers(), forward.others());
        let asked = living.iter().map(|engine| forward.shown(*engine));
        let all = join_all(asked).await.into_iter().all(|shown| shown);
        all && self.0.each_group_is_driven(&drivers, &living)
    }

    async fn ask_others(&self, request: Request) -> Vec<(EngineId, Option<Response>)> {
        let Some(forward) = &self.0.forward else { return Vec::new() };
        let asked = forward.others().into_iter().map(|engine| {
            let answer = forward.forward(engine, request.clone(), TOLD_WITHIN);
            async move {
                let answer = tokio::select! {
                    biased;
                    answer = answer => answer,
                    () = self.0.clock.sleep(TOLD_WITHIN) => None,
                };
                (engine, answer)
            }
        });
        join_all(asked).await
    }
}

/// Sums what engines told of the same part: each told of the first of its own, so the first of all are among them.
fn summed<N: Ord, T>(
    told: impl Iterator<Item = Option<(Vec<T>, u64)>>,
    silent: Vec<EngineId>,
    part: &Names,
    name: impl Fn(&T) -> N,
    add: impl Fn(&mut T, T),
) -> Result<Everywhere<T>, EngineError> {
    let mut sums: BTreeMap<N, T> = BTreeMap::new();
    let (mut most, mut engines) = (0, 0);
    for told in told {
        let (facts, known) = told.ok_or(EngineError::Unavailable)?;
        engines += usize::from(known > 0);
        most = most.max(known);
        for facts in facts {
            let name = name(&facts);
            match sums.get_mut(&name) {
                Some(sum) => add(sum, facts),
                None => _ = sums.insert(name, facts),
            }
        }
    }
    let whole = part.after.is_none() && sums.len() < part.max;
    let known = if whole { sums.len() as u64 } else { most.max(sums.len() as u64) };
    let facts = sums.into_values().take(part.max).collect();
    Ok(Everywhere { facts, known, is_exact: whole || engines <= 1, silent })
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
    use domain::ids::QueueName;

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
