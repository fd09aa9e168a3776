//! Tracked operations: what a service does for somebody who waits, such as a request.
//! Always holds: at most `operations_max` of a service run at once and as many again wait; each ends within the
//! operation time-out, its wait included; each is seen with its correlation id while it runs and counted by how it
//! ended, whether it returned, failed, panicked, was cut off or was left by its caller.
//! Absent: operations that must always get through (`counted`), and retries. Whether to try again is the caller's choice, which knows what was promised.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::breaker::{Breaker, Permit};
use super::cell::count_panic;
use super::counted::{self, CountedOperations};
use super::durations::DurationSums;
use super::operation_error::OperationError;
use super::snapshot::{
    BreakerSnapshot, OperationKindSnapshot, RUNNING_SHOWN_MAX, RunningOperationSnapshot,
};
use super::tasks::panic_text;
use crate::config::ServiceSettings;
use crate::environment::Clock;
use crate::telemetry::metrics::{SERVICE_BREAKER_OPEN, SERVICE_OPERATION_DURATION};

/// How an answer counts for the breaker and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationVerdict {
    /// The service did its work; a refusal by the rules is that too.
    Worked,
    /// It could not, through no fault of its own: the store was away, an outcome stayed unknown. It failed, and its
    /// breaker hears nothing of it: the store's health is told by the store's words, and a second opinion on it would
    /// keep refusing after the store has recovered.
    Unanswered,
    /// It could not, by a mistake of ours, as it is with a time-out or a panic.
    Failed,
}

/// The operations of one service; clones are the same.
#[derive(Clone)]
pub struct Operations {
    inner: Arc<OperationsInner>,
}

struct OperationsInner {
    service: &'static str,
    settings: ServiceSettings,
    clock: Arc<dyn Clock>,
    places: Semaphore,
    present: AtomicUsize,
    book: Mutex<Book>,
    counted: Mutex<Vec<Arc<CountedOperations>>>,
}

#[derive(Default)]
struct Book {
    next: u64,
    running: BTreeMap<u64, RunningOperationSnapshot>,
    kinds: BTreeMap<&'static str, KindRecord>,
}

struct KindRecord {
    breaker: Breaker,
    running: u64,
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    refused: u64,
    abandoned: u64,
    durations: DurationSums,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum OperationEnd {
    Succeeded,
    Unanswered,
    Failed,
    TimedOut,
    Abandoned,
}

impl Operations {
    /// Operations of the service of this name, under its settings.
    pub fn new(service: &'static str, settings: ServiceSettings, clock: Arc<dyn Clock>) -> Self {
        let places = Semaphore::new(settings.operations_max);
        let inner = OperationsInner {
            service,
            settings,
            clock,
            places,
            present: AtomicUsize::new(0),
            book: Mutex::default(),
            counted: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A kind of operations that are counted and nothing else; named once, when the service is made.
    pub fn counted(&self, kind: &'static str) -> Arc<CountedOperations> {
        let inner = &*self.inner;
        let counted =
            Arc::new(CountedOperations::new(inner.service, kind, Arc::clone(&inner.clock)));
        inner.counted().push(Arc::clone(&counted));
        counted
    }

    /// Does `work` as an operation of this kind, and gives its answer; `judge` says how the answer counts.
    ///
    /// Hazard: after a time-out or a panic `work` is dropped where it was; a command it had sent may still commit,
    /// so the caller's answer must be "unknown", never "failed".
    pub async fn run<T>(
        &self,
        kind: &'static str,
        correlation_id: &str,
        judge: impl FnOnce(&T) -> OperationVerdict,
        work: impl Future<Output = T>,
    ) -> Result<T, OperationError> {
        let inner = &*self.inner;
        let timeout = inner.settings.operation_timeout;
        let mut operation = self.admit(kind, correlation_id)?;
        let work = async {
            // The semaphore is never closed; were it, the bound would be gone and the work still right.
            let _place = inner.places.acquire().await.ok();
            AssertUnwindSafe(work).catch_unwind().await
        };
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = inner.clock.sleep(timeout) => {
                operation.end(OperationEnd::TimedOut);
                return Err(OperationError::TimedOut { service: inner.service, kind, timeout });
            }
        };
        match ended {
            Ok(answer) => {
                operation.end(match judge(&answer) {
                    OperationVerdict::Worked => OperationEnd::Succeeded,
                    OperationVerdict::Unanswered => OperationEnd::Unanswered,
                    OperationVerdict::Failed => OperationEnd::Failed,
                });
                Ok(answer)
            }
            Err(panic) => {
                operation.end(OperationEnd::Failed);
                count_panic(inner.service);
                let panic = panic_text(panic.as_ref());
                tracing::error!(
                    service = inner.service,
                    operation = kind,
                    correlation_id,
                    panic,
                    "an operation panicked"
                );
                Err(OperationError::Panicked { service: inner.service, kind })
            }
        }
    }

    /// A place in the book, or why there is none.
    fn admit(&self, kind: &'static str, correlation_id: &str) -> Result<Running, OperationError> {
        let inner = &*self.inner;
        let max = inner.settings.operations_max;
        let (now, since) = (inner.clock.monotonic(), inner.clock.now_ms());
        let mut book = inner.book();
        let kind_record = book.kind(kind, &inner.settings);
        // As many again may wait; beyond that, waiting would only end in time-outs.
        if inner.present.load(Ordering::Relaxed) >= max.saturating_mul(2) {
            kind_record.refused += 1;
            drop(book);
            inner.count(kind, "busy");
            return Err(OperationError::Busy { service: inner.service, max });
        }
        let permit = match kind_record.breaker.ask(now) {
            Ok(permit) => permit,
            Err(retry_after) => {
                kind_record.refused += 1;
                drop(book);
                inner.count(kind, "stopped");
                return Err(OperationError::Stopped { service: inner.service, kind, retry_after });
            }
        };
        kind_record.running += 1;
        inner.present.fetch_add(1, Ordering::Relaxed);
        let id = book.next;
        book.next += 1;
        book.running.insert(
            id,
            RunningOperationSnapshot { kind, correlation_id: correlation_id.to_owned(), since },
        );
        drop(book);
        Ok(Running { operations: self.clone(), kind, id, began: now, permit: Some(permit) })
    }

    pub fn kinds(&self) -> Vec<OperationKindSnapshot> {
        let book = self.inner.book();
        let snapshot = |(kind, record): (&&'static str, &KindRecord)| OperationKindSnapshot {
            kind,
            running: record.running,
            succeeded: record.succeeded,
            failed: record.failed,
            timed_out: record.timed_out,
            refused: record.refused,
            abandoned: record.abandoned,
            duration: record.durations.snapshot(),
        };
        let mut kinds: Vec<_> = book.kinds.iter().map(snapshot).collect();
        drop(book);
        kinds.extend(self.inner.counted().iter().map(|counted| counted.snapshot()));
        kinds
    }

    pub fn running(&self) -> Vec<RunningOperationSnapshot> {
        self.inner.book().running.values().take(RUNNING_SHOWN_MAX).cloned().collect()
    }

    pub fn breakers(&self) -> Vec<BreakerSnapshot> {
        let now = self.inner.clock.monotonic();
        let book = self.inner.book();
        let snapshot = |(operation, record): (&&'static str, &KindRecord)| BreakerSnapshot {
            operation,
            state: record.breaker.state_word(),
            failure_rate_pct: record.breaker.rate_pct(),
            opened: record.breaker.opened(),
            open_for_ms: record
                .breaker
                .open_for(now)
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        };
        book.kinds.iter().map(snapshot).collect()
    }

    /// Kinds that are stopped or on trial.
    pub fn stopped_kinds(&self) -> Vec<&'static str> {
        let book = self.inner.book();
        book.kinds
            .iter()
            .filter(|(_, record)| !record.breaker.is_closed())
            .map(|(kind, _)| *kind)
            .collect()
    }
}

impl OperationsInner {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change under the lock is whole before anything can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, Vec<Arc<CountedOperations>>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, kind: &'static str, outcome: &'static str) {
        counted::counter(self.service, kind, outcome).increment(1);
    }
}

