//! Whether a service does its work, judged from outside: state, heartbeat, ticks, breakers, needs.
//! Always holds: whoever is not healthy has a reason. Absent: acting on it; the pump restarts, people read this.

use std::time::Duration;

use super::ServiceState;
use super::cell::{Cell, ServiceRecord};
use super::launch::Launch;
use super::operations::Operations;
use super::snapshot::Health;

/// After this many missed heartbeats a service looks dead; the configuration keeps ticks shorter than that.
const HEARTBEATS_MISSED: u32 = 3;
/// A tick that failed this often in a row is no accident.
const FAILURES_IN_A_ROW: u32 = 3;

/// The judgement, why, and whether the service runs without something it needs.
pub(super) struct Judgement {
    pub(super) health: Health,
    pub(super) reasons: Vec<String>,
    pub(super) degraded: bool,
}

/// Judges one service at the moment `now`, milliseconds since 1970.
pub(super) fn judge(
    launch: &Launch,
    operations: Option<&Operations>,
    heartbeat: Duration,
    now: i64,
) -> Judgement {
    let (state, record) = (launch.cell.state(), launch.cell.record());
    let mut reasons = match state {
        ServiceState::Running => ailments(&record, operations, heartbeat, now),
        ServiceState::Error => {
            vec![record.failure.clone().unwrap_or_else(|| "in error".to_owned())]
        }
        ServiceState::Initializing
        | ServiceState::Ready
        | ServiceState::Stopping
        | ServiceState::Stopped => Vec::new(),
    };
    let mut health = match state {
        ServiceState::Running if reasons.is_empty() => Health::Healthy,
        ServiceState::Running | ServiceState::Error => Health::Unhealthy,
        ServiceState::Initializing
        | ServiceState::Ready
        | ServiceState::Stopping
        | ServiceState::Stopped => Health::Unknown,
    };
    let mut degraded = false;
    if state == ServiceState::Running {
        for (need, cell) in &launch.needs {
            let other = cell.as_deref().map(Cell::state);
            let in_time = !need.eager && now.saturating_sub(record.since) < ms(need.start_timeout);
            if other == Some(ServiceState::Running) || in_time {
                continue;
            }
            let other = other.map_or("missing", ServiceState::as_str);
            reasons.push(format!("runs without {}, which is {other}", need.service));
            degraded = true;
            if need.required {
                health = Health::Unhealthy;
            }
        }
    }
    Judgement { health, reasons, degraded }
}

fn ailments(
    record: &ServiceRecord,
    operations: Option<&Operations>,
    heartbeat: Duration,
    now: i64,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let silent = record.last_heartbeat_at.map_or(0, |at| now.saturating_sub(at));
    if silent > ms(heartbeat.saturating_mul(HEARTBEATS_MISSED)) {
        reasons.push(format!("no heartbeat for {silent} ms"));
    }
    for (name, tick) in &record.ticks {
        if tick.failures_in_a_row >= FAILURES_IN_A_ROW {
            let why = tick.last_failure.as_deref().unwrap_or_default();
            reasons.push(format!(
                "tick {name} failed {} times in a row: {why}",
                tick.failures_in_a_row
            ));
        }
    }
    for kind in operations.map(Operations::stopped_kinds).unwrap_or_default() {
        reasons.push(format!("operation {kind} is stopped by its breaker"));
    }
    reasons
}

fn ms(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}
