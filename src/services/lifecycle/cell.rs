//! The one record of a hosted service: its state, heartbeat, ticks, and what went wrong.
//! Always holds: a state changes only along the table of `state.rs`; whoever waits for a state is told of each change.
//! Written by the service's own launch and pump, read by everybody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::ServiceState;
use super::durations::DurationSums;
use super::service::TickReport;
use crate::environment::Clock;
use crate::telemetry::metrics::{
    LOOP_LAG, SERVICE_PANICS, SERVICE_TICK_DURATION, SERVICE_TICKS, SERVICE_UP,
};

/// Counts a panic that was caught in something of this service.
pub(super) fn count_panic(service: &'static str) {
    metrics::counter!(SERVICE_PANICS, "service" => service).increment(1);
}

pub(super) struct Cell {
    name: &'static str,
    clock: Arc<dyn Clock>,
    state: watch::Sender<ServiceState>,
    record: Mutex<ServiceRecord>,
    drained: AtomicBool,
}

/// What is known of a service beside its state.
#[derive(Clone, Debug)]
pub(super) struct ServiceRecord {
    pub(super) since: i64,
    pub(super) last_heartbeat_at: Option<i64>,
    /// Why it is in error, while it is.
    pub(super) failure: Option<String>,
    pub(super) restarts: u64,
    pub(super) panics: u64,
    pub(super) ticks: BTreeMap<&'static str, TickRecord>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct TickRecord {
    pub(super) last_run_at: Option<i64>,
    pub(super) last_did: u64,
    pub(super) next_due: Option<i64>,
    pub(super) runs: u64,
    pub(super) failures: u64,
    pub(super) failures_in_a_row: u32,
    pub(super) last_failure: Option<String>,
    pub(super) durations: DurationSums,
}

/// How one run of a tick ended.
#[derive(Debug)]
pub(super) enum Ran {
    Reported(TickReport),
    TimedOut,
    Panicked(String),
}

impl Cell {
    pub(super) fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        let record = ServiceRecord {
            since: clock.now_ms(),
            last_heartbeat_at: None,
            failure: None,
            restarts: 0,
            panics: 0,
            ticks: BTreeMap::new(),
        };
        Self {
            name,
            clock,
            state: watch::Sender::new(ServiceState::Initializing),
            record: Mutex::new(record),
            drained: AtomicBool::new(false),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn state(&self) -> ServiceState {
        *self.state.borrow()
    }

    pub(super) fn record(&self) -> ServiceRecord {
        self.lock().clone()
    }

    /// Ends when the service is in a state that `wanted` accepts.
    pub(super) async fn reaches(&self, wanted: impl Fn(ServiceState) -> bool) {
        // The sender lives in `self`, so the wait ends only when the state is reached.
        let _ = self.state.subscribe().wait_for(|state| wanted(*state)).await;
    }

    /// Goes to `to` when the table allows it; whether it did.
    pub(super) fn enter(&self, to: ServiceState) -> bool {
        self.change(to, None)
    }

    /// Goes to error, for this reason.
    pub(super) fn fail(&self, reason: &str) -> bool {
        tracing::error!(service = self.name, reason, "a service is in error");
        self.change(ServiceState::Error, Some(reason.to_owned()))
    }

    fn change(&self, to: ServiceState, failure: Option<String>) -> bool {
        // The record's lock makes check and change one step, and `since` belong to the state it is read with.
        let mut record = self.lock();
        let from = self.state();
        if !from.next().contains(&to) {
            return false;
        }
        record.since = self.clock.now_ms();
        record.failure = failure;
        record.restarts +=
            u64::from((from, to) == (ServiceState::Error, ServiceState::Initializing));
        self.state.send_replace(to);
        drop(record);
        let up = if to == ServiceState::Running { 1.0 } else { 0.0 };
        metrics::gauge!(SERVICE_UP, "service" => self.name).set(up);
        tracing::info!(
            service = self.name,
            from = from.as_str(),
            to = to.as_str(),
            "a service changed its state"
        );
        true
    }

    pub(super) fn beat(&self) {
        self.lock().last_heartbeat_at = Some(self.clock.now_ms());
    }

    pub(super) fn count_panic(&self) {
        self.lock().panics += 1;
        count_panic(self.name);
    }

    /// Whether the drain is done with it, stopped or not.
    pub(super) fn drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    pub(super) fn set_drained(&self) {
        self.drained.store(true, Ordering::Release);
    }

    /// When a tick will next run, before it has.
    pub(super) fn announce(&self, tick: &'static str, next_due: Option<i64>) {
        self.lock().ticks.entry(tick).or_default().next_due = next_due;
    }

    /// Books one run; gives how many times in a row the tick has failed now.
    pub(super) fn book(
        &self,
        tick: &'static str,
        ran_at: i64,
        was_due: Option<i64>,
        took: Duration,
        ran: &Ran,
    ) -> u32 {
        let (did, failure, outcome) = match ran {
            Ran::Reported(TickReport { did, failure: None, .. }) => (*did, None, "done"),
            Ran::Reported(TickReport { did, failure: Some(reason), .. }) => {
                (*did, Some(reason.clone()), "failed")
            }
            Ran::TimedOut => (0, Some(format!("cut off after {took:?}")), "timed_out"),
            Ran::Panicked(text) => (0, Some(format!("panicked: {text}")), "panicked"),
        };
        let in_a_row = {
            let mut record = self.lock();
            let tick = record.ticks.entry(tick).or_default();
            tick.last_run_at = Some(ran_at);
            tick.last_did = did;
            tick.runs += 1;
            tick.durations.add(took);
            tick.failures_in_a_row =
                if failure.is_some() { tick.failures_in_a_row.saturating_add(1) } else { 0 };
            if let Some(failure) = &failure {
                tick.failures += 1;
                tick.last_failure = Some(failure.clone());
            }
            tick.failures_in_a_row
        };
        if let Some(reason) = failure {
            tracing::warn!(service = self.name, tick, in_a_row, reason, "a tick failed");
        }
        let labels = [("service", self.name), ("tick", tick)];
        metrics::histogram!(SERVICE_TICK_DURATION, &labels).record(took.as_secs_f64());
        let labels = [("service", self.name), ("tick", tick), ("outcome", outcome)];
        metrics::counter!(SERVICE_TICKS, &labels).increment(1);
        if let Some(late) = was_due.and_then(|due| u64::try_from(ran_at - due).ok()) {
            metrics::histogram!(LOOP_LAG, "loop" => tick)
                .record(Duration::from_millis(late).as_secs_f64());
        }
        in_a_row
    }

    fn lock(&self) -> MutexGuard<'_, ServiceRecord> {
        // Every change under the lock is one assignment or count; a poisoned record is still a record.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
