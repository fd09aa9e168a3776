//! What GET /services shows of each service: its life, health, heartbeat, operations, ticks and breakers.
//! Absent: any judgement; the host has judged already.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::http::page::PageInfo;
use crate::services::lifecycle::{
    BreakerSnapshot, DependencySnapshot, DurationSnapshot, OperationKindSnapshot,
    RunningOperationSnapshot, ServiceSnapshot, TickSnapshot,
};

/// The services of this engine, in the order of their start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceList)]
pub struct ServiceListAnswer {
    /// The rows of this page, in the order of the list.
    pub services: Vec<ServiceAnswer>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// A service of this engine, and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceAnswer {
    name: &'static str,
    /// initializing, ready, running, stopping, stopped or error.
    status: &'static str,
    /// healthy, unhealthy or unknown.
    health: &'static str,
    /// Why it is not healthy, or what it does without.
    reasons: Vec<String>,
    /// It runs without something it needs.
    degraded: bool,
    /// When it came into this status.
    #[schema(format = "date-time")]
    since: String,
    /// When it last showed that it lives.
    #[schema(format = "date-time")]
    last_heartbeat_at: Option<String>,
    /// Times it was started again after an error.
    restarts: u64,
    /// Panics caught in it.
    panics: u64,
    dependencies: Vec<ServiceDependency>,
    operations: Vec<ServiceOperations>,
    /// The longest running ones, oldest first.
    running_operations: Vec<RunningOperation>,
    ticks: Vec<ServiceTick>,
    breakers: Vec<ServiceBreaker>,
}

/// Another service that it needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceDependency {
    service: &'static str,
    /// It cannot start without it.
    required: bool,
    /// It is waited for at the start.
    eager: bool,
    /// Null when this engine has no such service.
    status: Option<&'static str>,
}

/// How long things took.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names on the wire carry their unit")]
pub struct ServiceDurations {
    mean_ms: f64,
    max_ms: f64,
    last_ms: f64,
}

/// Its operations of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceOperations {
    kind: &'static str,
    /// Running or waiting for a place.
    running: u64,
    succeeded: u64,
    /// How many failed, panics included.
    failed: u64,
    timed_out: u64,
    /// Not begun: too many at once, or the breaker open.
    refused: u64,
    /// Left by the caller before the end.
    abandoned: u64,
    duration: ServiceDurations,
}

/// An operation that runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunningOperation {
    kind: &'static str,
    correlation_id: String,
    #[schema(format = "date-time")]
    since: String,
}

/// One of its ticks.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceTick {
    name: &'static str,
    #[schema(format = "date-time")]
    last_run_at: Option<String>,
    /// How many things it then did.
    last_did: u64,
    /// Null: only when woken.
    #[schema(format = "date-time")]
    next_due: Option<String>,
    runs: u64,
    failures: u64,
    /// Since it last went well.
    failures_in_a_row: u32,
    last_failure: Option<String>,
    duration: ServiceDurations,
}

/// The breaker of one operation kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceBreaker {
    operation: &'static str,
    /// closed, open or half_open.
    state: &'static str,
    /// Null while there are too few calls.
    #[schema(minimum = 0, maximum = 100)]
    failure_rate_pct: Option<u8>,
    /// Times it opened.
    opened: u64,
    /// When open: until trials are let through.
    open_for_ms: Option<u64>,
}

impl From<ServiceSnapshot> for ServiceAnswer {
    fn from(service: ServiceSnapshot) -> Self {
        Self {
            name: service.name,
            status: service.state.as_str(),
            health: service.health.as_str(),
            reasons: service.reasons,
            degraded: service.degraded,
            since: time::format(service.since),
            last_heartbeat_at: service.last_heartbeat_at.map(time::format),
            restarts: service.restarts,
            panics: service.panics,
            dependencies: service.dependencies.iter().map(ServiceDependency::from).collect(),
            operations: service.operations.iter().map(ServiceOperations::from).collect(),
            running_operations: service.running_operations.into_iter().map(Into::into).collect(),
            ticks: service.ticks.into_iter().map(Into::into).collect(),
            breakers: service.breakers.iter().map(ServiceBreaker::from).collect(),
        }
    }
}

impl From<&DependencySnapshot> for ServiceDependency {
    fn from(need: &DependencySnapshot) -> Self {
        Self {
            service: need.service,
            required: need.required,
            eager: need.eager,
            status: need.state.map(crate::services::lifecycle::ServiceState::as_str),
        }
    }
}

impl From<&OperationKindSnapshot> for ServiceOperations {
    fn from(kind: &OperationKindSnapshot) -> Self {
        Self {
            kind: kind.kind,
            running: kind.running,
            succeeded: kind.succeeded,
            failed: kind.failed,
            timed_out: kind.timed_out,
            refused: kind.refused,
            abandoned: kind.abandoned,
            duration: kind.duration.into(),
        }
    }
}

impl From<RunningOperationSnapshot> for RunningOperation {
    fn from(running: RunningOperationSnapshot) -> Self {
        Self {
            kind: running.kind,
            correlation_id: running.correlation_id,
            since: time::format(running.since),
        }
    }
}

impl From<TickSnapshot> for ServiceTick {
    fn from(tick: TickSnapshot) -> Self {
        Self {
            name: tick.name,
            last_run_at: tick.last_run_at.map(time::format),
            last_did: tick.last_did,
            next_due: tick.next_due.map(time::format),
            runs: tick.runs,
            failures: tick.failures,
            failures_in_a_row: tick.failures_in_a_row,
            last_failure: tick.last_failure,
            duration: tick.duration.into(),
        }
    }
}

impl From<DurationSnapshot> for ServiceDurations {
    fn from(took: DurationSnapshot) -> Self {
        Self { mean_ms: took.mean_ms, max_ms: took.max_ms, last_ms: took.last_ms }
    }
}

impl From<&BreakerSnapshot> for ServiceBreaker {
    fn from(breaker: &BreakerSnapshot) -> Self {
        Self {
            operation: breaker.operation,
            state: breaker.state,
            failure_rate_pct: breaker.failure_rate_pct,
            opened: breaker.opened,
            open_for_ms: breaker.open_for_ms,
        }
    }
}
