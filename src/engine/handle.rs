//! The engine as seen from above: its life, its numbers, and the faces through which jobs, environments, work, other
//! engines, documents and streams are reached, so that whoever uses one names no other. Cheap to clone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::{Millis, Namespace};

use crate::engine::catalogs::Catalogs;
use crate::engine::cluster::Cluster;
use crate::engine::core::CoreCounts;
use crate::engine::core::message::{Failure, Input, QueueFacts, Request, Response};
use crate::engine::core::urgency::Urgency;
use crate::engine::environments::Environments;
use crate::engine::error::EngineError;
use crate::engine::jobs::Jobs;
use crate::engine::leases::Leases;
use crate::engine::mailbox::{Message, refusal};
use crate::engine::shared::Shared;
use crate::engine::streams::Streams;
use crate::engine::views::Views;
use crate::environment::Ids;

/// The engine as seen from above.
#[derive(Debug, Clone)]
pub struct Engine(pub(super) Arc<Shared>);

impl Engine {
    /// Who makes and changes jobs.
    pub fn jobs(&self) -> Jobs {
        Jobs(Arc::clone(&self.0))
    }

    /// Who makes and changes environments.
    pub fn environments(&self) -> Environments {
        Environments(Arc::clone(&self.0))
    }

    /// What namespaces keep by name for their jobs.
    pub fn catalogs(&self) -> Catalogs {
        Catalogs(Arc::clone(&self.0))
    }

    pub fn leases(&self) -> Leases {
        Leases(Arc::clone(&self.0))
    }

    /// Other engines, and who decides what this one drives.
    pub fn cluster(&self) -> Cluster {
        Cluster(Arc::clone(&self.0))
    }

    /// Who looks at documents.
    pub fn views(&self) -> Views {
        Views(Arc::clone(&self.0))
    }

    /// Who reads streams.
    pub fn streams(&self) -> Streams {
        Streams(Arc::clone(&self.0))
    }

    /// The engine's clock, in milliseconds.
    pub fn now(&self) -> Millis {
        self.0.now()
    }

    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// The core's numbers after its last turn.
    pub fn counts(&self) -> CoreCounts {
        self.0.counts()
    }

    /// The queues in use at this engine with how much waits there and since when, the first so many by name, as they were
    /// at most 5 s ago.
    pub fn queues_in_use(&self) -> Vec<(Namespace, QueueFacts)> {
        self.0.gauges.queues_in_use().clone()
    }

    /// When the core had its last turn, on the engine's clock.
    pub fn turned_at(&self) -> Millis {
        Millis::try_from(self.0.gauges.turned_at.load(Ordering::Relaxed)).unwrap_or(Millis::MAX)
    }

    /// Whether the last append was answered by the store.
    pub fn store_answers(&self) -> bool {
        self.0.gauges.store_ok.load(Ordering::Relaxed)
    }

    /// Why something of this urgency would be refused now, known without asking the core: what is refused costs next to
    /// nothing.
    pub fn refusal(&self, urgency: Urgency) -> Option<EngineError> {
        let word = self.0.gauges.refused.load(Ordering::Relaxed);
        let stalled = urgency == Urgency::Submit && self.0.mailbox.is_behind();
        let failure = refusal(word, urgency).or_else(|| stalled.then_some(Failure::Overloaded));
        failure.map(|failure| self.0.of_failure(failure))
    }

    /// Asks the core, and waits for the answer.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub async fn ask(&self, request: Request) -> Result<Response, EngineError> {
        self.0.ask(request).await
    }

    /// Ends when the core has heard everything that was asked or told before.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn has_heard(&self) -> Result<(), EngineError> {
        self.0.has_heard().await
    }

    /// Answers everybody who waits for work, now and from now on at once: the engine is about to end.
    pub async fn end_waits(&self) {
        let _ = self.0.mailbox.send(Message::StoreCompleted(Input::Leaving)).await;
    }

    /// Asks the executor to stop: what is under way is finished, new requests get `Stopping`.
    pub async fn stop(&self) {
        let _ = self.0.mailbox.send(Message::Stop).await;
    }
}
