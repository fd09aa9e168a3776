//! How long to wait between two executions: closed forms of a policy, the number of executions so far and one draw.
//! Order of things: the strategy's wait, cut to the cap, then spread. A spread wait is never above the cap and never
//! bunched at it. Whole milliseconds, cut once, at the end; whatever would overflow is the cap.
//! Invariant: for every count of executions a wait lies in `range`, and that in [0, cap]
//! (`every_wait_lies_in_its_range_and_below_the_cap`).
//! Absent on purpose: whether there is a wait at all (`verdict`), and drawing: chance is passed in.

#![warn(clippy::arithmetic_side_effects)]

use super::policy::{JitterMode, RetryPolicy, Strategy};

/// Products that should be whole (1,000 * 1.2^3) come out of binary fractions a hair too low: so many milliseconds are
/// forgiven before the cut. Far above the error of a 64-bit float at 30 days, far below anything that can be waited.
const CUT_TOLERANCE_MS: f64 = 1e-6;
/// Beyond it a 64-bit float does not hold every whole number, and a wait would lie outside of its own range by a rounding
/// (2^53 ms are 285,000 years). No cap counts as higher.
const EXACT_MS_MAX: u64 = 1 << 53;
/// Growth of decorrelated jitter: up to three times the wait before.
const DECORRELATED_GROWTH: u64 = 3;

/// The wait in milliseconds after the `executions`-th execution (the first is 1; 0 counts as 1).
/// `previous_wait_ms` is the wait before this one, 0 when there was none; only decorrelated jitter reads it.
/// `draw` is in [0, 1); anything else is cut to it.
pub fn wait(policy: &RetryPolicy, executions: u32, previous_wait_ms: u64, draw: f64) -> u64 {
    let draw = if draw.is_nan() { 0.0 } else { draw.clamp(0.0, 1.0) };
    let (low, high) = match policy.jitter {
        JitterMode::Decorrelated => decorrelated(policy, previous_wait_ms),
        JitterMode::None | JitterMode::Full | JitterMode::Equal | JitterMode::Proportional => {
            spread(policy, executions)
        }
    };
    let (least, most) = (cut(low), cut(high).min(cap(policy)));
    cut(low + draw * (high - low)).clamp(least.min(most), most)
}

/// How many milliseconds behind an opening that many wait for a wait of `wait_ms` ends.
pub fn spread_behind(jitter: JitterMode, wait_ms: u64, draw: f64) -> u64 {
    let draw = if draw.is_nan() { 0.0 } else { draw.clamp(0.0, 1.0) };
    if jitter == JitterMode::None { 0 } else { cut(draw * float(wait_ms)).min(wait_ms) }
}

/// The smallest and the largest wait in milliseconds that can follow the `executions`-th execution.
pub fn range(policy: &RetryPolicy, executions: u32) -> (u64, u64) {
    let (low, high) = spread(policy, executions);
    let most = cut(high).min(cap(policy));
    (cut(low).min(most), most)
}

/// The ends of the range, not cut to whole milliseconds yet.
fn spread(policy: &RetryPolicy, executions: u32) -> (f64, f64) {
    let capped = float(capped(policy, executions));
    match policy.jitter {
        JitterMode::None => (capped, capped),
        JitterMode::Full => (0.0, capped),
        JitterMode::Equal => (capped / 2.0, capped),
        JitterMode::Decorrelated => {
            let low = first_wait(policy);
            let growth = DECORRELATED_GROWTH.saturating_pow(executions.max(1));
            (float(low), float(low.saturating_mul(growth).min(cap(policy))))
        }
        JitterMode::Proportional => {
            let share = policy.jitter_range.clamp(0.0, 1.0);
            (capped * (1.0 - share), (capped * (1.0 + share)).min(float(cap(policy))))
        }
    }
}

/// The strategy's wait in milliseconds, cut to the cap and not spread.
pub fn capped(policy: &RetryPolicy, executions: u32) -> u64 {
    computed(policy, executions.max(1)).min(cap(policy))
}

/// The highest wait of a policy.
fn cap(policy: &RetryPolicy) -> u64 {
    policy.max_delay_ms.min(EXACT_MS_MAX)
}

fn computed(policy: &RetryPolicy, executions: u32) -> u64 {
    let base = policy.base_delay_ms;
    let steps = executions.saturating_sub(1);
    match policy.strategy {
        Strategy::Immediate | Strategy::None => 0,
        Strategy::LinearBackoff => {
            let steps = u64::from(steps);
            match policy.step_delay_ms {
                None => base.saturating_add(base.saturating_mul(steps)),
                Some(step) if step >= 0 => {
                    base.saturating_add(step.unsigned_abs().saturating_mul(steps))
                }
                Some(step) => base.saturating_sub(step.unsigned_abs().saturating_mul(steps)),
            }
        }
        Strategy::ExponentialBackoff if base == 0 => 0,
        Strategy::ExponentialBackoff => cut(float(base) * policy.multiplier.powf(f64::from(steps))),
        Strategy::FibonacciBackoff => base.saturating_mul(fibonacci(executions)),
        Strategy::CustomBackoff => {
            let last = policy.delays_ms.len().saturating_sub(1);
            let at = usize::try_from(steps).unwrap_or(usize::MAX).min(last);
            policy.delays_ms.get(at).copied().unwrap_or(base)
        }
    }
}

/// 1, 1, 2, 3, 5, ...; saturated from the 94th on, so the loop is short however large `n` is.
fn fibonacci(n: u32) -> u64 {
    const FITS_U64_MAX: u32 = 93;
    if n > FITS_U64_MAX {
        return u64::MAX;
    }
    let (mut this, mut next) = (0_u64, 1_u64);
    for _ in 0..n {
        (this, next) = (next, this.saturating_add(next));
    }
    this
}

fn first_wait(policy: &RetryPolicy) -> u64 {
    capped(policy, 1)
}

/// From the first wait to three times the wait before, the upper end cut to the cap.
fn decorrelated(policy: &RetryPolicy, previous_wait_ms: u64) -> (f64, f64) {
    let low = first_wait(policy);
    let before = previous_wait_ms.max(low);
    (float(low), float(before.saturating_mul(DECORRELATED_GROWTH).min(cap(policy))))
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 ms (285,000 years) a wait needs none")]
fn float(ms: u64) -> f64 {
    ms as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cutting is what this is for; the cast saturates, and no wait is negative"
)]
fn cut(ms: f64) -> u64 {
    let whole = ms.round();
    if whole - ms <= CUT_TOLERANCE_MS { whole as u64 } else { ms as u64 }
}

#[cfg(test)]
#[path = "backoff_tests.rs"]
mod tests;
