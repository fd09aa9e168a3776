//! The loop of a worker: lease, run, report, and the next work with the report.
//!
//! Invariant: leases held, asked for in a request under way, or waiting to be reported never exceed the
//! concurrency. One request for work and one batch of reports are under way at a time; what ends meanwhile goes
//! with the next batch, so a busy worker batches by itself and an idle one reports at once. An engine that is away
//! is waited for without end; an answer that says the request itself is wrong ends the worker.
//! Absent: how an attempt runs (`attempt`), heartbeats (`held`), repetition of reports (`report`).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::{Attempt, AttemptOutcome, RunAttempt, StopReason};
use super::held::{HeldLeases, heartbeats};
use super::report::{BatchReported, EndedAttempt, Reporter, Totals, next_batch};
use super::settings::WorkerSettings;
use crate::api::shapes::{AttemptErrorShape, Lease, LeaseRequestShape};
use crate::api::{Client, ClientError};
use crate::console::{Console, plain};
use crate::failure::CliFailure;
use crate::random;

/// Waits after a request for work that found no engine: the first, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Waits after work that this host could not run: the first, and the longest.
const RESTS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Rests in a row after which the host's fault counts as lasting: together 18 s, longer than a deployment takes to
/// replace a file.
const RESTS_MAX: u32 = 7;
/// Between heartbeats when the engine does not say: a third of the grace that it gives a cancelled attempt by default.
const HEARTBEAT_MS_UNASKED: u64 = 10_000;
/// Leases asked for at once: the engine's bound.
const LEASES_MAX: usize = 1_000;

type Flight<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Works until `leave` is raised: then running attempts are stopped, unfinished ones given back, and what the
/// worker did is returned.
///
/// # Errors
/// When the engine says that the request for work is wrong, or the runner cannot work at all.
pub async fn work<R: RunAttempt>(
    client: Client,
    settings: WorkerSettings,
    runner: Arc<R>,
    console: Console,
    leave: CancellationToken,
) -> Result<Totals, CliFailure> {
    let held = Arc::new(HeldLeases::default());
    let _beating = AbortOnDropHandle::new(tokio::spawn(heartbeats(
        Arc::clone(&held),
        client.clone(),
        console.clone(),
    )));
    let leaving = CancellationToken::new();
    let reporter = Reporter {
        client: client.clone(),
        console: console.clone(),
        settings,
        leaving,
        resting: false,
    };
    let mut worker = LeaseLoop {
        free: reporter.settings.concurrency.max(1),
        client,
        console,
        reporter,
        runner,
        held,
        running: JoinSet::new(),
        names: HashMap::new(),
        ended: Vec::new(),
        asked: 0,
        totals: Totals::default(),
        rest: None,
        rests: 0,
        broken: None,
    };
    worker.run(leave).await;
    worker.broken.map_or(Ok(worker.totals), Err)
}

struct LeaseLoop<R> {
    client: Client,
    console: Console,
    reporter: Reporter,
    runner: Arc<R>,
    held: Arc<HeldLeases>,
    running: JoinSet<AttemptOutcome>,
    names: HashMap<task::Id, (String, String)>,
    ended: Vec<EndedAttempt>,
    /// Places that hold nothing and are not asked for.
    free: usize,
    /// Places that the request for work under way may fill.
    asked: usize,
    totals: Totals,
    /// No work is asked for until then: this host could not run what it got.
    rest: Option<Instant>,
    /// Rests since work was last run.
    rests: u32,
    broken: Option<CliFailure>,
}

