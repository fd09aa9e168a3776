//! The engine among others: what the membership and other engines tell it (who drives what and for how long, who lives,
//! where there is work), and what they ask. Nobody else uses this face.
//! Always holds: what another engine asked for is not passed on again, and leases whose answer it does not take are
//! given back uncounted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::ids::{GroupId, Millis};
use futures_util::stream::{self, StreamExt};

use crate::engine::core::message::{
    Announced, EngineId, Failure, Input, LeaseRequest, Request, Response,
};
use crate::engine::error::EngineError;
use crate::engine::gauges::{ByGroup, count_notices};
use crate::engine::leases::Leases;
use crate::engine::mailbox::Message;
use crate::engine::shared::Shared;

/// A look at the records waits no longer for an engine that is called on.
const CALL_WITHIN: Duration = Duration::from_millis(250);
/// Groups whose append notices are read at once.
const READS_MAX: usize = 8;

/// The engine among others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster(pub(super) Arc<Shared>);

impl Cluster {
    /// Ends when the core has heard everything that was told before.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn has_heard(&self) -> Result<(), EngineError> {
        self.0.has_heard().await
    }

    /// The groups that this engine drives, in their order.
    pub fn driven(&self) -> Vec<GroupId> {
        self.0.gauges.driven().clone()
    }

    /// Whether this engine drives all of these groups (by index).
    pub fn drives_all(&self, groups: &[u8]) -> bool {
        self.0.drives_all(groups)
    }

    /// Subjects in memory, and streams that are being read, of each group.
    pub fn by_group(&self) -> ByGroup {
        self.0.gauges.by_group().clone()
    }

    /// Whether everything of this engine's groups that is not over has at least been found since it drives them.
    pub fn has_looked(&self) -> bool {
        self.0.gauges.unscanned_groups().is_empty()
    }

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
        let Some(forward) = &self.0.forward else { return };
        tokio::select! {
            _ = forward.shown_until(engine) => {}
            () = self.0.clock.sleep(CALL_WITHIN) => {}
        }
    }

    /// Another engine has work that nobody there takes.
    pub async fn announced(&self, from: EngineId, queues: Vec<Announced>) {
        self.tell(Input::Announced { from, queues }).await;
    }

    /// What the clock's source says, milliseconds since 1970.
    pub async fn clock_sampled(&self, source_ms: Millis) {
        let _ = self.0.mailbox.send(Message::Sampled { source_ms }).await;
    }

    /// Milliseconds that the clock stepped forward since the start.
    pub fn clock_stepped(&self) -> Millis {
        Millis::try_from(self.0.gauges.clock_stepped.load(Ordering::Relaxed)).unwrap_or(Millis::MAX)
    }

    async fn tell(&self, input: Input) {
        let _ = self.0.mailbox.send(Message::StoreCompleted(input)).await;
    }

    /// Reads what other engines appended to subjects of these groups, when the lease on them is renewed, and tells the core.
    ///
    /// # Errors
    /// What keeps the store from answering; what was read before is told.
    pub async fn read_notices(&self, groups: Vec<GroupId>) -> Result<(), EngineError> {
        let reads: Vec<_> = groups.into_iter().map(|group| self.0.store.notices(group)).collect();
        let mut reads = stream::iter(reads).buffered(READS_MAX);
        while let Some(notices) = reads.next().await {
            let notices = notices?;
            count_notices("read", notices.len());
            if !notices.is_empty() {
                let told = Message::StoreCompleted(Input::Notices { notices });
                self.0.mailbox.send(told).await?;
            }
        }
        Ok(())
    }

    /// What another engine asks; an answer each, in order.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub async fn forwarded(&self, requests: Vec<Request>) -> Result<Vec<Response>, EngineError> {
        let (mut polls, mut places, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (at, request) in requests.into_iter().enumerate() {
            if let Request::Lease(request) = request {
                polls.push((at, request));
            } else {
                places.push(at);
                others.push(request);
            }
        }
        let responses = self.0.mailbox.ask_all(others, true).await?;
        let mut answers: Vec<(usize, Response)> = places.into_iter().zip(responses).collect();
        answers.extend(self.forwarded_polls(polls).await?);
        answers.sort_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, response)| response).collect())
    }

    /// Requests for work are answered each for itself, so that what nobody takes is given back.
    async fn forwarded_polls(
        &self,
        polls: Vec<(usize, LeaseRequest)>,
    ) -> Result<Vec<(usize, Response)>, EngineError> {
        let leases = Leases(Arc::clone(&self.0));
        let mut waiting = Vec::with_capacity(polls.len());
        for (at, request) in polls {
            waiting.push((at, leases.send_poll(request, true).await?));
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
