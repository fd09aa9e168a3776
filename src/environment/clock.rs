//! The engine's clock: the only place that reads the system's.
//! Wall-clock time is carried on by the monotonic clock. Whoever keeps it right samples its source (the wall clock, or the
//! store's) and hands that in through `sampled`: small differences are worked off, a source far ahead is stepped to.
//! Absent: when it is sampled, and which source counts (`services/driver`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::discipline::Discipline;
use super::fail_points;

/// Ends when its time has come; dropping it forgets the wait.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time as the engine sees it. All times of events, leases and timers come from `now_ms`; what must not depend
/// on any correction (group leases, operation time-outs, durations) is measured with `monotonic`.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z. While the engine serves it never goes back, and steps forward only in
    /// `sampled`.
    fn now_ms(&self) -> i64;

    /// Time since this clock was made. Never goes back, runs at the rate of real time.
    fn monotonic(&self) -> Duration;

    /// Ends `wait` from now by the monotonic clock; at once when `wait` is zero.
    fn sleep(&self, wait: Duration) -> Sleep;

    /// The newest event time loaded, in milliseconds since 1970: time must not be before it. Steps forward when
    /// called before `start_serving`, is approached at 10 % afterwards.
    fn raise_floor(&self, newest_event_ms: i64);

    /// From now on differences are worked off; only a source far ahead is stepped to.
    fn start_serving(&self);

    /// A sample of the source, in milliseconds since 1970. Before `start_serving` it sets this clock. Answers by how many
    /// milliseconds it stepped forward while serving, 0 when it did not.
    fn sampled(&self, source_ms: i64) -> i64;

    /// What this machine's wall clock says now, in milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// How far this clock is ahead of its source in milliseconds (negative: behind). A metric.
    fn ahead_ms(&self) -> i64;
}

/// The real clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
    discipline: RwLock<Discipline>,
}

impl SystemClock {
    /// Begins with what the wall clock says.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    pub fn start() -> Self {
        let started = std::time::Instant::now();
        Self { started, discipline: RwLock::new(Discipline::start(Duration::ZERO, wall_ms())) }
    }

    fn discipline(&self) -> Discipline {
        // The lock only ever guards one assignment of a Copy value, so a poisoned one holds a whole value.
        *self.discipline.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, next: impl FnOnce(Discipline, Duration) -> Discipline) {
        let mut discipline = self.discipline.write().unwrap_or_else(PoisonError::into_inner);
        *discipline = next(*discipline, self.monotonic());
    }
}

/// The wall clock, as wrong as it is.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
fn wall_ms() -> i64 {
    let ms = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        // A wall clock before 1970 is a dead battery; the floor of the loaded events corrects it.
        Err(_) => 0,
    };
    ms.saturating_add(fail_points::wall_clock_off_by())
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        self.discipline().now_ms(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(wait))
    }

    fn raise_floor(&self, newest_event_ms: i64) {
        self.replace(|discipline, at| discipline.with_floor(at, newest_event_ms));
    }

    fn start_serving(&self) {
        self.replace(|discipline, at| discipline.serving(at));
    }

    fn sampled(&self, source_ms: i64) -> i64 {
        let mut stepped = 0;
        self.replace(|discipline, at| {
            let (next, by) = discipline.sampled(at, source_ms);
            stepped = by;
            next
        });
        stepped
    }

    fn wall_ms(&self) -> i64 {
        wall_ms()
    }

    fn ahead_ms(&self) -> i64 {
        self.discipline().ahead_ms(self.monotonic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_in_the_future_is_where_the_clock_starts() {
        let clock = SystemClock::start();
        let floor = clock.now_ms() + 3_600_000;
        clock.raise_floor(floor);
        clock.start_serving();
        assert!(clock.now_ms() >= floor);
        assert!(clock.ahead_ms() > 3_000_000);
    }
}
