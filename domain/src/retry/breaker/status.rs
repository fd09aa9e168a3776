//! The five states of a circuit breaker and the one table of transitions between them (design section 3).
//! Invariant: a breaker never makes a transition that is not a row here (`no_step_leaves_the_table`).

use serde::Serialize;

/// Where a circuit breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Calls go through and are counted.
    Closed,
    /// Calls are held back until the break is over.
    Open,
    /// The break is over: a few trials show whether the target works again.
    HalfOpen,
    /// Held back by an operator.
    ForcedOpen,
    /// Switched off by an operator: calls go through and nothing is counted.
    Disabled,
}

use CircuitState::{Closed, Disabled, ForcedOpen, HalfOpen, Open};

impl CircuitState {
    /// Every state, in the order of the design's table.
    pub const ALL: [Self; 5] = [Closed, Open, HalfOpen, ForcedOpen, Disabled];

    /// The states a breaker may go to from here: the table. An operator's reset is the way from open and half_open
    /// to closed.
    pub fn next(self) -> &'static [Self] {
        match self {
            Closed => &[Open, ForcedOpen, Disabled],
            Open => &[HalfOpen, Closed, ForcedOpen, Disabled],
            HalfOpen => &[Closed, Open, ForcedOpen, Disabled],
            ForcedOpen => &[Closed, Disabled],
            Disabled => &[Closed, ForcedOpen],
        }
    }

    /// Whether the table has this row.
    pub fn may_become(self, to: Self) -> bool {
        self.next().contains(&to)
    }

    /// The word in JSON, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Closed => "closed",
            Open => "open",
            HalfOpen => "half_open",
            ForcedOpen => "forced_open",
            Disabled => "disabled",
        }
    }
}
