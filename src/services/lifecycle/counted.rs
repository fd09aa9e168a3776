//! Operations that are counted and nothing else. What finishes work must get through whatever else its service does:
//! nothing here refuses it, makes it wait, cuts it off or stops its kind; the request that carries it has its own
//! deadline, and its span the correlation id.
//! Always holds: no allocation; one atomic when it begins, and when it ends one short lock, which nobody holds for longer
//! than it takes to count, and one atomic of the metrics. Absent: everything that `operations` does beside counting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::Counter;

use super::durations::DurationSums;
use super::operations::OperationVerdict;
use super::snapshot::OperationKindSnapshot;
use crate::environment::Clock;
use crate::telemetry::metrics::SERVICE_OPERATIONS;

/// The counter of how operations of a kind ended.
pub(super) fn counter(service: &'static str, kind: &'static str, outcome: &'static str) -> Counter {
    let labels = [("service", service), ("operation", kind), ("outcome", outcome)];
    metrics::counter!(SERVICE_OPERATIONS, &labels)
}

/// One kind of such operations.
pub struct CountedOperations {
    service: &'static str,
    kind: &'static str,
    clock: Arc<dyn Clock>,
    running: AtomicU64,
    ended: Mutex<Ended>,
    /// Looked up once, when the first ends: a look-up allocates.
    counters: OnceLock<[Counter; 3]>,
}

#[derive(Debug, Default)]
struct Ended {
    by_outcome: [u64; 3],
    durations: DurationSums,
}

/// What became of one, as a place in the counts.
#[derive(Clone, Copy)]
enum Outcome {
    Succeeded,
    Failed,
    Abandoned,
}

impl std::fmt::Debug for CountedOperations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountedOperations").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl CountedOperations {
    pub(super) fn new(service: &'static str, kind: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self {
            service,
            kind,
            clock,
            running: AtomicU64::new(0),
            ended: Mutex::default(),
            counters: OnceLock::new(),
        }
    }

    /// Does `work` and gives its answer; `judge` says how the answer counts.
    pub async fn run<T>(
        &self,
        judge: impl FnOnce(&T) -> OperationVerdict,
        work: impl Future<Output = T>,
    ) -> T {
        self.running.fetch_add(1, Ordering::Relaxed);
        // Left by its caller, unless it comes to its end.
        let mut running =
            Running { of: self, began: self.clock.monotonic(), outcome: Outcome::Abandoned };
        let answer = work.await;
        running.outcome = match judge(&answer) {
            OperationVerdict::Worked => Outcome::Succeeded,
            OperationVerdict::Unanswered | OperationVerdict::Failed => Outcome::Failed,
        };
        answer
    }

    fn end(&self, outcome: Outcome, took: Duration) {
        {
            // Every change under the lock is whole before anything can panic.
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.by_outcome[outcome as usize] += 1;
            ended.durations.add(took);
        }
        self.running.fetch_sub(1, Ordering::Relaxed);
        let counters = self.counters.get_or_init(|| {
            let outcomes = ["succeeded", "failed", "abandoned"];
            outcomes.map(|outcome| counter(self.service, self.kind, outcome))
        });
        counters[outcome as usize].increment(1);
    }

    pub(super) fn snapshot(&self) -> OperationKindSnapshot {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let [succeeded, failed, abandoned] = ended.by_outcome;
        OperationKindSnapshot {
            kind: self.kind,
            running: self.running.load(Ordering::Relaxed),
            succeeded,
            failed,
            timed_out: 0,
            refused: 0,
            abandoned,
            duration: ended.durations.snapshot(),
        }
    }
}

struct Running<'a> {
    of: &'a CountedOperations,
    began: Duration,
    outcome: Outcome,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.of.clock.monotonic().saturating_sub(self.began);
        self.of.end(self.outcome, took);
    }
}
