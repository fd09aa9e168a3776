//! The way between engines of one process: what one asks another is handed over at once, as the product's transport does
//! over a network. Always holds: an engine that is not there does not answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::Millis;
use futures_util::future::BoxFuture;
use orrery::engine::core::message::{Announced, EngineId, Request, Response};
use orrery::engine::forward::Forward;
use orrery::engine::handle::Engine;

/// The engines that can be reached.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    engines: Mutex<BTreeMap<EngineId, Engine>>,
}

impl Neighbours {
    /// One that can be reached from now on.
    pub(crate) fn joins(&self, id: EngineId, engine: Engine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).insert(id, engine);
    }

    fn find(&self, id: EngineId) -> Option<Engine> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// One engine's way to the others.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) me: EngineId,
    pub(crate) all: Arc<Neighbours>,
}

impl Forward for Way {
    fn forward(
        &self,
        to: EngineId,
        request: Request,
        _: Duration,
    ) -> BoxFuture<'static, Option<Response>> {
        let engine = self.all.find(to);
        Box::pin(async move { engine?.cluster().forwarded(vec![request]).await.ok()?.pop() })
    }

    fn announce(&self, to: EngineId, queues: Arc<[Announced]>) -> BoxFuture<'static, ()> {
        let (me, engine) = (self.me, self.all.find(to));
        Box::pin(async move {
            if let Some(engine) = engine {
                engine.cluster().announced(me, queues.to_vec()).await;
            }
        })
    }

    fn others(&self) -> Vec<EngineId> {
        let engines = self.all.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.keys().copied().filter(|engine| *engine != self.me).collect()
    }

    fn shown_until(&self, engine: EngineId) -> BoxFuture<'static, Option<Millis>> {
        let engine = self.all.find(engine);
        Box::pin(async move { engine.map(|engine| engine.views().shown_until()) })
    }
}
