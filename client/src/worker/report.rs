//! Brings outcomes to the engine, in batches, until they are recorded, refused, or too old to matter.
//!
//! Always: a report is sent again after a broken connection or a 5xx, with growing waits, for at most ten minutes
//! (ten seconds once the worker is leaving); repeating one is safe, the engine gives the first answer again.
//! A refusal of a single report is final and said once. A report brings a poll for the next work along.
//! Absent: any decision about what the outcome was.

use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::AttemptOutcome;
use super::settings::WorkerSettings;
use crate::api::shapes::{
    AttemptErrorShape, CompleteShape, FailShape, Lease, LeaseBatch, LeaseResults, NextWork,
    ReleaseShape,
};
use crate::api::{Client, ClientError};
use crate::console::Console;
use crate::random;

/// Reports in one request: far below the engine's 1,000, so that one with large outputs stays below its 8 MiB.
const BATCH_MAX: usize = 500;
/// Outputs in one request: half of the engine's bound on a body, which leaves room for all around them.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a report is tried: an engine that is away longer has long given the lease to somebody else.
const TRY_FOR: Duration = Duration::from_mins(10);
/// How long a report is tried by a worker that was told to go.
const TRY_FOR_LEAVING: Duration = Duration::from_secs(10);
/// The first wait before a repetition, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct EndedAttempt {
    pub(super) lease: String,
    /// `job/node#attempt`, for messages.
    pub(super) what: String,
    pub(super) outcome: AttemptOutcome,
}

/// What a worker did, counted as the engine recorded it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Attempts recorded as completed.
    pub completed: u64,
    /// Attempts recorded as failed.
    pub failed: u64,
    /// Attempts given back.
    pub released: u64,
    /// Attempts whose report did not count, or was never made.
    pub lost: u64,
}

/// What came of a batch of reports.
#[derive(Debug, Default)]
pub(super) struct BatchReported {
    pub(super) totals: Totals,
    /// Work that came with the answers.
    pub(super) leases: Vec<Lease>,
    /// The leases that are settled, whatever the answer was.
    pub(super) settled: Vec<String>,
}

/// Takes the next batch off the ended attempts.
pub(super) fn next_batch(ended: &mut Vec<EndedAttempt>) -> Vec<EndedAttempt> {
    let mut bytes = 0_usize;
    let mut take = 0;
    for one in ended.iter().take(BATCH_MAX) {
        bytes += match &one.outcome {
            AttemptOutcome::Completed { output, .. } => output.get().len(),
            AttemptOutcome::Failed(error) => error.message.len(),
            AttemptOutcome::Released
            | AttemptOutcome::Postponed { .. }
            | AttemptOutcome::Abandoned
            | AttemptOutcome::HostFault(_) => 0,
        };
        if take > 0 && bytes > BATCH_BYTES_MAX {
            break;
        }
        take += 1;
    }
    ended.drain(..take).collect()
}

/// Sends outcomes to the engine.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    pub(super) client: Client,
    pub(super) console: Console,
    pub(super) settings: WorkerSettings,
    pub(super) leaving: CancellationToken,
    /// Whether this host has no room for more work at the moment.
    pub(super) resting: bool,
}

