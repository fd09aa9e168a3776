//! What GET /services tells of a service: plain data, taken at one moment.
//! Times are milliseconds since 1970 on the engine's clock; the HTTP layer writes them as RFC 3339.

use super::ServiceState;

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSnapshot {
    pub name: &'static str,
    /// Where it is in its life.
    pub state: ServiceState,
    /// Whether it does its work.
    pub health: Health,
    /// Why it is not healthy, or what it does without. Empty when there is nothing to say.
    pub reasons: Vec<String>,
    /// It runs without something it needs.
    pub degraded: bool,
    /// When it came into this state.
    pub since: i64,
    /// When its pump last showed that it lives; `None` before its first start.
    pub last_heartbeat_at: Option<i64>,
    /// Times it was started again after an error.
    pub restarts: u64,
    /// Panics caught in it.
    pub panics: u64,
    /// What it needs.
    pub dependencies: Vec<DependencySnapshot>,
    /// Its operations by kind, with how many run and how they ended.
    pub operations: Vec<OperationKindSnapshot>,
    /// The longest running ones, oldest first, at most `RUNNING_SHOWN_MAX`.
    pub running_operations: Vec<RunningOperationSnapshot>,
    pub ticks: Vec<TickSnapshot>,
    /// The breakers of its operation kinds.
    pub breakers: Vec<BreakerSnapshot>,
}

/// How many running operations a snapshot lists.
pub(super) const RUNNING_SHOWN_MAX: usize = 10;

/// Whether a service does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// It does not, for the reasons given.
    Unhealthy,
    /// It is starting or ending.
    Unknown,
}

impl Health {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// Another service that this one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencySnapshot {
    pub service: &'static str,
    /// Cannot start without it.
    pub required: bool,
    /// Waited for at the start.
    pub eager: bool,
    /// Where it is; `None` when this engine has no such service.
    pub state: Option<ServiceState>,
}

/// How long things took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DurationSnapshot {
    pub mean_ms: f64,
    pub max_ms: f64,
    pub last_ms: f64,
}

/// The operations of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationKindSnapshot {
    pub kind: &'static str,
    /// Running or waiting for a place now.
    pub running: u64,
    pub succeeded: u64,
    /// Ended in a failure, panics included.
    pub failed: u64,
    /// Given up after the time-out.
    pub timed_out: u64,
    /// Not begun: too many at once, or the breaker open.
    pub refused: u64,
    /// Left by the caller before the end.
    pub abandoned: u64,
    /// Of those that ended.
    pub duration: DurationSnapshot,
}

/// One operation that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningOperationSnapshot {
    pub kind: &'static str,
    /// Whose it is.
    pub correlation_id: String,
    /// When it began.
    pub since: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TickSnapshot {
    pub name: &'static str,
    /// When it last began; `None` when it never ran.
    pub last_run_at: Option<i64>,
    /// How many things it then did.
    pub last_did: u64,
    /// When it is next due; `None`: only when woken.
    pub next_due: Option<i64>,
    /// Times it ran.
    pub runs: u64,
    /// Of these, times it failed, panicked or was cut off.
    pub failures: u64,
    /// Failures since it last went well.
    pub failures_in_a_row: u32,
    /// The latest failure.
    pub last_failure: Option<String>,
    /// How long it took.
    pub duration: DurationSnapshot,
}

/// The breaker of one operation kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSnapshot {
    pub operation: &'static str,
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Failures among the calls in the window, in per cent; `None` while there are too few calls.
    pub failure_rate_pct: Option<u8>,
    /// Times it opened.
    pub opened: u64,
    /// When open: how long until trials are let through, in milliseconds.
    pub open_for_ms: Option<u64>,
}
