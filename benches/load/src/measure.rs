//! Runs a variant and measures it: a warm-up that is forgotten, then the time that counts, then the end of what was
//! begun. The server's counters are read at both ends of that time, its gauges each second within.
//! Absent: how the load is made (`drive`) and how figures are shown (`figures`).

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::drive::{LATE, Run, read, wait_of};
use super::figures::Measured;
use super::link::{Link, Target};
use super::progress::Progress;
use super::server::{Sample, Server};
use super::shapes::Variant;
use super::wire::{Wants, WorkAnswer, write_item};
use crate::failure::Failure;

/// Time before the one that counts: connections open, buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_secs(2);
/// Between two samples of the server's gauges.
const SAMPLE: Duration = Duration::from_secs(1);
/// After this long what was begun should have ended.
const END_MAX: Duration = Duration::from_mins(1);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// What all variants are run with.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) target: Target,
    /// Where workers ask, which may be another engine.
    pub(super) workers_at: Target,
    pub(super) queue: String,
    pub(super) seconds: Duration,
    pub(super) fail: f64,
    pub(super) server_pid: Option<u32>,
    pub(super) data: Option<PathBuf>,
}

impl Bench {
    fn targets(&self) -> (Target, Target) {
        (self.target.clone(), self.workers_at.clone())
    }

    /// Runs one variant.
    ///
    /// # Errors
    /// When the engine goes away, refuses something, or does not finish what was begun.
    pub(super) async fn variant(
        &self,
        variant: Variant,
        progress: &Progress,
    ) -> Result<Measured, Failure> {
        let mut server = Server::find(&self.target, self.server_pid, self.data.clone()).await?;
        let run = Run::new(variant, self.targets(), self.queue.clone(), self.fail, false);
        let mut tasks = JoinSet::new();
        run.start(&mut tasks);
        let measuring = async {
            let mut measured = self.measure(&run, &mut server, progress).await?;
            run.close();
            let end = Instant::now() + END_MAX;
            while run.ledger.borrow().jobs_open() > 0 && Instant::now() < end {
                tokio::time::sleep(LOOK).await;
            }
            measured.left = run.ledger.borrow().jobs_open() as u64;
            Ok(measured)
        };
        let measured = beside(&mut tasks, measuring).await?;
        run.leave();
        if measured.left > 0 {
            // Workers with work in hands would go on taking more.
            tasks.abort_all();
        }
        while tasks.join_next().await.is_some() {}
        Ok(measured)
    }

