//! The way to other engines, as the core's requests and those who look for all engines take it.
//! Absent: any promise that an answer comes.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::Millis;
use futures_util::future::BoxFuture;

use crate::engine::core::message::{Announced, EngineId, Request, Response};

/// The way to other engines.
pub trait Forward: Send + Sync + std::fmt::Debug {
    /// Asks another engine, with `forwarded` set there (`Cluster::forwarded`); what is asked of one engine meanwhile may
    /// travel together. None: no answer came, which says nothing about what was done. It is not waited for longer than
    /// `within`, which goes along, so that the other engine need not answer later than that.
    fn forward(
        &self,
        to: EngineId,
        request: Request,
        within: Duration,
    ) -> BoxFuture<'static, Option<Response>>;

    /// Tells another engine of work (`Cluster::announced`). Nothing rests on its arrival, and nobody waits for it.
    fn announce(&self, to: EngineId, queues: Arc<[Announced]>) -> BoxFuture<'static, ()>;

    /// The other engines that live.
    fn others(&self) -> Vec<EngineId> {
        Vec::new()
    }

    /// Who drives each group by its record, by index, as seen last; empty: nobody has looked, or nobody keeps records.
    fn drivers(&self) -> Arc<[Option<EngineId>]> {
        Arc::default()
    }

    /// Waits until the view shows what another engine had acknowledged when it heard of this. False: it does not say
    /// so, or not in time.
    fn shown(&self, engine: EngineId) -> BoxFuture<'static, bool> {
        let _ = engine;
        Box::pin(std::future::ready(false))
    }

    /// Until when, by its own clock, the view shows all that another engine has acknowledged. None: it does not say so.
    fn shown_until(&self, engine: EngineId) -> BoxFuture<'static, Option<Millis>> {
        let _ = engine;
        Box::pin(std::future::ready(None))
    }
}
