//! What the executor asks and tells other engines: the requests of a turn to one engine travel together.
//! Always holds: the core hears of each request exactly once, an answer or that there is none, in the time that it set.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::Millis;

use super::Executor;
use crate::engine::core::message::{Announced, EngineId, Input, Request, Ticket};

/// Requests that travel together at most.
const TOGETHER_MAX: usize = 1_000;

impl Executor {
    /// Sends what this turn asks of other engines.
    pub(super) fn send_forwards(&mut self) {
        while let Some(((to, within_ms), mut all)) = self.forwards.pop_first() {
            while all.len() > TOGETHER_MAX {
                let rest = all.split_off(TOGETHER_MAX);
                self.forward(to, within_ms, std::mem::replace(&mut all, rest));
            }
            self.forward(to, within_ms, all);
        }
    }

    fn forward(&mut self, to: EngineId, within_ms: Millis, asked: Vec<(Ticket, Request)>) {
        let Some(forward) = self.forward.clone() else {
            for (ticket, request) in asked {
                // With what comes back from outside, so that the core gets a turn for it.
                let _ = self.returns.send(Input::NotForwarded { ticket, request });
            }
            return;
        };
        let within = Duration::from_millis(u64::try_from(within_ms).unwrap_or(0));
        let (too_long, returns) = (self.clock.sleep(within), self.returns.clone());
        self.spawn(async move {
            let requests = asked.iter().map(|(_, request)| request.clone()).collect();
            let answers = tokio::select! {
                answers = forward.forward(to, requests, within) => answers,
                () = too_long => None,
            };
            let answers = answers.filter(|answers| answers.len() == asked.len());
            let mut answers = answers.into_iter().flatten();
            for (ticket, request) in asked {
                let input = match answers.next() {
                    Some(response) => Input::Forwarded { ticket, response },
                    // Decided here: safe, since the append says who was first.
                    None => Input::NotForwarded { ticket, request },
                };
                // The executor is gone only when the process ends.
                let _ = returns.send(input);
            }
            None
        });
    }

    pub(super) fn announce(&self, to: Vec<EngineId>, queues: Vec<Announced>) {
        let Some(forward) = self.forward.clone() else { return };
        let queues: Arc<[Announced]> = Arc::from(queues);
        for engine in to {
            let told = forward.announce(engine, Arc::clone(&queues));
            self.spawn(async move {
                told.await;
                None
            });
        }
    }
}
