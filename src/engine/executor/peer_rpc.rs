//! What the executor asks and tells other engines.
//! Always holds: the core hears of each request exactly once, an answer or that there is none, in the time that it set;
//! an answer that is slow holds up no other.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::Millis;

use super::Executor;
use crate::engine::core::message::{Announced, EngineId, ForwardTicket, Input, Request};

impl Executor {
    pub(super) fn forward(
        &self,
        to: EngineId,
        ticket: ForwardTicket,
        request: Request,
        within_ms: Millis,
    ) {
        let Some(forward) = self.forward.clone() else {
            // With what comes back from outside, so that the core gets a turn for it.
            let _ = self.returns.send(Input::NotForwarded { ticket, request });
            return;
        };
        let within = Duration::from_millis(u64::try_from(within_ms).unwrap_or(0));
        let too_long = self.clock.sleep(within);
        self.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = forward.forward(to, request.clone(), within) => answer,
                () = too_long => None,
            };
            Some(match answer {
                Some(response) => Input::Forwarded { ticket, response },
                // Decided here: safe, since the append says who was first.
                None => Input::NotForwarded { ticket, request },
            })
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
