//! What the faces of the engine share: the way into the core, the stores, and what the executor publishes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::{Millis, Namespace};

use crate::engine::catalog_copies::CatalogCopies;
use crate::engine::core::CoreCounts;
use crate::engine::core::message::{EngineId, Failure, Names, Request, Response};
use crate::engine::error::EngineError;
use crate::engine::forward::Forward;
use crate::engine::gauges::Gauges;
use crate::engine::mailbox::Mailbox;
use crate::engine::watch::Watchers;
use crate::environment::{Clock, Ids};
use crate::event_store::contract::EventStore;
use crate::view::contract::View;

/// One for all faces of one engine.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mailbox: Mailbox,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) view: Arc<dyn View>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Ids,
    pub(super) gauges: Arc<Gauges>,
    /// The way to other engines; none: there are none.
    pub(super) forward: Option<Arc<dyn Forward>>,
    /// Who waits for a subject to change.
    pub(super) watchers: Arc<Watchers>,
    pub(super) catalogs: Arc<CatalogCopies>,
}

impl Shared {
    pub(super) fn now(&self) -> Millis {
        self.clock.now_ms()
    }

    /// Asks the core, and waits for the answer.
    ///
    /// # Errors
    /// `Stopping` when the engine is gone.
    pub(super) async fn ask(&self, request: Request) -> Result<Response, EngineError> {
        self.mailbox.ask(request).await
    }

    /// Asks many things at once: they reach the core together, and their answers come together.
    pub(super) async fn ask_all(
        &self,
        requests: Vec<Request>,
    ) -> Vec<Result<Response, EngineError>> {
        let count = requests.len();
        match self.mailbox.ask_all(requests, false).await {
            Ok(responses) => responses.into_iter().map(Ok).collect(),
            Err(_) => stopping(count),
        }
    }

    /// Ends when the core has heard everything that was asked or told before.
    pub(super) async fn has_heard(&self) -> Result<(), EngineError> {
        let namespace = Namespace::default_namespace();
        self.ask(Request::Queues { namespace, part: Names::NONE }).await.map(drop)
    }

    /// The core's numbers after its last turn.
    pub(super) fn counts(&self) -> CoreCounts {
        *self.gauges.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether this engine drives all of these groups (by index).
    pub(super) fn drives_all(&self, groups: &[u8]) -> bool {
        let driven = self.gauges.driven();
        groups.iter().all(|group| driven.iter().any(|driven| driven.index() == *group))
    }

    /// Whether each group has a driver that can speak for it: this engine, or one of these. What the driver before
    /// acknowledged is not known to be shown otherwise.
    pub(super) fn each_group_is_driven(
        &self,
        drivers: &[Option<EngineId>],
        living: &[EngineId],
    ) -> bool {
        let mine = (0_u8..)
            .zip(drivers)
            .filter(|(_, driver)| !driver.is_some_and(|driver| living.contains(&driver)));
        self.drives_all(&mine.map(|(group, _)| group).collect::<Vec<_>>())
    }

    /// What keeps the view from following may be what keeps the store from taking more: that is said then.
    pub(super) fn of_failure(&self, failure: Failure) -> EngineError {
        let full = self.gauges.view_full.load(Ordering::Relaxed);
        if full && failure == Failure::ViewBehind { EngineError::Full } else { failure.into() }
    }
}

/// The engine is gone: so many times nothing.
pub(super) fn stopping(count: usize) -> Vec<Result<Response, EngineError>> {
    std::iter::repeat_with(|| Err(EngineError::Stopping)).take(count).collect()
}
