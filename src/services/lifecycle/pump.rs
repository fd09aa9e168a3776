//! The only loop: runs a service's ticks when they are due or woken, beats its heart, and starts it again after an
//! error.
//! Always holds: interest in wake-ups is registered before the state is read, so none is lost between; the wait ends
//! at the earliest of wake-up, due time, heartbeat and stop; ticks of a service run one at a time, in turn, so a busy
//! one starves no other; a panic in a tick marks the service `error`, is counted and logged, and the other ticks go
//! on. Absent: anything a tick does.

use std::future::Future as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::futures::OwnedNotified;

use super::ServiceState;
use super::cell::Ran;
use super::launch::Launch;
use super::service::{HostedTick, Ticks, Wake};
use super::tasks::panic_text;
use crate::config::ServiceSettings;
use crate::environment::{Clock, Dice, Surroundings};
use crate::telemetry;

/// Ticks first run within this time of the start, at drawn moments, so that engines started together do not pulse.
const STAGGER_MAX_MS: f64 = 200.0;
/// Wait after the first failure of a tick or a start; doubles with each further one in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest such wait: a store that comes back is noticed within it.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Runs one service from its first start to its drain.
pub(super) struct Pump {
    launch: Arc<Launch>,
    settings: ServiceSettings,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    slots: Vec<TickSlot>,
    heartbeat_due: i64,
    /// When to start again, while the service is in error.
    restart_due: Option<i64>,
    errors_in_a_row: u32,
}

/// A tick and when it runs.
struct TickSlot {
    tick: Box<dyn HostedTick>,
    wake: Option<Wake>,
    /// Firings that runs so far have answered.
    answered: u64,
    due: Option<i64>,
}

impl TickSlot {
    fn woken(&self) -> bool {
        self.wake.as_ref().is_some_and(|wake| wake.count() != self.answered)
    }
}

impl Pump {
    pub(super) fn new(
        launch: Arc<Launch>,
        settings: ServiceSettings,
        outside: Surroundings,
    ) -> Self {
        let heartbeat_due = outside.clock.now_ms();
        let (clock, dice) = (outside.clock, outside.dice);
        Self {
            launch,
            settings,
            clock,
            dice,
            slots: Vec::new(),
            heartbeat_due,
            restart_due: None,
            errors_in_a_row: 0,
        }
    }

    /// Brings the service up, and runs its ticks until the host stops.
    pub(super) async fn run(mut self) {
        self.bring_up().await;
        let stop = self.launch.stop.clone();
        loop {
            let wakes: Vec<_> = self
                .slots
                .iter()
                .filter_map(|slot| slot.wake.as_ref())
                .map(Wake::registered)
                .collect();
            self.beat_when_due();
            self.restart_when_due().await;
            let ran = self.run_due().await;
            if stop.is_cancelled() {
                break;
            }
            if ran {
                // What ran may be due again; before that, everybody else has a turn.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = any(wakes) => {}
                () = self.clock.sleep(self.rest()) => {}
            }
        }
    }

    /// Runs every tick that is due or woken, each once; whether any ran.
    async fn run_due(&mut self) -> bool {
        let mut ran = false;
        for index in 0..self.slots.len() {
            if self.launch.stop.is_cancelled() {
                break;
            }
            let now = self.clock.now_ms();
            let Some(slot) = self.slots.get_mut(index) else { break };
            if slot.woken() || slot.due.is_some_and(|due| due <= now) {
                ran = true;
                self.run_slot(index, now).await;
            }
        }
        ran
    }

