//! Stops an operation kind that keeps failing: a small breaker inside one process, pure, with time passed in.
//! Always holds: a result counts only in the state its permit was given in, so a late success of an earlier state
//! cannot close it; a permit given back without a result frees its place, so a lost trial cannot wedge it half open.
//! Absent: the shared circuit breakers of retry policies, which are subjects with events (`domain`).

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::BreakerSettings;

/// The right to one call. Reported or given back exactly once, by the guard that holds it.
#[derive(Debug)]
pub(super) struct Permit {
    /// In which state it was given.
    era: u64,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Duration },
    HalfOpen { out: usize, succeeded: usize },
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Grows with every change of state.
    era: u64,
    opened: u64,
    /// The latest calls, oldest first: whether each failed. At most `window_calls`.
    window: VecDeque<bool>,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed, era: 0, opened: 0, window: VecDeque::new() }
    }

    /// A permit, or how long until it is worth asking again.
    pub(super) fn ask(&mut self, now: Duration) -> Result<Permit, Duration> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until.saturating_sub(now));
            }
            self.enter(State::HalfOpen { out: 0, succeeded: 0 });
        }
        if let State::HalfOpen { out, succeeded } = &mut self.state {
            if *out + *succeeded >= self.settings.half_open_permits {
                // The trials decide; they end within the operation's time-out.
                return Err(Duration::ZERO);
            }
            *out += 1;
        }
        Ok(Permit { era: self.era })
    }

    /// The call ended.
    pub(super) fn report(&mut self, permit: &Permit, failed: bool, now: Duration) {
        if permit.era != self.era {
            return;
        }
        match &mut self.state {
            State::Closed => {
                self.window.push_back(failed);
                if self.window.len() > self.settings.window_calls {
                    self.window.pop_front();
                }
                if self.rate_pct().is_some_and(|rate| rate >= self.settings.failure_rate_pct) {
                    self.open(now);
                }
            }
            State::HalfOpen { out, succeeded } => {
                *out = out.saturating_sub(1);
                if failed {
                    self.open(now);
                } else {
                    *succeeded += 1;
                    if *succeeded >= self.settings.half_open_permits {
                        self.enter(State::Closed);
                    }
                }
            }
            // A permit of this era cannot exist: none is given while open.
            State::Open { .. } => {}
        }
    }

    /// The call ended without saying anything about the target.
    pub(super) fn give_back(&mut self, permit: &Permit) {
        if let State::HalfOpen { out, .. } = &mut self.state
            && permit.era == self.era
        {
            *out = out.saturating_sub(1);
        }
    }

    /// Share of failures in the window, rounded down; `None` while there are too few calls.
    pub(super) fn rate_pct(&self) -> Option<u8> {
        if self.window.len() < self.settings.min_calls.max(1) {
            return None;
        }
        let failures = self.window.iter().filter(|failed| **failed).count();
        u8::try_from(failures * 100 / self.window.len()).ok()
    }

    pub(super) fn state_word(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Times it opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// When open: how long still.
    pub(super) fn open_for(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until.saturating_sub(now)),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    fn open(&mut self, now: Duration) {
        self.opened += 1;
        self.enter(State::Open { until: now.saturating_add(self.settings.open) });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(half_open_permits: usize) -> Breaker {
        Breaker::new(BreakerSettings {
            window_calls: 10,
            min_calls: 4,
            failure_rate_pct: 50,
            open: Duration::from_secs(5),
            half_open_permits,
        })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn call(breaker: &mut Breaker, failed: bool, now: Duration) -> bool {
        breaker.ask(now).map(|permit| breaker.report(&permit, failed, now)).is_ok()
    }

    fn opened(half_open_permits: usize) -> Breaker {
        let mut breaker = breaker(half_open_permits);
        for _ in 0..4 {
            call(&mut breaker, true, at(0));
        }
        breaker
    }

    #[test]
    fn it_opens_at_the_rate_and_not_before_there_are_enough_calls() {
        let mut breaker = breaker(1);
        for failed in [true, true, false] {
            assert!(call(&mut breaker, failed, at(0)));
        }
        assert!(breaker.is_closed(), "three calls are too few");
        call(&mut breaker, false, at(0));
        assert_eq!(breaker.state_word(), "open", "half of four is at the rate");
        assert_eq!(breaker.ask(at(4)).err(), Some(at(1)));
    }

    #[test]
    fn it_lets_a_trial_through_when_its_time_is_over() {
        let mut breaker = opened(1);
        assert!(!call(&mut breaker, false, at(4)));
        let trial = breaker.ask(at(5));
        assert!(trial.is_ok(), "at the boundary, not after it");
        assert!(breaker.ask(at(5)).is_err(), "one trial at a time");
        if let Ok(trial) = trial {
            breaker.report(&trial, false, at(5));
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_failed_trial_opens_it_again_and_all_trials_must_succeed() {
        let mut breaker = opened(2);
        assert!(call(&mut breaker, false, at(5)));
        assert_eq!(breaker.state_word(), "half_open");
        assert!(call(&mut breaker, true, at(5)));
        assert_eq!((breaker.state_word(), breaker.opened()), ("open", 2));
        assert!(call(&mut breaker, false, at(10)) && call(&mut breaker, false, at(10)));
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_trial_that_is_given_back_leaves_its_place() {
        let mut breaker = opened(1);
        for _ in 0..3 {
            let trial = breaker.ask(at(6));
            assert!(trial.is_ok());
            if let Ok(trial) = trial {
                breaker.give_back(&trial);
            }
        }
    }

    #[test]
    fn a_result_of_an_earlier_state_counts_for_nothing() {
        let mut breaker = breaker(1);
        let early = breaker.ask(at(0));
        for _ in 0..4 {
            call(&mut breaker, true, at(0));
        }
        let trial = breaker.ask(at(5));
        assert!(early.is_ok() && trial.is_ok());
        if let Ok(early) = early {
            breaker.report(&early, false, at(5));
            assert_eq!(breaker.state_word(), "half_open");
        }
    }
}