impl Reporter {
    /// Reports a batch and asks for as much work as it ended.
    pub(super) async fn report(self, batch: Vec<EndedAttempt>) -> BatchReported {
        let mut reported = BatchReported::default();
        let (mut completed, mut failed, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for EndedAttempt { lease, what, outcome } in batch {
            reported.settled.push(lease.clone());
            match outcome {
                AttemptOutcome::Completed { output, stderr } => {
                    let artifacts = stderr.map(|stderr| json!({ "stderr": stderr }));
                    let artifacts = artifacts.into_iter().collect();
                    completed.push((what, CompleteShape { lease, output, artifacts }));
                }
                AttemptOutcome::Failed(error) => failed.push((what, FailShape { lease, error })),
                AttemptOutcome::Released | AttemptOutcome::HostFault(_) => {
                    released.push((what, ReleaseShape { lease, after_ms: None }));
                }
                AttemptOutcome::Postponed { after_ms } => {
                    let after_ms = Some(after_ms);
                    released.push((what, ReleaseShape { lease, after_ms }));
                }
                AttemptOutcome::Abandoned => reported.totals.lost += 1,
            }
        }
        self.complete(completed, &mut reported).await;
        self.fail(failed, &mut reported).await;
        if !released.is_empty() {
            let (whats, items): (Vec<_>, Vec<_>) = released.into_iter().unzip();
            let batch = LeaseBatch { items, lease: None };
            let answer = self.until_heard(|| self.client.release(&batch)).await;
            reported.totals.released +=
                self.count(answer.as_ref(), &whats, &mut reported.totals.lost);
        }
        reported
    }

    async fn complete(
        &self,
        completed: Vec<(String, CompleteShape)>,
        reported: &mut BatchReported,
    ) {
        if completed.is_empty() {
            return;
        }
        let (whats, items): (Vec<_>, Vec<_>) = completed.into_iter().unzip();
        let mut batch = LeaseBatch { lease: self.next_work(items.len()), items };
        let answer = self.until_heard(|| self.client.complete(&batch)).await;
        if let Err(ClientError::Refused(problem)) = &answer
            && batch.items.len() > 1
        {
            // One report that the engine cannot accept must not take the others with it.
            self.console.say(&format!(
                "a batch of reports was refused, sending them singly: {}",
                problem.message()
            ));
            for (what, item) in whats.into_iter().zip(batch.items.drain(..)) {
                let batch = LeaseBatch { items: vec![item], lease: None };
                let answer = self.until_heard(|| self.client.complete(&batch)).await;
                self.completed(answer, &[what], &batch.items, reported).await;
            }
            return;
        }
        self.completed(answer, &whats, &batch.items, reported).await;
    }

    /// Counts the answers; an output that the engine does not accept becomes a failure of the attempt.
    async fn completed(
        &self,
        answer: Result<LeaseResults, ClientError>,
        whats: &[String],
        items: &[CompleteShape],
        reported: &mut BatchReported,
    ) {
        let mut unacceptable = Vec::new();
        match (&answer, items) {
            (Err(ClientError::Refused(problem)), [item]) => {
                unacceptable.push((whats[0].clone(), failed_by_output(item, &problem.message())));
            }
            (Ok(results), _) => {
                for (result, (what, item)) in results.results.iter().zip(whats.iter().zip(items)) {
                    if let Some(problem) = &result.error
                        && matches!(problem.status, 400 | 413 | 422)
                    {
                        unacceptable
                            .push((what.clone(), failed_by_output(item, &problem.message())));
                    }
                }
            }
            (Err(_), _) => {}
        }
        let counted = self.count(answer.as_ref(), whats, &mut reported.totals.lost);
        reported.totals.completed += counted;
        if let Ok(results) = answer {
            reported.leases.extend(results.leases);
        }
        reported.totals.lost = reported.totals.lost.saturating_sub(unacceptable.len() as u64);
        self.fail_plainly(unacceptable, reported).await;
    }

    async fn fail(&self, failed: Vec<(String, FailShape)>, reported: &mut BatchReported) {
        if failed.is_empty() {
            return;
        }
        let (whats, items): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
        let batch = LeaseBatch { lease: self.next_work(items.len()), items };
        let answer = self.until_heard(|| self.client.fail(&batch)).await;
        reported.totals.failed += self.count(answer.as_ref(), &whats, &mut reported.totals.lost);
        if let Ok(results) = answer {
            reported.leases.extend(results.leases);
        }
    }

    async fn fail_plainly(&self, failed: Vec<(String, FailShape)>, reported: &mut BatchReported) {
        if failed.is_empty() {
            return;
        }
        let (whats, items): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
        let batch = LeaseBatch { lease: None, items };
        let answer = self.until_heard(|| self.client.fail(&batch)).await;
        reported.totals.failed += self.count(answer.as_ref(), &whats, &mut reported.totals.lost);
    }

    fn next_work(&self, max: usize) -> Option<NextWork> {
        let settings = &self.settings;
        (!self.resting && !self.leaving.is_cancelled()).then(|| NextWork {
            queue: settings.queue.clone(),
            worker: settings.name.clone(),
            max,
            wait_ms: 0,
            lease_ms: settings.lease_ms,
            action_types: settings.action_types.clone(),
            claim: random::fresh_id(),
        })
    }

    /// Counts the reports that count, and says which do not.
    fn count(
        &self,
        answer: Result<&LeaseResults, &ClientError>,
        whats: &[String],
        lost: &mut u64,
    ) -> u64 {
        let mut recorded = 0;
        match answer {
            Ok(results) => {
                for (result, what) in results.results.iter().zip(whats) {
                    if let Some(problem) = &result.error {
                        *lost += 1;
                        self.console.say(&format!(
                            "{what}: the report does not count: {}",
                            problem.message()
                        ));
                    } else {
                        recorded += 1;
                    }
                }
            }
            Err(error) => {
                *lost += whats.len() as u64;
                self.console.say(&format!("{} not reported: {error}", whats.join(", ")));
            }
        }
        recorded
    }

    /// Calls until there is an answer that a repetition would not change.
    async fn until_heard<F>(&self, call: impl Fn() -> F) -> Result<LeaseResults, ClientError>
    where
        F: Future<Output = Result<LeaseResults, ClientError>>,
    {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            let error = match call().await {
                Err(error) if error.is_transient() => error,
                answer => return answer,
            };
            tries += 1;
            if tries == 1 {
                self.console.say(&format!("a report is not heard, trying again: {error}"));
            }
            let limit = if self.leaving.is_cancelled() { TRY_FOR_LEAVING } else { TRY_FOR };
            if started.elapsed() >= limit {
                return Err(error);
            }
            tokio::time::sleep(random::backoff(tries, WAITS.0, WAITS.1)).await;
        }
    }
}

fn failed_by_output(item: &CompleteShape, why: &str) -> FailShape {
    let error = AttemptErrorShape {
        kind: "output_refused".to_owned(),
        message: format!("the engine does not accept the output: {why}"),
        class: "validation".to_owned(),
        ..AttemptErrorShape::default()
    };
    FailShape { lease: item.lease.clone(), error }
}

/// An output from text that is known to be JSON.
pub fn raw(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(bytes: usize) -> EndedAttempt {
        let text = serde_json::Value::String("x".repeat(bytes));
        EndedAttempt {
            lease: "l".to_owned(),
            what: "w".to_owned(),
            outcome: AttemptOutcome::completed(raw(&text)),
        }
    }

    #[test]
    fn a_batch_of_reports_stays_within_its_count_and_its_bytes() {
        let mut many: Vec<EndedAttempt> = (0..BATCH_MAX + 7).map(|_| ended(1)).collect();
        assert_eq!(next_batch(&mut many).len(), BATCH_MAX);
        assert_eq!(next_batch(&mut many).len(), 7);
        let mut large: Vec<EndedAttempt> = (0..20).map(|_| ended(256 * 1024)).collect();
        assert_eq!(next_batch(&mut large).len(), 15);
        let mut huge = vec![ended(BATCH_BYTES_MAX * 2), ended(1)];
        assert_eq!(next_batch(&mut huge).len(), 1, "one report always goes, however large");
    }
}
