//! Reads for people, of what the engine's core does not keep: lists from the view; nodes, graph, history and progress
//! of one job from its stream, folded once and kept while it is looked at.
//! Always holds: nothing here changes or decides anything; a job of another namespace is one that does not exist; what
//! is shown of one job is its newest committed state. Absent: HTTP shapes of lists (pages, cursors, links).

mod details;
mod durations;
mod explain;
mod graph;
mod history;
mod nodes;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{JobId, Millis, Namespace, SubjectId};
use domain::job::summary::JobSnapshot;
use domain::payload::Payload;

use crate::engine::error::EngineError;
use crate::engine::handle::Engine;
use crate::environment::Clock;
use crate::view::contract::{JobQuery, Page, ViewError};
use crate::view::resources::job::JobResource;

use self::details::Details;

pub use self::explain::{
    AsksAnswer, AttemptRunning, EndedAnswer, Explained, GrantAnswer, Memory, NodeStands,
    WaitAnswer, WorkersAnswer,
};
pub use self::graph::{GraphAnswer, GraphEdge, GraphNode};
pub use self::history::{HistoryExport, HistoryPage, HistoryRow};
pub use self::nodes::{AttemptAnswer, ErrorAnswer, NodeAnswer, NodeQuery, NodesPage, RetryAnswer};
pub use self::progress::{ProgressAnswer, SpreadAnswer};

/// How long a consistent list waits for the view.
const CONSISTENT_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at how far the view is; the view is flushed every 50 ms.
const CONSISTENT_LOOK: Duration = Duration::from_millis(5);
/// Between two questions to other engines: one that is gone is found out at the next look at the records, within 500 ms.
const OTHERS_LOOK: Duration = Duration::from_millis(100);

/// Reads; cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    engine: Engine,
    clock: Arc<dyn Clock>,
    details: Arc<Details>,
}

/// A page of a list, with when it was so.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What was found.
    pub page: Page,
    /// Everything acknowledged before is shown.
    pub as_of: Millis,
    /// False while the view is rebuilt: jobs may be missing.
    pub whole: bool,
}

impl Queries {
    /// Over this engine.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>) -> Self {
        let details = Arc::new(Details::new(engine.clone()));
        Self { engine, clock, details }
    }

    /// The engine that is read.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A page of jobs. `consistent`: with all that was acknowledged before this call.
    ///
    /// # Errors
    /// `ViewBehind` when that takes longer than 2 s, and what keeps the view from answering.
    pub async fn list(&self, query: JobQuery, consistent: bool) -> Result<Listed, EngineError> {
        if consistent {
            // In this order: groups that come to this engine while the others are asked count as its own.
            self.others_are_shown().await?;
            self.here_is_shown().await?;
        }
        let (as_of, whole) = (self.as_of().await, self.engine.views().is_whole());
        let page = self.engine.views().documents().jobs(query).await.map_err(of_view)?;
        Ok(Listed { page, as_of, whole })
    }

    /// One job with its input and output, also where these are stored beside its stream.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the engine from answering.
    pub async fn job(&self, namespace: &Namespace, job: JobId) -> Result<JobResource, EngineError> {
        let snapshot = self.engine.jobs().job(namespace, job).await?;
        self.filled(&snapshot, JobResource::of(&snapshot, self.clock.now_ms())).await
    }

    /// A job's resource with the payloads that are stored beside its stream.
    ///
    /// # Errors
    /// What keeps the store from answering.
    pub async fn filled(
        &self,
        snapshot: &JobSnapshot,
        mut shown: JobResource,
    ) -> Result<JobResource, EngineError> {
        let subject = SubjectId::job(snapshot.namespace.clone(), snapshot.id);
        let (input, output) = snapshot.stored();
        if let Some(input) = input {
            shown.input = Some(self.engine.streams().stored(&subject, input).await?);
        }
        if let Some(output) = output {
            shown.output = Some(self.engine.streams().stored(&subject, output).await?);
        }
        for (shown, reached) in shown.checkpoints.iter_mut().zip(&snapshot.checkpoints) {
            if let Some(Payload::Stored(record)) = &reached.record {
                shown.record = Some(self.engine.streams().stored(&subject, *record).await?);
            }
        }
        Ok(shown)
    }

    /// Everything acknowledged before this time, by any living engine, is in the view. Ask before the view is read.
    pub async fn as_of(&self) -> Millis {
        self.engine.views().shown_until_everywhere().await
    }

    /// Waits until the view shows all that other engines had acknowledged.
    async fn others_are_shown(&self) -> Result<(), EngineError> {
        // One that is gone is found out, and its groups are taken over, in less than that as a rule.
        let shown = async {
            while !self.engine.cluster().others_are_shown().await {
                self.clock.sleep(OTHERS_LOOK).await;
            }
        };
        let shown = tokio::select! {
            biased;
            () = shown => true,
            () = self.clock.sleep(CONSISTENT_WAIT) => false,
        };
        if shown { Ok(()) } else { Err(EngineError::ViewBehind) }
    }

    /// Waits until the view shows all that this engine had acknowledged before this call. A request that only passes
    /// through the core comes first: once it is answered, the numbers the core shows are those of a turn after every such change.
    /// What was acknowledged before this engine started is found by its first look, and known when it has been read.
    ///
    /// # Errors
    /// `ViewBehind` when that takes longer than 2 s.
    pub async fn here_is_shown(&self) -> Result<(), EngineError> {
        let end = self.clock.monotonic().saturating_add(CONSISTENT_WAIT);
        self.until(end, || self.engine.cluster().has_looked()).await?;
        self.engine.has_heard().await?;
        let asked = self.clock.now_ms();
        self.until(end, || {
            let counts = self.engine.counts();
            let behind = [counts.unshown_since, counts.unread_since];
            self.engine.views().is_whole()
                && behind.into_iter().flatten().all(|since| since > asked)
        })
        .await
    }

    async fn until(&self, end: Duration, holds: impl Fn() -> bool) -> Result<(), EngineError> {
        while !holds() {
            if self.clock.monotonic() >= end {
                return Err(EngineError::ViewBehind);
            }
            self.clock.sleep(CONSISTENT_LOOK).await;
        }
        Ok(())
    }
}

fn of_view(error: ViewError) -> EngineError {
    match error {
        ViewError::Unavailable(_) => EngineError::Unavailable,
        ViewError::Full => EngineError::Full,
        ViewError::Damaged(reason) => EngineError::Damaged(reason),
    }
}
