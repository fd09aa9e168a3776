//! The connections that take work: at once done, or asleep for as long as a recorded task ran.
//! Invariant: a report asks for the next work but never waits for it, so that no answer to a report is late; only a
//! plain request for work waits. What the engine sheds is sent again: a worker that keeps its promises does that.
//! Absent: submissions (`drive`).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::drive::{Run, read, wait_of};
use super::link::Link;
use super::wire::{ResultItem, StepInput, Wants, WorkAnswer, write_item};
use crate::failure::Failure;

/// How long a plain request for work waits. Short: a worker leaves when its request is answered, never before, since
/// an engine that has not yet seen it gone would offer it the next run's work.
const WAIT_MS: u64 = 1_000;
/// Reports of one request.
const REPORTS_MAX: usize = 1_000;

/// A step in a worker's hands.
#[derive(Debug)]
pub(super) struct Held {
    lease: String,
    job: Option<u64>,
    failed: bool,
}

/// What an answer to a report leaves in hands.
#[derive(Debug, Default)]
struct Left {
    /// The next work.
    next: Vec<Held>,
    /// To be reported again, after this long.
    again: Vec<Held>,
    wait: Duration,
}

impl Run {
    /// Takes work, reports it done, and takes the next in the same request.
    pub(super) async fn worker(&self, number: usize) -> Result<(), Failure> {
        let mut link = Link::open(&self.workers_at).await?;
        let wants = self.wants(number);
        let (path, ask, next) = (wants.path(), wants.body(WAIT_MS), wants.next());
        let mut held: Vec<Held> = Vec::new();
        let mut body = Vec::new();
        loop {
            let failed = held.extract_if(.., |held| held.failed).collect::<Vec<_>>();
            if !failed.is_empty() {
                let left = self.report(&mut link, failed, &Wants::end(), &mut body).await?;
                held.extend(self.wait_for(left).await);
            }
            if held.is_empty() {
                if self.leave.is_cancelled() {
                    return Ok(());
                }
                held = self.ask_for_work(&mut link, &path, &ask).await?.0;
            } else if !held.iter().any(|held| held.failed) {
                let left = self.report(&mut link, held, &next, &mut body).await?;
                held = self.wait_for(left).await;
            }
        }
    }

    /// Waits when something is to be reported again; all that is in hands.
    async fn wait_for(&self, left: Left) -> Vec<Held> {
        if !left.again.is_empty() {
            tokio::time::sleep(left.wait).await;
        }
        left.next.into_iter().chain(left.again).collect()
    }

    /// Asks for work until the engine does not put it off; the work and its inputs.
    async fn ask_for_work(
        &self,
        link: &mut Link,
        path: &str,
        ask: &[u8],
    ) -> Result<(Vec<Held>, Vec<StepInput>), Failure> {
        let answer = link.send("POST", path, ask).await?;
        if answer.is_busy() {
            let wait = wait_of(answer.retry_after);
            self.ledger.borrow_mut().counted().work_shed += 1;
            tokio::time::sleep(wait).await;
            return Ok((Vec::new(), Vec::new()));
        }
        if answer.status != 200 {
            return Err(answer.failure("a request for work"));
        }
        let answer: WorkAnswer<'_> = read(answer.body)?;
        let inputs = answer.leases.iter().map(|lease| lease.input.unwrap_or_default()).collect();
        Ok((self.taken(answer), inputs))
    }

