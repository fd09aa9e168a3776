//! The service `retry_manager`: keeps retry policies for people.
//! Always holds: services never call one another; what it wants of a subject it sends as a command.
//! Absent: rules (`domain`) and HTTP.

use std::sync::Arc;
use std::time::Duration;

use domain::catalog::command::CatalogCommand;
use domain::catalog::policy::CatalogPolicy;
use domain::ids::{Namespace, PolicyId};

use super::lifecycle::{EngineCallError, Need, Operations, Service, correlation_of, run_call};
use crate::engine::core::message::Caller;
use crate::engine::handle::Engine;
use crate::engine::jobs::Changed;

/// How long the driver may take to start.
const DRIVER_START_MAX: Duration = Duration::from_secs(30);

/// Schedules and cancels retries, and keeps the policies.
#[derive(Debug)]
pub struct RetryManager {
    engine: Engine,
    operations: Operations,
}

impl RetryManager {
    /// Over this engine.
    pub fn new(engine: Engine, operations: Operations) -> Arc<Self> {
        Arc::new(Self { engine, operations })
    }

    /// Makes, replaces or deletes a retry policy of a namespace, each a kind of operation of its own. Answers the policy as
    /// it was right after that, none where it is deleted.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine or this service from answering.
    pub async fn change_policy(
        &self,
        namespace: &Namespace,
        policy: PolicyId,
        command: CatalogCommand,
        caller: Caller,
    ) -> Result<Changed<Option<Arc<CatalogPolicy>>>, EngineCallError> {
        let (kind, correlation) = (kind_of(&command), correlation_of(&caller));
        let catalogs = self.engine.catalogs();
        let work = catalogs.change(namespace, policy, command, caller);
        run_call(&self.operations, kind, &correlation, work).await
    }
}

/// How GET /services calls a change of a catalog.
fn kind_of(command: &CatalogCommand) -> &'static str {
    match command {
        CatalogCommand::CreatePolicy { .. } => "create_retry_policy",
        CatalogCommand::ReplacePolicy { .. } => "replace_retry_policy",
        CatalogCommand::DeletePolicy { .. } => "delete_retry_policy",
        // These have routes of their own, which no retry policy is behind.
        CatalogCommand::Pause { .. } | CatalogCommand::Resume { .. } => "change_catalog",
    }
}

impl Service for RetryManager {
    fn name(&self) -> &'static str {
        "retry_manager"
    }

    fn needs(&self) -> Vec<Need> {
        vec![
            Need::required("driver", DRIVER_START_MAX),
            Need::optional("view_writer", DRIVER_START_MAX).lazy(),
        ]
    }

    fn operations(&self) -> Option<Operations> {
        Some(self.operations.clone())
    }
}