impl Book {
    fn kind(&mut self, kind: &'static str, settings: &ServiceSettings) -> &mut KindRecord {
        self.kinds.entry(kind).or_insert_with(|| KindRecord {
            breaker: Breaker::new(settings.breaker.clone()),
            running: 0,
            succeeded: 0,
            failed: 0,
            timed_out: 0,
            refused: 0,
            abandoned: 0,
            durations: DurationSums::default(),
        })
    }
}

/// An operation that was let in; ends when told, or as abandoned when dropped.
struct Running {
    operations: Operations,
    kind: &'static str,
    id: u64,
    began: Duration,
    permit: Option<Permit>,
}

impl Running {
    fn end(&mut self, ended: OperationEnd) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let inner = &*self.operations.inner;
        let now = inner.clock.monotonic();
        let took = now.saturating_sub(self.began);
        let mut book = inner.book();
        book.running.remove(&self.id);
        let record = book.kind(self.kind, &inner.settings);
        record.running = record.running.saturating_sub(1);
        record.durations.add(took);
        let was_closed = record.breaker.is_closed();
        let outcome = match ended {
            OperationEnd::Succeeded => {
                record.succeeded += 1;
                record.breaker.report(&permit, false, now);
                "succeeded"
            }
            OperationEnd::Unanswered => {
                record.failed += 1;
                record.breaker.give_back(&permit);
                "failed"
            }
            OperationEnd::Failed => {
                record.failed += 1;
                record.breaker.report(&permit, true, now);
                "failed"
            }
            OperationEnd::TimedOut => {
                record.timed_out += 1;
                record.breaker.report(&permit, true, now);
                "timed_out"
            }
            // A caller that left says nothing about the service.
            OperationEnd::Abandoned => {
                record.abandoned += 1;
                record.breaker.give_back(&permit);
                "abandoned"
            }
        };
        let is_closed = record.breaker.is_closed();
        drop(book);
        inner.present.fetch_sub(1, Ordering::Relaxed);
        inner.count(self.kind, outcome);
        let labels = [("service", inner.service), ("operation", self.kind)];
        metrics::histogram!(SERVICE_OPERATION_DURATION, &labels).record(took.as_secs_f64());
        if was_closed != is_closed {
            metrics::gauge!(SERVICE_BREAKER_OPEN, &labels).set(if is_closed { 0.0 } else { 1.0 });
            tracing::warn!(
                service = inner.service,
                operation = self.kind,
                stopped = !is_closed,
                "the breaker of an operation changed"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(OperationEnd::Abandoned);
    }
}
