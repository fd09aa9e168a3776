//! A worker without a command: it takes as long as the node's input says (`runtime_s`, as the import of recorded
//! workflows writes it), scaled, and completes. Used to replay recorded workflows and to measure the engine.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::attempt::{Attempt, AttemptOutcome, RunAttempt, StopSignal};
use super::report::raw;

/// No sleep runner sleeps longer than the longest attempt there may be.
const SLEEP_MAX: Duration = Duration::from_hours(30 * 24);

/// Sleeps `input.runtime_s` times a scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SleepRunner {
    scale: f64,
}

#[derive(Debug, Default, Deserialize)]
struct Recorded {
    #[serde(default)]
    runtime_s: f64,
}

impl SleepRunner {
    /// `scale` is wall seconds for each recorded second, finite and not negative.
    pub(crate) fn new(scale: f64) -> Self {
        Self { scale }
    }

    fn duration(self, input: &str) -> Duration {
        let recorded: Recorded = serde_json::from_str(input).unwrap_or_default();
        Duration::try_from_secs_f64(recorded.runtime_s * self.scale)
            .unwrap_or_default()
            .min(SLEEP_MAX)
    }
}

impl RunAttempt for SleepRunner {
    async fn run(&self, attempt: Attempt, mut stop: StopSignal) -> AttemptOutcome {
        let duration = self.duration(attempt.input.get());
        tokio::select! {
            () = tokio::time::sleep(duration), if !duration.is_zero() => {}
            () = std::future::ready(()), if duration.is_zero() => {}
            reason = stop.requested() => return AttemptOutcome::of_stop(reason),
        }
        AttemptOutcome::completed(raw(
            &json!({ "slept_ms": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_runtime_is_scaled_and_nonsense_is_no_time_at_all() {
        let runner = SleepRunner::new(0.001);
        assert_eq!(
            runner.duration(r#"{"runtime_s": 56.5, "program": "x"}"#),
            Duration::from_micros(56_500)
        );
        for input in ["null", "{}", "7", r#"{"runtime_s": -1}"#, r#"{"runtime_s": "x"}"#] {
            assert_eq!(runner.duration(input), Duration::ZERO, "{input}");
        }
        assert_eq!(runner.duration(r#"{"runtime_s": 1e300}"#), Duration::ZERO);
    }
}
