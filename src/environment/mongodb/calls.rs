//! How a call to MongoDB is made: on a task of its own, waited for at most its deadline.
//! Always holds: giving up waiting never drops a future of the driver (that can break its state); so many calls are
//! under way at most, those nobody waits for any more included, so that a server that hangs cannot fill the memory.
//! Absent: trying again. A write is repeated by whoever knows that repeating it is safe.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::failure::{CallError, Cause};
use crate::environment::Clock;

/// Calls under way at once: five for each connection of the pool, most of them waiting for one.
const CALLS_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct Calls {
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl Calls {
    /// Calls that are waited for at most `deadline`.
    pub fn new(clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        Self { clock, places: Arc::new(Semaphore::new(CALLS_MAX)), deadline }
    }

    /// The same places, another deadline: for loops, which nobody waits for.
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// How long a call is waited for.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The clock that deadlines are measured by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Makes one call; `what` names it in the error.
    ///
    /// # Errors
    /// What the driver says, or that it did not answer in time: then nothing is known of a write.
    pub async fn make<T: Send + 'static>(
        &self,
        what: &'static str,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, CallError> {
        asked(what);
        let late = self.clock.sleep(self.deadline);
        let places = Arc::clone(&self.places);
        let answer = async {
            let Ok(place) = places.acquire_owned().await else { return Err(Cause::Ended) };
            let task = tokio::spawn(async move {
                let answer = call.await;
                drop(place);
                answer
            });
            match task.await {
                Ok(answer) => answer.map_err(Cause::from),
                Err(_) => Err(Cause::Ended),
            }
        };
        let made = tokio::select! {
            biased;
            made = answer => made,
            () = late => Err(Cause::Late(self.deadline)),
        };
        made.map_err(|cause| CallError { what, cause })
    }

    /// Makes a call that nobody waits for; not at all when too many are under way. Its failure is logged.
    pub fn begin(
        &self,
        what: &'static str,
        call: impl Future<Output = mongodb::error::Result<()>> + Send + 'static,
    ) {
        asked(what);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        tokio::spawn(async move {
            if let Err(error) = call.await {
                let error = CallError { what, cause: Cause::from(error) };
                tracing::debug!(%error, "tried again with the next occasion");
            }
            drop(place);
        });
    }
}

/// By this a test knows that each call in the sources was made before it says that all go through an index
/// (`every_query_goes_through_an_index_that_finds_and_orders`).
fn asked(what: &'static str) {
    tracing::trace!(target: "orrery::mongodb", what, "asked");
}