    async fn run_slot(&mut self, index: usize, now: i64) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let name = slot.tick.name();
        // Read before the run: what fires while it runs makes it run once more.
        slot.answered = slot.wake.as_ref().map_or(0, Wake::count);
        let was_due = slot.due.take();
        let began = self.clock.monotonic();
        let ran = tokio::select! {
            biased;
            done = AssertUnwindSafe(slot.tick.tick(now)).catch_unwind() => match done {
                Ok(report) => Ran::Reported(report),
                Err(panic) => Ran::Panicked(panic_text(panic.as_ref()).to_owned()),
            },
            () = self.clock.sleep(self.settings.operation_timeout) => Ran::TimedOut,
        };
        let took = self.clock.monotonic().saturating_sub(began);
        let in_a_row = self.launch.cell.book(name, now, was_due, took, &ran);
        let again = || Some(self.clock.now_ms().saturating_add(ms(backoff(in_a_row))));
        let next_due = match &ran {
            Ran::Reported(report) if report.failure.is_none() => report.next_due,
            Ran::Reported(report) => report.next_due.or_else(again),
            Ran::TimedOut | Ran::Panicked(_) => again(),
        };
        slot.due = next_due;
        self.launch.cell.announce(name, next_due);
        if let Ran::Panicked(text) = ran {
            self.launch.cell.count_panic();
            if self.launch.cell.fail(&format!("tick {name} panicked: {text}")) {
                self.schedule_restart();
            }
        }
    }

    /// After an error the service is brought up again; its other ticks have gone on meanwhile.
    async fn restart_when_due(&mut self) {
        if self.restart_due.is_none_or(|due| self.clock.now_ms() < due)
            || self.launch.stop.is_cancelled()
        {
            return;
        }
        self.restart_due = None;
        if self.launch.cell.enter(ServiceState::Initializing) {
            self.bring_up().await;
        }
    }

    async fn bring_up(&mut self) {
        if self.launch.bring_up().await {
            self.set_running();
        } else {
            self.schedule_restart();
        }
    }

    fn schedule_restart(&mut self) {
        self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
        self.restart_due =
            Some(self.clock.now_ms().saturating_add(ms(backoff(self.errors_in_a_row))));
    }

    fn set_running(&mut self) {
        self.launch.cell.beat();
        self.heartbeat_due = self.clock.now_ms().saturating_add(ms(self.settings.heartbeat));
        if !self.launch.cell.enter(ServiceState::Running) {
            return;
        }
        if self.slots.is_empty() {
            let Ticks(ticks) = self.launch.service.ticks();
            self.slots = ticks.into_iter().map(|tick| self.slot(tick)).collect();
        }
    }

    fn slot(&self, tick: Box<dyn HostedTick>) -> TickSlot {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a unit times a constant far below 2^63"
        )]
        let stagger = (self.dice.unit() * STAGGER_MAX_MS) as i64;
        let due = Some(self.clock.now_ms().saturating_add(stagger));
        self.launch.cell.announce(tick.name(), due);
        // Firings before the first run are answered by it.
        let wake = tick.wake();
        let answered = wake.as_ref().map_or(0, Wake::count);
        TickSlot { tick, wake, answered, due }
    }

    fn beat_when_due(&mut self) {
        let now = self.clock.now_ms();
        if now >= self.heartbeat_due {
            self.heartbeat_due = now.saturating_add(ms(self.settings.heartbeat));
            self.launch.cell.beat();
            telemetry::metrics::upkeep();
            if self.launch.cell.state() == ServiceState::Running {
                // It has lived a heartbeat since its last error, so the next one is a first one.
                self.errors_in_a_row = 0;
            }
        }
    }

    /// How long until something is due. The engine's clock may run a tenth slow, so the wait can end early; the loop
    /// then finds nothing due and waits for the rest.
    fn rest(&self) -> Duration {
        let dues = self
            .slots
            .iter()
            .filter_map(|slot| slot.due)
            .chain(self.restart_due)
            .chain([self.heartbeat_due]);
        let earliest = dues.min().unwrap_or(self.heartbeat_due);
        // At least a millisecond, so that rounding cannot make the loop spin.
        Duration::from_millis(
            u64::try_from(earliest.saturating_sub(self.clock.now_ms())).unwrap_or(0).max(1),
        )
    }
}

/// Ends when any of the wake-ups comes; never, when there are none.
async fn any(mut wakes: Vec<Pin<Box<OwnedNotified>>>) {
    std::future::poll_fn(|context| {
        let woken = wakes.iter_mut().any(|wake| wake.as_mut().poll(context).is_ready());
        if woken { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn backoff(in_a_row: u32) -> Duration {
    let doublings = in_a_row.saturating_sub(1).min(16);
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

fn ms(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_after_failures_doubles_up_to_a_minute() {
        let waits: Vec<u64> = (0..9).map(|in_a_row| backoff(in_a_row).as_secs()).collect();
        assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }
}