    /// Stores so many jobs that end at once, and at most one request more for each connection.
    ///
    /// # Errors
    /// As `variant`, and when they do not end.
    pub(super) async fn store_jobs(
        &self,
        filling: Option<Variant>,
        jobs: u64,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let Some(variant) = filling else { return Ok(()) };
        let run = Run::new(variant, self.targets(), self.queue.clone(), 0.0, false);
        let mut tasks = JoinSet::new();
        run.start(&mut tasks);
        progress.begin(&run.variant, Duration::from_secs(jobs));
        let storing = async {
            let mut shown = 0;
            let mut moved = Instant::now();
            while shown < jobs || run.ledger.borrow().jobs_open() > 0 {
                tokio::time::sleep(LOOK).await;
                let steps = run.ledger.borrow_mut().counted().steps;
                if steps > shown {
                    progress.tick(Duration::from_secs(steps - shown), steps - shown);
                    (shown, moved) = (steps, Instant::now());
                }
                if shown >= jobs {
                    run.close();
                }
                if moved.elapsed() > END_MAX {
                    return Err(Failure::TimedOut(
                        "jobs that were to be stored do not end".to_owned(),
                    ));
                }
            }
            Ok(())
        };
        beside(&mut tasks, storing).await?;
        progress.end();
        run.leave();
        while tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn measure(
        &self,
        run: &Run,
        server: &mut Server,
        progress: &Progress,
    ) -> Result<Measured, Failure> {
        progress.begin(&run.variant, WARM_UP + self.seconds);
        let mut shown = 0;
        let mut wait = async |span: Duration, progress: &Progress| {
            let end = Instant::now() + span;
            while Instant::now() < end {
                let tick = Duration::from_millis(200).min(end - Instant::now());
                tokio::time::sleep(tick).await;
                let steps = run.ledger.borrow_mut().counted().steps;
                progress.tick(tick, steps.saturating_sub(shown));
                shown = steps;
            }
        };
        wait(WARM_UP, progress).await;
        let before = server.reading().await?;
        run.ledger.borrow_mut().measure();
        let began = Instant::now();
        let mut highest = Sample::default();
        while began.elapsed() < self.seconds {
            wait(SAMPLE.min(self.seconds.saturating_sub(began.elapsed())), progress).await;
            highest = highest.highest(server.sample().await?);
        }
        // As at the beginning: the server's counters first, so that both spans are equally long.
        let after = server.reading().await?;
        let seconds = began.elapsed();
        let counted = run.ledger.borrow_mut().measure();
        progress.end();
        Ok(Measured { seconds, counted, before, after, highest, left: 0 })
    }

    /// Stores the jobs of a backlog, then takes and completes a little of it, and times the requests for work. Gives
    /// also how long the storing took, and the ids of the jobs.
    ///
    /// # Errors
    /// When the engine goes away or refuses something.
    pub(super) async fn backlog(
        &self,
        variant: Variant,
        progress: &Progress,
    ) -> Result<(Measured, Duration, Vec<String>), Failure> {
        // Made before the schedule of the requests begins.
        let storing = Variant { every: None, ..variant.clone() };
        let storing = Run::new(storing, self.targets(), self.queue.clone(), 0.0, true);
        let mut link = Link::open(&self.target).await?;
        let stored = self.store(&storing, &mut link, progress).await?;
        // Only now: an engine closes a connection on which nothing comes for some seconds.
        let mut server = Server::find(&self.target, self.server_pid, self.data.clone()).await?;
        let run = Run::new(variant, self.targets(), self.queue.clone(), self.fail, true);
        progress.begin(&run.variant, self.seconds);
        let before = server.reading().await?;
        run.ledger.borrow_mut().measure();
        let began = Instant::now();
        let mut sampled = began;
        let mut highest = server.sample().await?;
        while began.elapsed() < self.seconds {
            let due = run.due(1).await;
            if !take(&run, &mut link, due).await? {
                break;
            }
            if sampled.elapsed() > SAMPLE {
                progress.tick(sampled.elapsed(), 0);
                sampled = Instant::now();
                highest = highest.highest(server.sample().await?);
            }
        }
        let after = server.reading().await?;
        let seconds = began.elapsed();
        let counted = run.ledger.borrow_mut().measure();
        progress.end();
        let ids = storing.accepted.take();
        Ok((Measured { seconds, counted, before, after, highest, left: 0 }, stored, ids))
    }

    /// Submits every job of a backlog.
    async fn store(
        &self,
        run: &Rc<Run>,
        link: &mut Link,
        progress: &Progress,
    ) -> Result<Duration, Failure> {
        let jobs = run.variant.open_max;
        let began = Instant::now();
        progress.begin(&run.variant, Duration::from_secs(jobs as u64));
        let mut body = Vec::new();
        for _ in 0..jobs {
            let number = run.ledger.borrow_mut().open(1, Instant::now());
            run.submit(link, &mut body, vec![number], false).await?;
            progress.tick(Duration::from_secs(1), run.variant.job.steps() as u64);
        }
        progress.end();
        Ok(began.elapsed())
    }

    /// Cancels jobs, so that nothing is left in the engine's queues.
    ///
    /// # Errors
    /// When the engine goes away or refuses.
    pub(super) async fn cancel(&self, ids: &[String]) -> Result<(), Failure> {
        let mut link = Link::open(&self.target).await?;
        for id in ids {
            let path = format!("/api/v1/jobs/{id}/cancel");
            let answer = link.send("POST", &path, b"{}").await?;
            if !matches!(answer.status, 200..=299 | 409) {
                return Err(answer.failure("a cancellation"));
            }
        }
        Ok(())
    }
}

/// Takes some work, timing the request (on a schedule from when it was due), and reports it. False when there was
/// none.
async fn take(run: &Run, link: &mut Link, due: Option<Instant>) -> Result<bool, Failure> {
    let wants = run.wants(0);
    let began = Instant::now();
    if due.is_some_and(|due| began.saturating_duration_since(due) > LATE) {
        run.ledger.borrow_mut().counted().late += 1;
    }
    let answer = link.send("POST", &wants.path(), &wants.body(0)).await?;
    if answer.is_busy() {
        let wait = wait_of(answer.retry_after);
        run.ledger.borrow_mut().counted().work_shed += 1;
        tokio::time::sleep(wait).await;
        return Ok(true);
    }
    if answer.status != 200 {
        return Err(answer.failure("a request for work"));
    }
    run.ledger.borrow_mut().counted().requests.record(due.unwrap_or(began).elapsed());
    let leases = read::<WorkAnswer<'_>>(answer.body)?.leases;
    if leases.is_empty() {
        return Ok(false);
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for lease in &leases {
        let fails = run.fails();
        write_item(if fails { &mut failed } else { &mut done }, lease.lease, fails);
    }
    for (fails, mut body) in [(false, done), (true, failed)] {
        if body.is_empty() {
            continue;
        }
        body.extend_from_slice(&Wants::end());
        let path = if fails { "/api/v1/leases/fail" } else { "/api/v1/leases/complete" };
        let answer = link.send("POST", path, &body).await?;
        if answer.status != 200 {
            return Err(answer.failure("a report"));
        }
        let results = read::<WorkAnswer<'_>>(answer.body)?.results;
        let recorded = results.iter().filter(|result| result.counts()).count() as u64;
        let mut ledger = run.ledger.borrow_mut();
        let counted = ledger.counted();
        *(if fails { &mut counted.failed } else { &mut counted.steps }) += recorded;
        counted.refused += results.len() as u64 - recorded;
    }
    Ok(true)
}

/// Does `work` beside tasks that only end early when something is wrong.
async fn beside<T>(
    tasks: &mut JoinSet<Result<(), Failure>>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return Err(failure),
                Err(cause) => return Err(Failure::Failed(cause.to_string())),
            },
        }
    }
}
