//! A circuit breaker: what it answers who asks for a call, and what results, the time and an operator change.
//! Always holds: every change of state begins the next epoch, and a result of an older one changes nothing. A break is over
//! at its end, not after it. What the clock alone changes is done first in every step, so no step sees an old state.
//! Absent: the clock, and the spread of those who wait for the end of a break.

use super::settings::CircuitSettings;
use super::status::CircuitState;
use super::trials::{PermitNumber, Trials};
use super::window::{CallOutcome, CallWindow};
use crate::ids::Millis;

/// Until when an operator's order holds; none: until the next one.
type HeldUntil = Option<Millis>;

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Closed { window: CallWindow, failures_in_a_row: u32 },
    Open { until: Millis, failure_rate_pct: Option<f64> },
    HalfOpen { trials: Trials },
    ForcedOpen { until: HeldUntil },
    Disabled { until: HeldUntil },
}

/// A breaker between two steps. A new one is closed and has seen nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitBreaker {
    phase: Phase,
    epoch: u64,
    next_permit: PermitNumber,
    /// How often it opened again since it was last closed.
    again: u32,
}

/// A call that may go on. Its result names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPass {
    /// Of the breaker as it was asked.
    epoch: u64,
    /// Of a trial.
    permit: Option<PermitNumber>,
}

/// What an operator tells a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorOrder {
    /// Hold back all calls; with a time: until then, and close.
    ForceOpen { until: HeldUntil },
    /// Let all calls through and count nothing; with a time: until then, and close.
    Disable { until: HeldUntil },
    /// Close, and forget what was counted.
    Reset,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { phase: closed(), epoch: 0, next_permit: 0, again: 0 }
    }
}

fn closed() -> Phase {
    Phase::Closed { window: CallWindow::default(), failures_in_a_row: 0 }
}

impl CircuitBreaker {
    /// Where it stands, as of its last step.
    pub fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::ForcedOpen { .. } => CircuitState::ForcedOpen,
            Phase::Disabled { .. } => CircuitState::Disabled,
        }
    }

    /// The share of failures in percent: of the window, once it has calls enough; while it is open, of what opened it.
    pub fn failure_rate_pct(&self, settings: &CircuitSettings) -> Option<f64> {
        match &self.phase {
            Phase::Closed { window, .. } => rate_of(settings, window),
            Phase::Open { failure_rate_pct, .. } => *failure_rate_pct,
            Phase::HalfOpen { .. } | Phase::ForcedOpen { .. } | Phase::Disabled { .. } => None,
        }
    }

    /// What the clock alone changes: calls leave the window, a break ends, permits and orders expire.
    pub fn advance(&mut self, settings: &CircuitSettings, now: Millis) {
        match &mut self.phase {
            Phase::Closed { window, .. } => window.slide(settings.window, now),
            Phase::Open { until, .. } if *until <= now => {
                self.enter(Phase::HalfOpen { trials: Trials::default() });
            }
            Phase::Open { .. } => {}
            Phase::HalfOpen { trials } => {
                trials.expire(now);
                // The settings may have come down to what is there already.
                self.decide(settings, now);
            }
            Phase::ForcedOpen { until } | Phase::Disabled { until } => {
                if until.is_some_and(|until| until <= now) {
                    self.close();
                }
            }
        }
    }

    /// Asks for one call. As a trial it has a permit until `lease_until`.
    pub fn ask(
        &mut self,
        settings: &CircuitSettings,
        now: Millis,
        lease_until: Millis,
    ) -> Option<CallPass> {
        self.advance(settings, now);
        match &mut self.phase {
            Phase::Closed { .. } | Phase::Disabled { .. } => Some(self.pass_without_permit()),
            Phase::Open { .. } | Phase::ForcedOpen { .. } => None,
            Phase::HalfOpen { trials } => {
                let number = self.next_permit;
                let given = trials.give(settings.half_open_permits, number, lease_until);
                self.next_permit = number.saturating_add(u64::from(given));
                given.then_some(CallPass { epoch: self.epoch, permit: Some(number) })
            }
        }
    }

    /// The pass of a call that asked for none.
    pub fn pass_without_permit(&self) -> CallPass {
        CallPass { epoch: self.epoch, permit: None }
    }

    /// Takes the result of a call.
    pub fn report(
        &mut self,
        settings: &CircuitSettings,
        now: Millis,
        pass: CallPass,
        outcome: CallOutcome,
    ) {
        self.advance(settings, now);
        if pass.epoch != self.epoch {
            return;
        }
        match &mut self.phase {
            Phase::Closed { window, failures_in_a_row } => {
                window.record(settings.window, now, outcome);
                *failures_in_a_row = match outcome {
                    CallOutcome::Ignored => return,
                    CallOutcome::Fail | CallOutcome::SlowFail => {
                        failures_in_a_row.saturating_add(1)
                    }
                    CallOutcome::Ok | CallOutcome::SlowOk => 0,
                };
                let counts = window.counts();
                let is_told = counts.calls >= settings.calls_needed();
                let is_too_bad = is_told && settings.is_too_bad(counts);
                if is_too_bad || settings.is_too_long(*failures_in_a_row) {
                    let rate = rate_of(settings, window);
                    self.open(settings, now, rate);
                }
            }
            Phase::HalfOpen { trials } => {
                trials.take(settings.half_open_permits, pass.permit, outcome);
                self.decide(settings, now);
            }
            Phase::Open { .. } | Phase::ForcedOpen { .. } | Phase::Disabled { .. } => {}
        }
    }

    /// Does what an operator says, whatever the state.
    pub fn operate(&mut self, settings: &CircuitSettings, now: Millis, order: OperatorOrder) {
        self.advance(settings, now);
        self.again = 0;
        match order {
            OperatorOrder::ForceOpen { until } => self.enter(Phase::ForcedOpen { until }),
            OperatorOrder::Disable { until } => self.enter(Phase::Disabled { until }),
            OperatorOrder::Reset => self.close(),
        }
    }

    /// Closes or opens again, when all trials have their results.
    fn decide(&mut self, settings: &CircuitSettings, now: Millis) {
        let Phase::HalfOpen { trials } = &self.phase else { return };
        let Some(results) = trials.decision(settings.half_open_permits) else { return };
        if settings.is_too_bad(results) {
            self.again = self.again.saturating_add(1);
            self.open(settings, now, results.failure_rate_pct());
        } else {
            self.close();
        }
    }

    fn open(&mut self, settings: &CircuitSettings, now: Millis, failure_rate_pct: Option<f64>) {
        let until = now.saturating_add_unsigned(settings.break_ms(self.again));
        self.enter(Phase::Open { until, failure_rate_pct });
    }

    fn close(&mut self) {
        self.again = 0;
        self.enter(closed());
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch = self.epoch.saturating_add(1);
    }
}

fn rate_of(settings: &CircuitSettings, window: &CallWindow) -> Option<f64> {
    let counts = window.counts();
    (counts.calls >= settings.calls_needed()).then(|| counts.failure_rate_pct()).flatten()
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