impl<R: RunAttempt> LeaseLoop<R> {
    async fn run(&mut self, leave: CancellationToken) {
        let mut poll: Flight<Result<Vec<Lease>, ClientError>> = None;
        let mut report: Flight<(usize, BatchReported)> = None;
        loop {
            if self.reporter.leaving.is_cancelled() {
                // Before anything is given back: what waits here would be given it again, and nobody would read the
                // answer. One that is here already is given back too; a request that is dropped holds no lease, for
                // the engine takes back what it could not say.
                if let Some(answer) = poll.take().and_then(FutureExt::now_or_never) {
                    self.answered(answer);
                }
            }
            if report.is_none() && !self.ended.is_empty() {
                let batch = next_batch(&mut self.ended);
                self.reporter.resting = self.rest.is_some();
                let (count, reporter) = (batch.len(), self.reporter.clone());
                report = Some(Box::pin(async move { (count, reporter.report(batch).await) }));
            }
            let leaving = self.reporter.leaving.is_cancelled();
            if leaving && report.is_none() && self.running.is_empty() {
                return;
            }
            if !leaving && poll.is_none() && self.free > 0 && self.rest.is_none() {
                poll = Some(self.ask());
            }
            let rested = self.rest.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = leave.cancelled(), if !leaving => self.leave(),
                Some(ended) = self.running.join_next_with_id() => self.note(ended),
                (count, reported) = landed(&mut report) => {
                    report = None;
                    self.reported(count, reported);
                }
                answer = landed(&mut poll) => {
                    poll = None;
                    self.answered(answer);
                }
                () = tokio::time::sleep_until(rested), if self.rest.is_some() => self.rest = None,
            }
        }
    }

    /// Asks for work for every free place; repeats while the engine is away.
    fn ask(&mut self) -> Pin<Box<dyn Future<Output = Result<Vec<Lease>, ClientError>> + Send>> {
        self.asked = self.free.min(LEASES_MAX);
        self.free -= self.asked;
        let settings = &self.reporter.settings;
        let ask = LeaseRequestShape {
            worker: settings.name.clone(),
            max: self.asked,
            wait_ms: settings.wait_ms,
            lease_ms: settings.lease_ms,
            action_types: settings.action_types.clone(),
            claim: random::fresh_id(),
        };
        let (client, queue, console) =
            (self.client.clone(), settings.queue.clone(), self.console.clone());
        Box::pin(async move {
            let mut tries = 0;
            loop {
                match client.lease(&queue, &ask).await {
                    Ok(answer) => {
                        if tries > 0 {
                            console.say("the engine is back");
                        }
                        return Ok(answer.leases);
                    }
                    Err(error) if error.is_transient() => {
                        tries += 1;
                        if tries == 1 {
                            console.say(&format!("no work to be had, trying again: {error}"));
                        }
                        tokio::time::sleep(random::backoff(tries, WAITS.0, WAITS.1)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn answered(&mut self, answer: Result<Vec<Lease>, ClientError>) {
        let asked = std::mem::take(&mut self.asked);
        match answer {
            Ok(leases) => {
                self.free += asked.saturating_sub(leases.len());
                for lease in leases {
                    self.start(lease);
                }
            }
            Err(error) => {
                self.free += asked;
                self.broken = Some(error.into());
                self.leave();
            }
        }
    }

    fn reported(&mut self, count: usize, reported: BatchReported) {
        self.held.drop_all(reported.settled.iter().map(String::as_str));
        self.totals.completed += reported.totals.completed;
        self.totals.failed += reported.totals.failed;
        self.totals.released += reported.totals.released;
        self.totals.lost += reported.totals.lost;
        self.free += count.saturating_sub(reported.leases.len());
        for lease in reported.leases {
            self.start(lease);
        }
    }

    fn start(&mut self, lease: Lease) {
        // A third of the period leaves room for two heartbeats that are lost.
        let own = (self.reporter.settings.lease_ms / 3).min(HEARTBEAT_MS_UNASKED);
        let pace = Duration::from_millis(lease.heartbeat_ms.unwrap_or(own));
        let stop = self.held.take(&lease.id, pace);
        let attempt = Attempt::from(lease);
        let what = format!("{}/{}#{}", attempt.job_id, attempt.node, attempt.number);
        let what = plain(&what).into_owned();
        if self.reporter.leaving.is_cancelled() {
            self.ended.push(EndedAttempt {
                lease: attempt.lease,
                what,
                outcome: AttemptOutcome::Released,
            });
            return;
        }
        let (runner, lease) = (Arc::clone(&self.runner), attempt.lease.clone());
        let handle = self.running.spawn(async move { runner.run(attempt, stop).await });
        self.names.insert(handle.id(), (lease, what));
    }

    fn note(&mut self, ended: Result<(task::Id, AttemptOutcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), AttemptOutcome::Failed(panicked())),
        };
        let Some((lease, what)) = self.names.remove(&id) else { return };
        match &outcome {
            AttemptOutcome::HostFault(why) => self.rest(why),
            AttemptOutcome::Completed { .. }
            | AttemptOutcome::Failed(_)
            | AttemptOutcome::Postponed { .. } => self.rests = 0,
            AttemptOutcome::Released | AttemptOutcome::Abandoned => {}
        }
        self.ended.push(EndedAttempt { lease, what, outcome });
    }

    /// Takes no work for a while; ends the worker when that has not helped often enough.
    fn rest(&mut self, why: &str) {
        if self.rest.is_some() || self.reporter.leaving.is_cancelled() {
            // Of what was taken before the rest; all of it fails together.
            return;
        }
        self.rests += 1;
        if self.rests > RESTS_MAX {
            self.broken = Some(CliFailure::Failed(format!(
                "{why}; this host could not run any of its work {RESTS_MAX} times in a row, and all of it was given \
                 back"
            )));
            self.leave();
            return;
        }
        let wait = RESTS.0.saturating_mul(1 << (self.rests - 1).min(16)).min(RESTS.1);
        self.console.say(&format!(
            "{why}; that is this host's fault and not the job's: the work is given back, and the next is taken in \
             {} ms",
            wait.as_millis()
        ));
        self.rest = Some(Instant::now() + wait);
    }

    fn leave(&mut self) {
        self.reporter.leaving.cancel();
        self.held.stop_all(StopReason::Leaving);
    }
}

/// Waits for what is under way; for ever when nothing is.
async fn landed<T>(flight: &mut Flight<T>) -> T {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

fn panicked() -> AttemptErrorShape {
    AttemptErrorShape {
        kind: "panic".to_owned(),
        message: "the worker's own code panicked while it ran the attempt".to_owned(),
        class: "bug".to_owned(),
        ..AttemptErrorShape::default()
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
#[path = "lease_loop_tests.rs"]
mod tests;
