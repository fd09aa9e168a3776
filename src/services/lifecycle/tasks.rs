//! Tasks that are no ticks: connections of the server, a client's heartbeat. Started through here so that a drain
//! knows of every task there is, and a panic in one is logged and counted instead of vanishing.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::task::TaskTracker;

use super::cell::count_panic;
use crate::environment::Clock;

/// A set of tasks with one name; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    name: &'static str,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
}

impl Tasks {
    /// An empty set; `name` stands in the logs and as the `service` label of a panic.
    pub fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { name, clock, tracker: TaskTracker::new() }
    }

    /// Runs `work` beside everything else. How many there are is bounded by whoever starts them.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let name = self.name;
        // Not in a block of its own, which would make each task twice as large as its work.
        self.tracker.spawn(AssertUnwindSafe(work).catch_unwind().map(move |ended| {
            if let Err(panic) = ended {
                count_panic(name);
                tracing::error!(
                    service = name,
                    panic = panic_text(panic.as_ref()),
                    "a task panicked"
                );
            }
        }));
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Waits until all have ended, at most `deadline`; whether they have. To be called once nobody starts new ones.
    pub async fn ended_within(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::select! {
            biased;
            () = self.tracker.wait() => true,
            () = self.clock.sleep(deadline) => self.tracker.is_empty(),
        }
    }
}

/// What a panic said, if it said anything.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        text
    } else {
        panic.downcast_ref::<String>().map_or("a panic without words", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SimulatedClock;

    #[tokio::test]
    async fn a_panic_in_a_task_ends_that_task_only() {
        let tasks = Tasks::new("connections", Arc::new(SimulatedClock::at(0)));
        let (done, finished) = tokio::sync::oneshot::channel();
        tasks.spawn(async { std::panic::panic_any("as the test wants it") });
        tasks.spawn(async {
            let _ = done.send(());
        });
        assert!(finished.await.is_ok());
        assert!(tasks.ended_within(Duration::from_secs(1)).await);
        assert!(tasks.is_empty());
    }
}