    /// Reports what ended; the next work, when `end` asks for it.
    async fn report(
        &self,
        link: &mut Link,
        ended: Vec<Held>,
        end: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Left, Failure> {
        body.clear();
        for held in &ended {
            write_item(body, &held.lease, held.failed);
        }
        body.extend_from_slice(end);
        let failed = ended.first().is_some_and(|held| held.failed);
        let path = if failed { "/api/v1/leases/fail" } else { "/api/v1/leases/complete" };
        let began = Instant::now();
        let answer = link.send("POST", path, body).await?;
        if answer.is_busy() {
            let wait = wait_of(answer.retry_after);
            self.ledger.borrow_mut().counted().work_shed += 1;
            return Ok(Left { next: Vec::new(), again: ended, wait });
        }
        if answer.status != 200 {
            return Err(answer.failure("a report"));
        }
        let answer: WorkAnswer<'_> = read(answer.body)?;
        let now = Instant::now();
        self.ledger.borrow_mut().counted().reports.record(now.saturating_duration_since(began));
        let again = self.counted(ended, &answer.results, now);
        Ok(Left { next: self.taken(answer), again, wait: wait_of(None) })
    }

    /// Books what became of reports; those that were shed.
    fn counted(&self, ended: Vec<Held>, results: &[ResultItem<'_>], now: Instant) -> Vec<Held> {
        let mut ledger = self.ledger.borrow_mut();
        let mut again = Vec::new();
        for (held, result) in ended.into_iter().zip(results) {
            match &result.error {
                Some(error) if error.is_busy() => {
                    ledger.counted().work_shed += 1;
                    again.push(held);
                }
                _ if !result.counts() => {
                    let counted = ledger.counted();
                    counted.refused += 1;
                    let error = result.error.as_ref();
                    counted.refusal = counted.refusal.take().or_else(|| Some(error?.shown()));
                }
                _ if held.failed => ledger.counted().failed += 1,
                _ => {
                    if ledger.recorded(held.job.unwrap_or(u64::MAX), now) {
                        self.ended(1);
                    }
                }
            }
        }
        again
    }

    /// The leases of an answer, as they are held.
    fn taken(&self, answer: WorkAnswer<'_>) -> Vec<Held> {
        let now = Instant::now();
        let mut ledger = self.ledger.borrow_mut();
        let held = answer.leases.into_iter().map(|lease| {
            let job = lease.input.and_then(|input| input.job);
            if let Some(job) = job.filter(|_| self.variant.shows_start) {
                ledger.started(job, now);
            }
            Held { lease: lease.lease.to_owned(), job, failed: self.fails() }
        });
        held.collect()
    }

    /// Takes work and lets each step sleep; what has slept is reported on a second connection, together.
    pub(super) async fn sleeper(&self, number: usize) -> Result<(), Failure> {
        let mut link = Link::open(&self.workers_at).await?;
        let mut reports = Link::open(&self.workers_at).await?;
        let wants = self.wants(number);
        let (path, ask) = (wants.path(), wants.body(WAIT_MS));
        let slept = Rc::new((RefCell::new(Vec::<Held>::new()), Notify::new()));
        let mut sleeping = JoinSet::new();
        let taking = async {
            while !self.leave.is_cancelled() {
                let (held, inputs) = self.ask_for_work(&mut link, &path, &ask).await?;
                for (held, input) in held.into_iter().zip(inputs) {
                    let scaled = input.runtime_s * self.variant.sleep_scale.unwrap_or(0.0);
                    let sleep = Duration::try_from_secs_f64(scaled).unwrap_or_default();
                    let slept = Rc::clone(&slept);
                    sleeping.spawn_local(async move {
                        tokio::time::sleep(sleep).await;
                        slept.0.borrow_mut().push(held);
                        slept.1.notify_one();
                    });
                }
                while sleeping.try_join_next().is_some() {}
            }
            Ok(())
        };
        let reporting = async {
            let mut body = Vec::new();
            loop {
                let mut ended = slept.0.take();
                if ended.is_empty() {
                    slept.1.notified().await;
                    continue;
                }
                if ended.len() > REPORTS_MAX {
                    slept.0.borrow_mut().extend(ended.drain(REPORTS_MAX..));
                }
                let failed = ended.extract_if(.., |held| held.failed).collect::<Vec<_>>();
                for part in [failed, ended] {
                    if !part.is_empty() {
                        let left =
                            self.report(&mut reports, part, &Wants::end(), &mut body).await?;
                        let again = self.wait_for(left).await;
                        slept.0.borrow_mut().extend(again);
                    }
                }
            }
        };
        tokio::select! {
            ended = taking => ended,
            ended = reporting => ended,
        }
    }
}
