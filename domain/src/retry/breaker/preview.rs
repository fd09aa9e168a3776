//! What a new breaker would do, step by step, on a clock that begins at 0 and moves only where a step says so.
//! Always holds: the steps are those of a breaker that works. A result is that of the newest call that is still out; when
//! none is out, that of a call that never asked. So a call that was let through before the breaker opened and whose result
//! comes afterwards counts for nothing, as it does there.

use super::machine::{CallPass, CircuitBreaker, OperatorOrder};
use super::settings::CircuitSettings;
use super::status::CircuitState;
use super::window::CallOutcome;
use crate::ids::Millis;

/// One thing that happens to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewStep {
    /// Somebody wants to call; a trial's permit is held for so long.
    Ask { lease_ms: u64 },
    /// A call ended.
    Report(CallOutcome),
    /// So much time passes.
    Advance { ms: u64 },
    /// An operator holds calls back, for a time or until told otherwise.
    ForceOpen { for_ms: Option<u64> },
    /// An operator switches the breaker off, for a time or until told otherwise.
    Disable { for_ms: Option<u64> },
    /// An operator closes the breaker.
    Reset,
}

/// The breaker after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreviewedStep {
    pub state: CircuitState,
    /// Whether the call may go on; none where nobody asked.
    pub permit: Option<bool>,
    /// None while there are too few calls to tell.
    pub failure_rate_pct: Option<f64>,
}

/// The breaker after each of the steps.
pub fn previewed(settings: &CircuitSettings, steps: &[PreviewStep]) -> Vec<PreviewedStep> {
    let mut walk = Walk { settings, breaker: CircuitBreaker::default(), now: 0, out: Vec::new() };
    steps.iter().map(|step| walk.step(*step)).collect()
}

struct Walk<'a> {
    settings: &'a CircuitSettings,
    breaker: CircuitBreaker,
    now: Millis,
    /// Calls that were let through and have not ended, the newest last.
    out: Vec<CallPass>,
}

impl Walk<'_> {
    fn step(&mut self, step: PreviewStep) -> PreviewedStep {
        let mut permit = None;
        match step {
            PreviewStep::Ask { lease_ms } => {
                let lease_until = self.now.saturating_add_unsigned(lease_ms);
                let pass = self.breaker.ask(self.settings, self.now, lease_until);
                permit = Some(pass.is_some());
                self.out.extend(pass);
            }
            PreviewStep::Report(outcome) => {
                let pass = self.out.pop().unwrap_or_else(|| self.breaker.pass_without_permit());
                self.breaker.report(self.settings, self.now, pass, outcome);
            }
            PreviewStep::Advance { ms } => {
                self.now = self.now.saturating_add_unsigned(ms);
                self.breaker.advance(self.settings, self.now);
            }
            PreviewStep::ForceOpen { for_ms } => {
                let until = self.after(for_ms);
                self.operate(OperatorOrder::ForceOpen { until });
            }
            PreviewStep::Disable { for_ms } => {
                let until = self.after(for_ms);
                self.operate(OperatorOrder::Disable { until });
            }
            PreviewStep::Reset => self.operate(OperatorOrder::Reset),
        }
        PreviewedStep {
            state: self.breaker.state(),
            permit,
            failure_rate_pct: self.breaker.failure_rate_pct(self.settings),
        }
    }

    fn after(&self, ms: Option<u64>) -> Option<Millis> {
        ms.map(|ms| self.now.saturating_add_unsigned(ms))
    }

    fn operate(&mut self, order: OperatorOrder) {
        self.breaker.operate(self.settings, self.now, order);
    }
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;
