//! The words of a policy for how waits grow and how they are spread.

use serde::{Deserialize, Serialize};

/// How waits between executions grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    Immediate,
    /// base + step * (k - 1); step 0 is a fixed delay; an absent step is the base.
    LinearBackoff,
    /// base * multiplier^(k - 1).
    ExponentialBackoff,
    /// base * 1, 1, 2, 3, 5, ...
    FibonacciBackoff,
    /// The listed delays; the last one repeats.
    CustomBackoff,
    None,
}

/// How a wait is spread, after the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JitterMode {
    /// Exactly the computed wait.
    None,
    /// Anything from 0 to the computed wait.
    #[default]
    Full,
    /// Half the computed wait plus anything up to the other half.
    Equal,
    /// Anything from the base to three times the wait before, capped.
    Decorrelated,
    /// The computed wait plus or minus `range` of it, never above the cap.
    Proportional,
}
