//! What the membership and other engines tell this one: who drives what and for how long, who lives, where there is
//! work, and what they ask. The part of the handle that nobody but they use.
//! Always holds: what another engine asked for is not passed on again, and leases whose answer it does not take are
//! given back uncounted.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::ids::Millis;
use tokio::sync::oneshot;

use crate::engine::core::message::{
    Announced, EngineId, Failure, Input, LeaseRequest, Request, Response,
};
use crate::engine::executor::Message;
use crate::engine::handle::{Engine, EngineError};

/// A look at the records waits no longer for an engine that is called on.
const CALL_WITHIN: Duration = Duration::from_millis(250);

impl Engine {
    /// Who drives which group (by index), and who lives. What is due in groups that are new here is looked for at once.
    /// Tell `drives_until` before, when groups are new here.
    pub async fn routes(&self, drivers: Vec<Option<EngineId>>, living: Vec<EngineId>) {
        self.tell(Input::Peers { engines: living }).await;
        self.tell(Input::Routes { drivers }).await;
    }

    /// The number by which other engines know this one from now on.
    pub async fn external_id(&self, engine: EngineId) {
        self.tell(Input::KnownAs { engine }).await;
    }

    /// Until when the lease on this engine's groups holds, on this engine's clock (`now`), reckoned from before its
    /// renewal was sent. The engine itself keeps time in hand.
    pub async fn drives_until(&self, until: Millis) {
        self.tell(Input::Drives { until }).await;
    }

    /// Until when engines from which groups are taken may believe that these are theirs, on this engine's clock. Tell it
    /// before the groups are told.
    pub async fn former_drivers_until(&self, until: Millis) {
        self.tell(Input::FormerDrivers { until }).await;
    }

    /// Asks another engine something, so that whoever listens at its address hears of it. What it says does not matter, and
    /// it is not waited for longer than 250 ms.
    pub async fn calls_on(&self, engine: EngineId) {
        let Some(forward) = &self.forward else { return };
        tokio::select! {
            _ = forward.shown_until(engine) => {}
            () = self.clock.sleep(CALL_WITHIN) => {}
        }
    }

    /// Another engine has work that nobody there takes.
    pub async fn announced(&self, from: EngineId, queues: Vec<Announced>) {
        self.tell(Input::Announced { from, queues }).await;
    }

    /// What the clock's source says, milliseconds since 1970.
    pub async fn clock_sampled(&self, source_ms: Millis) {
        let _ = self.inputs.send(Message::Sampled { source_ms }).await;
    }

    /// Milliseconds that the clock stepped forward since the start.
    pub fn clock_stepped(&self) -> Millis {
        Millis::try_from(self.gauges.clock_stepped.load(Ordering::Relaxed)).unwrap_or(Millis::MAX)
    }

    async fn tell(&self, input: Input) {
        let _ = self.inputs.send(Message::StoreCompleted(input)).await;
    }

    /// What another engine asks; an answer each, in order.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub async fn forwarded(&self, requests: Vec<Request>) -> Result<Vec<Response>, EngineError> {
        let (mut polls, mut others) = (Vec::new(), Vec::new());
        for (at, request) in requests.into_iter().enumerate() {
            if let Request::Lease(request) = request {
                polls.push((at, request));
            } else {
                others.push((at, request));
            }
        }
        let mut answers = self.forwarded_others(others).await?;
        answers.extend(self.forwarded_polls(polls).await?);
        answers.sort_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, response)| response).collect())
    }

    async fn forwarded_others(
        &self,
        others: Vec<(usize, Request)>,
    ) -> Result<Vec<(usize, Response)>, EngineError> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let (places, requests): (Vec<usize>, Vec<Request>) = others.into_iter().unzip();
        let (reply, answers) = oneshot::channel();
        let (first, at) = (self.draw(requests.len() as u64), self.now());
        let message = Message::AskAll {
            first,
            requests,
            reply: Some(reply),
            next: None,
            forwarded: true,
            at,
        };
        self.inputs.send(message).await.map_err(|_| EngineError::Stopping)?;
        let answers = answers.await.map_err(|_| EngineError::Stopping)?;
        Ok(places.into_iter().zip(answers).collect())
    }

    /// Requests for work are answered each for itself, so that what nobody takes is given back.
    async fn forwarded_polls(
        &self,
        polls: Vec<(usize, LeaseRequest)>,
    ) -> Result<Vec<(usize, Response)>, EngineError> {
        let mut waiting = Vec::with_capacity(polls.len());
        for (at, request) in polls {
            waiting.push((at, self.send_poll(request, true).await?));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (at, poll) in waiting {
            let response = match poll.granted().await {
                Ok(granted) => Response::Leases(granted),
                Err(EngineError::Stopping) => return Err(EngineError::Stopping),
                Err(_) => Response::Failed(Failure::Unavailable),
            };
            answers.push((at, response));
        }
        Ok(answers)
    }
}
