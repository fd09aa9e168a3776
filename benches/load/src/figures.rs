//! The figures of a variant as they are shown: one row of the table, one line of JSON. The keys are a contract with
//! whoever compares runs. Absent: how the figures came to be.

use std::time::Duration;

use serde::Serialize;

use super::ledger::Counted;
use super::server::{Reading, Sample};
use super::spread::Spread;

/// The table's heading.
pub const HEADING: [&str; 14] = [
    "SHAPE",
    "VARIANT",
    "STEPS",
    "SECONDS",
    "STEPS/S",
    "P50 MS",
    "P99 MS",
    "APPENDS",
    "EVENTS/APPEND",
    "CPU S/1000",
    "RSS MB",
    "LAG MS",
    "BYTES/STEP",
    "WRITTEN/STEP",
];

/// What a measured run found.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) seconds: Duration,
    pub(super) counted: Counted,
    pub(super) before: Reading,
    pub(super) after: Reading,
    /// The highest of all samples.
    pub(super) highest: Sample,
    /// Jobs that had not ended long after the measured time.
    pub(super) left: u64,
}

/// One variant's figures. What could not be known is null.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    shape: &'static str,
    variant: String,
    steps: u64,
    seconds: f64,
    steps_per_s: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    appends: Option<u64>,
    events_per_append: Option<f64>,
    server_cpu_s_per_1000: Option<f64>,
    server_rss_mb: Option<f64>,
    view_lag_ms: Option<f64>,
    bytes_per_step: Option<f64>,
    /// What the engine's process had the system write to disks.
    written_per_step: Option<f64>,
    late: u64,
    shed: u64,
    /// Of answers that put a submission off; absent when none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    shed_p99_ms: Option<f64>,
    /// Of answers to reports; absent where no worker reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_p99_ms: Option<f64>,
    work_shed: u64,
    failed_attempts: u64,
    refused: u64,
    left: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
}

impl Figures {
    /// Of a measured run; `times` are those that the variant is about.
    pub(super) fn of(
        shape: &'static str,
        variant: &str,
        measured: &Measured,
        times: &Spread,
    ) -> Self {
        let (before, after) = (&measured.before, &measured.after);
        let grown = |after: Option<f64>, before: Option<f64>| Some((after? - before?).max(0.0));
        let steps = real(measured.counted.steps);
        let a_step = |amount: f64| (steps > 0.0).then(|| amount / steps);
        let appends = grown(after.appends, before.appends);
        let events = grown(after.events, before.events);
        let cpu_s = grown(after.cpu_s, before.cpu_s);
        let quantile = |times: &Spread, per_mille| {
            Some(rounded(times.quantile(per_mille)?.as_secs_f64() * 1_000.0, 3))
        };
        let seconds = measured.seconds.as_secs_f64();
        Self {
            shape,
            variant: variant.to_owned(),
            steps: measured.counted.steps,
            seconds: rounded(seconds, 3),
            steps_per_s: rounded(steps / seconds, 1),
            p50_ms: quantile(times, 500),
            p99_ms: quantile(times, 990),
            appends: appends.map(whole),
            events_per_append: appends
                .zip(events)
                .filter(|(appends, _)| *appends > 0.0)
                .map(|(appends, events)| rounded(events / appends, 2)),
            server_cpu_s_per_1000: cpu_s.and_then(|s| a_step(s * 1_000.0)).map(|s| rounded(s, 5)),
            server_rss_mb: measured.highest.rss_mb.map(|mb| rounded(mb, 1)),
            view_lag_ms: measured.highest.view_lag_ms.map(|ms| rounded(ms, 1)),
            bytes_per_step: grown(after.bytes, before.bytes)
                .and_then(a_step)
                .map(|bytes| rounded(bytes, 1)),
            written_per_step: grown(after.written, before.written)
                .and_then(a_step)
                .map(|bytes| rounded(bytes, 1)),
            late: measured.counted.late,
            shed: measured.counted.shed,
            shed_p99_ms: quantile(&measured.counted.shed_times, 990),
            report_p99_ms: quantile(&measured.counted.reports, 990),
            work_shed: measured.counted.work_shed,
            failed_attempts: measured.counted.failed,
            refused: measured.counted.refused,
            left: measured.left,
            refusal: measured.counted.refusal.clone(),
        }
    }

