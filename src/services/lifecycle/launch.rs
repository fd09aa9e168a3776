//! How one service comes up: it waits for what it needs eagerly, prepares itself, and is ready.
//! Used for the first start and after every error, so that both go the same way. Always holds: no wait here is
//! without a time-out, a panic in `start` is an error of that service, and a drain ends it at once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use tokio_util::sync::CancellationToken;

use super::ServiceState;
use super::cell::Cell;
use super::service::{HostedService, Need, ServiceError};
use super::tasks::panic_text;
use crate::environment::Clock;

/// How long a service may take to start when nobody who needs it says: a store with a long log to read.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a service's launch has to know.
pub(super) struct Launch {
    pub(super) cell: Arc<Cell>,
    pub(super) service: Box<dyn HostedService>,
    /// Each need with the cell of the one needed; `None` when there is no such service.
    pub(super) needs: Vec<(Need, Option<Arc<Cell>>)>,
    /// The longest that anybody waits for this service.
    pub(super) timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
    /// The host is draining.
    pub(super) stop: CancellationToken,
}

impl Launch {
    /// From initializing to ready, or to error; whether it is ready.
    pub(super) async fn bring_up(&self) -> bool {
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(ServiceError::new("the engine stopped before it had started")),
            outcome = self.prepare() => outcome,
        };
        match outcome {
            Ok(()) => self.cell.enter(ServiceState::Ready),
            Err(error) => {
                self.cell.fail(&error.to_string());
                false
            }
        }
    }

    async fn prepare(&self) -> Result<(), ServiceError> {
        self.wait_for_needs().await?;
        let start = AssertUnwindSafe(self.service.start()).catch_unwind();
        tokio::select! {
            biased;
            started = start => started.unwrap_or_else(|panic| {
                self.cell.count_panic();
                Err(ServiceError::new(format!("start panicked: {}", panic_text(panic.as_ref()))))
            }),
            () = self.clock.sleep(self.timeout) => {
                Err(ServiceError::new(format!("did not start within {:?}", self.timeout)))
            }
        }
    }

    /// All eager needs at once, each with its own time.
    async fn wait_for_needs(&self) -> Result<(), ServiceError> {
        let eager = self.needs.iter().filter(|(need, _)| need.eager);
        let mut waits: Vec<_> =
            eager.map(|(need, cell)| Box::pin(self.wait_for(need, cell.as_deref()))).collect();
        while !waits.is_empty() {
            let (outcome, _, rest) = select_all(waits).await;
            outcome?;
            waits = rest;
        }
        Ok(())
    }

    async fn wait_for(&self, need: &Need, cell: Option<&Cell>) -> Result<(), ServiceError> {
        let name = need.service;
        let Some(cell) = cell else {
            // The host refused to be built when a required one was missing.
            return Ok(());
        };
        let settled = |state| !matches!(state, ServiceState::Initializing | ServiceState::Ready);
        tokio::select! {
            biased;
            () = cell.reaches(settled) => {}
            () = self.clock.sleep(need.start_timeout) => {}
        }
        let state = cell.state();
        match (state, need.required) {
            (ServiceState::Running, _) => Ok(()),
            (_, true) => Err(ServiceError::new(format!("needs {name}, which is {state}"))),
            (_, false) => {
                tracing::warn!(
                    service = self.cell.name(),
                    needs = name,
                    state = state.as_str(),
                    "starts degraded"
                );
                Ok(())
            }
        }
    }
}
