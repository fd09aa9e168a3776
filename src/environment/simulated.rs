//! A clock that stands still until it is advanced, for tests and simulation.
//! Always holds: sleepers wake in the order of their due times, so that a run depends on nothing but its inputs;
//! advanced from sleeper to sleeper, each sees exactly its time. Absent: real time; nobody who holds this clock
//! ever waits for a wall clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::clock::{Clock, Sleep};
use super::discipline::Discipline;

/// A clock under the test's control; clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    sleepers: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    passed: Duration,
    /// What the wall clock would have said at the beginning, as it is set now.
    wall_at_start: i64,
    discipline: Discipline,
    next_sleeper: u64,
    /// By due time, then by the order in which they lay down.
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

impl SimulatedClock {
    /// Stands at `start_ms`, milliseconds since 1970.
    pub fn at(start_ms: i64) -> Self {
        let state = State {
            passed: Duration::ZERO,
            wall_at_start: start_ms,
            discipline: Discipline::start(Duration::ZERO, start_ms),
            next_sleeper: 0,
            sleepers: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Inner { state: Mutex::new(state), sleepers: watch::Sender::new(0) }),
        }
    }

    /// Lets `by` pass at once and wakes everybody whose time came meanwhile, earliest first.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.passed += by;
        let passed = state.passed;
        while let Some(entry) = state.sleepers.first_entry() {
            if entry.key().0 > passed {
                break;
            }
            // A sleeper that was dropped meanwhile has nobody to wake.
            let _ = entry.remove().send(());
        }
        self.tell_sleepers(&mut state);
    }

    /// Somebody sets the wall clock forward, or back; the machine slept, or its clock was wrong.
    pub fn set_wall_by(&self, by_ms: i64) {
        let mut state = self.state();
        state.wall_at_start = state.wall_at_start.saturating_add(by_ms);
    }

    /// Advances to the earliest sleeper's time; false when nobody sleeps.
    pub fn advance_to_next_sleeper(&self) -> bool {
        match self.next_wake_in() {
            Some(wait) => {
                self.advance(wait);
                true
            }
            None => false,
        }
    }

    /// How long until the earliest sleeper wakes.
    pub fn next_wake_in(&self) -> Option<Duration> {
        let mut state = self.state();
        self.tell_sleepers(&mut state);
        state.sleepers.keys().next().map(|(due, _)| due.saturating_sub(state.passed))
    }

    /// Ends when at least `count` sleepers wait: the point at which a loop under test has gone to rest.
    pub async fn sleepers_reach(&self, count: usize) {
        let mut sleepers = self.inner.sleepers.subscribe();
        // The sender lives in `self`, so the only way out is that the count is reached.
        let _ = sleepers.wait_for(|now| *now >= count).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_sleepers(&self, state: &mut State) {
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        self.inner.sleepers.send_replace(state.sleepers.len());
    }

    fn replace(&self, next: impl FnOnce(Discipline, Duration) -> Discipline) {
        let mut state = self.state();
        state.discipline = next(state.discipline, state.passed);
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        let state = self.state();
        state.discipline.now_ms(state.passed)
    }

    fn monotonic(&self) -> Duration {
        self.state().passed
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        if wait.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let key = (state.passed.saturating_add(wait), state.next_sleeper);
        state.next_sleeper += 1;
        state.sleepers.insert(key, sender);
        self.tell_sleepers(&mut state);
        drop(state);
        let clock = self.clone();
        Box::pin(async move {
            // Keeps the clock alive: a sleep that lost its clock would end early.
            let _clock = clock;
            let _ = receiver.await;
        })
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
        let state = self.state();
        let passed = i64::try_from(state.passed.as_millis()).unwrap_or(i64::MAX);
        state.wall_at_start.saturating_add(passed)
    }

    fn ahead_ms(&self) -> i64 {
        let state = self.state();
        state.discipline.ahead_ms(state.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_at_its_time_and_not_before() {
        let clock = SimulatedClock::at(1_000);
        let mut sleep = clock.sleep(Duration::from_millis(50));
        clock.sleepers_reach(1).await;
        clock.advance(Duration::from_millis(49));
        assert!(futures_util::future::poll_immediate(&mut sleep).await.is_none());
        assert_eq!(clock.next_wake_in(), Some(Duration::from_millis(1)));
        assert!(clock.advance_to_next_sleeper());
        sleep.await;
        assert_eq!(clock.now_ms(), 1_050);
        assert!(!clock.advance_to_next_sleeper());
    }

    #[tokio::test]
    async fn a_dropped_sleeper_is_forgotten() {
        let clock = SimulatedClock::at(0);
        drop(clock.sleep(Duration::from_secs(1)));
        assert_eq!(clock.next_wake_in(), None);
    }
}