    /// The row of the table.
    pub fn row(&self) -> Vec<String> {
        let shown = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        vec![
            self.shape.to_owned(),
            self.variant.clone(),
            self.steps.to_string(),
            format!("{:.1}", self.seconds),
            format!("{:.0}", self.steps_per_s),
            shown(self.p50_ms, 2),
            shown(self.p99_ms, 2),
            self.appends.map_or_else(|| "-".to_owned(), |appends| appends.to_string()),
            shown(self.events_per_append, 1),
            shown(self.server_cpu_s_per_1000, 4),
            shown(self.server_rss_mb, 1),
            shown(self.view_lag_ms, 0),
            shown(self.bytes_per_step, 0),
            shown(self.written_per_step, 0),
        ]
    }

    /// Jobs that had not ended long after the measured time.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// What went another way than planned, to be said beside the table.
    pub fn remarks(&self) -> Option<String> {
        let remarks: Vec<String> = [
            (self.late, "were sent late"),
            (self.shed, "jobs were shed by the engine"),
            (self.work_shed, "requests and reports of workers were shed by the engine"),
            (self.failed_attempts, "attempts failed, as asked"),
            (self.refused, "reports were refused"),
            (self.left, "jobs did not end"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .chain(self.refusal.iter().map(|refusal| format!("the first with {refusal}")))
        .collect();
        (!remarks.is_empty())
            .then(|| format!("{} {}: {}", self.shape, self.variant, remarks.join(", ")))
    }
}

/// A count as a real number; beyond 2^53 it is the nearest one.
#[expect(clippy::cast_precision_loss, reason = "a bench's counts stay far below 2^53")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the difference of two growing counters"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured() -> Measured {
        let mut counted = Counted { steps: 2_000, ..Counted::default() };
        counted.to_end.record(Duration::from_micros(40));
        Measured {
            seconds: Duration::from_secs(10),
            counted,
            before: Reading {
                cpu_s: Some(1.0),
                appends: Some(100.0),
                events: Some(500.0),
                bytes: None,
                written: None,
            },
            after: Reading {
                cpu_s: Some(1.5),
                appends: Some(300.0),
                events: Some(4_500.0),
                bytes: Some(7.0),
                written: Some(5.0),
            },
            highest: Sample { rss_mb: Some(64.25), view_lag_ms: None },
            left: 0,
        }
    }

    #[test]
    fn the_line_has_the_agreed_keys_and_null_for_what_is_not_known() {
        let measured = measured();
        let figures = Figures::of("dag", "200 jobs", &measured, &measured.counted.to_end);
        let line = serde_json::to_value(&figures).expect("JSON");
        let expected = json!({
            "shape": "dag", "variant": "200 jobs", "steps": 2_000, "seconds": 10.0, "steps_per_s": 200.0,
            "p50_ms": 0.04, "p99_ms": 0.04, "appends": 200, "events_per_append": 20.0,
            "server_cpu_s_per_1000": 0.25, "server_rss_mb": 64.3, "view_lag_ms": null,
            "bytes_per_step": null, "written_per_step": null, "late": 0, "shed": 0, "work_shed": 0, "failed_attempts": 0, "refused": 0, "left": 0,
        });
        assert_eq!(line, expected);
        assert_eq!(figures.row().len(), HEADING.len());
        assert_eq!(figures.remarks(), None);
    }

    #[test]
    fn no_steps_give_no_figures_a_step() {
        let mut measured = measured();
        measured.counted = Counted { late: 3, ..Counted::default() };
        let figures = Figures::of("idle", "x", &measured, &measured.counted.to_end);
        assert_eq!((figures.server_cpu_s_per_1000, figures.p50_ms), (None, None));
        assert_eq!(figures.remarks().as_deref(), Some("idle x: 3 were sent late"));
    }
}
