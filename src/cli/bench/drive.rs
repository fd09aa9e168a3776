//! Drives one variant: connections that submit, connections that work. One thread does it all, so that the books need
//! no locks and the server gets the rest of the machine.
//! Invariant: a report asks for the next work but never waits for it, so that no answer to a report is late; only a
//! plain request for work waits.
//! Absent: what is measured of it (`measure`), and repetition after a broken connection: a bench ends then.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::link::{Link, Target};
use super::shapes::Variant;
use super::wire::{BatchAnswer, JobAnswer, StepInput, Wants, WorkAnswer, write_item};
use crate::cli::failure::Failure;
use crate::environment::{Dice as _, SystemDice};

/// How long a plain request for work waits. Short: a worker leaves when its request is answered, never before, since
/// an engine that has not yet seen it gone would offer it the next run's work.
const WAIT_MS: u64 = 1_000;
/// A submission that was put off comes again after this.
const PUT_OFF: Duration = Duration::from_millis(20);
/// Sent later than this after its schedule, a submission is late. Timers have steps of 1 ms.
const LATE: Duration = Duration::from_millis(5);
/// Reports of one request.
const REPORTS_MAX: usize = 1_000;

/// What the tasks of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) variant: Variant,
    pub(super) ledger: RefCell<Ledger>,
    target: Target,
    queue: String,
    fail: f64,
    /// One permit a job that may be opened.
    room: Semaphore,
    closing: Cell<bool>,
    leave: CancellationToken,
    started: Instant,
    due_next: Cell<u32>,
    /// Ids of accepted jobs, kept where they are cancelled afterwards.
    pub(super) accepted: RefCell<Vec<String>>,
    keeps_ids: bool,
}

/// A step in a worker's hands.
#[derive(Debug)]
struct Held {
    lease: String,
    job: Option<u64>,
    failed: bool,
}

impl Run {
    /// A run that nobody drives yet.
    pub(super) fn new(
        variant: Variant,
        target: Target,
        queue: String,
        fail: f64,
        keeps_ids: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            ledger: RefCell::new(Ledger::new(variant.job.steps())),
            room: Semaphore::new(variant.open_max),
            variant,
            target,
            queue,
            fail,
            closing: Cell::new(false),
            leave: CancellationToken::new(),
            started: Instant::now(),
            due_next: Cell::new(0),
            accepted: RefCell::default(),
            keeps_ids,
        })
    }

    /// Starts everything.
    pub(super) fn start(self: &Rc<Self>, tasks: &mut JoinSet<Result<(), Failure>>) {
        for number in 0..self.variant.workers {
            let run = Rc::clone(self);
            if self.variant.sleep_scale.is_some() {
                tasks.spawn_local(async move { run.sleeper(number).await });
            } else {
                tasks.spawn_local(async move { run.worker(number).await });
            }
        }
        for _ in 0..self.variant.connections {
            let run = Rc::clone(self);
            tasks.spawn_local(async move { run.submitter().await });
        }
    }

    /// Nothing new is submitted any more.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.room.close();
    }

    /// The workers leave.
    pub(super) fn leave(&self) {
        self.leave.cancel();
    }

    /// How this run's worker asks.
    pub(super) fn wants(&self, number: usize) -> Wants {
        Wants {
            queue: self.queue.clone(),
            worker: format!("bench-{}-{number}", std::process::id()),
            max: self.variant.lease_max,
            lease_ms: self.variant.lease_ms,
        }
    }

    async fn submitter(&self) -> Result<(), Failure> {
        let mut link = Link::open(&self.target).await?;
        let batch = self.variant.batch;
        let mut body = Vec::new();
        loop {
            let due = self.due(batch).await;
            let permits = u32::try_from(batch).unwrap_or(u32::MAX);
            match self.room.acquire_many(permits).await {
                Ok(room) => room.forget(),
                Err(_) => return Ok(()),
            }
            if self.closing.get() {
                return Ok(());
            }
            let now = Instant::now();
            let first = self.ledger.borrow_mut().open(batch, due.unwrap_or(now));
            if due.is_some_and(|due| now.saturating_duration_since(due) > LATE) {
                self.ledger.borrow_mut().counted().late += batch as u64;
            }
            body.clear();
            if batch == 1 {
                self.variant.job.write(first, &mut body);
            } else {
                self.variant.job.write_batch(first, batch, &mut body);
            }
            self.submit(&mut link, &body).await?;
        }
    }

    /// Waits until the next request is due, when there is a schedule. The moment it was due.
    async fn due(&self, batch: usize) -> Option<Instant> {
        let every = self.variant.every?;
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        let number = self.due_next.get();
        self.due_next.set(number.saturating_add(batch));
        let due = self.started + every * number;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = self.leave.cancelled() => {}
        }
        Some(due)
    }

    /// Sends one submission, again for as long as the engine puts it off.
    pub(super) async fn submit(&self, link: &mut Link, body: &[u8]) -> Result<(), Failure> {
        let many = self.variant.batch > 1;
        let path = if many { "/api/v1/jobs/batch" } else { "/api/v1/jobs" };
        loop {
            let answer = link.send("POST", path, body).await?;
            if answer.is_busy() {
                self.ledger.borrow_mut().counted().put_off += 1;
                tokio::time::sleep(PUT_OFF).await;
                continue;
            }
            if !matches!(answer.status, 200 | 201) {
                return Err(answer.failure("a submission"));
            }
            if many {
                let read: BatchAnswer<'_> = read(answer.body)?;
                if let Some(error) = read.results.iter().find_map(|result| result.error) {
                    return Err(Failure::Failed(format!("a job of a batch was refused: {error}")));
                }
            } else if self.keeps_ids {
                let job: JobAnswer<'_> = read(answer.body)?;
                self.accepted.borrow_mut().push(job.id.to_owned());
            }
            return Ok(());
        }
    }

    /// Takes work, reports it done, and takes the next in the same request.
    async fn worker(&self, number: usize) -> Result<(), Failure> {
        let mut link = Link::open(&self.target).await?;
        let wants = self.wants(number);
        let (path, ask, next) = (wants.path(), wants.body(WAIT_MS), wants.next());
        let mut held: Vec<Held> = Vec::new();
        let mut body = Vec::new();
        loop {
            let failed = held.extract_if(.., |held| held.failed).collect::<Vec<_>>();
            if !failed.is_empty() {
                self.report(&mut link, &failed, &Wants::end(), &mut body).await?;
            }
            if held.is_empty() {
                if self.leave.is_cancelled() {
                    return Ok(());
                }
                let answer = link.send("POST", &path, &ask).await?;
                if answer.status != 200 {
                    return Err(answer.failure("a request for work"));
                }
                held = self.taken(read(answer.body)?);
            } else {
                held = self.report(&mut link, &held, &next, &mut body).await?;
            }
        }
    }

    /// Reports what ended; the next work, when `end` asks for it.
    async fn report(
        &self,
        link: &mut Link,
        ended: &[Held],
        end: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Vec<Held>, Failure> {
        body.clear();
        for held in ended {
            write_item(body, &held.lease, held.failed);
        }
        body.extend_from_slice(end);
        let failed = ended.first().is_some_and(|held| held.failed);
        let path = if failed { "/api/v1/leases/fail" } else { "/api/v1/leases/complete" };
        let answer = link.send("POST", path, body).await?;
        if answer.status != 200 {
            return Err(answer.failure("a report"));
        }
        let answer: WorkAnswer<'_> = read(answer.body)?;
        let now = Instant::now();
        let mut ledger = self.ledger.borrow_mut();
        for (held, result) in ended.iter().zip(&answer.results) {
            if !result.counts() {
                let counted = ledger.counted();
                counted.refused += 1;
                counted.refusal =
                    counted.refusal.take().or_else(|| Some(result.error?.to_string()));
            } else if held.failed {
                ledger.counted().failed += 1;
            } else {
                let over = match held.job {
                    Some(job) => ledger.recorded(job, now),
                    None => ledger.recorded(u64::MAX, now),
                };
                if over {
                    self.room.add_permits(1);
                }
            }
        }
        drop(ledger);
        Ok(self.taken(answer))
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
            let failed = self.fail > 0.0 && SystemDice.unit() < self.fail;
            Held { lease: lease.lease.to_owned(), job, failed }
        });
        held.collect()
    }

    /// Takes work and lets each step sleep; what has slept is reported on a second connection, together.
    async fn sleeper(&self, number: usize) -> Result<(), Failure> {
        let mut link = Link::open(&self.target).await?;
        let mut reports = Link::open(&self.target).await?;
        let wants = self.wants(number);
        let (path, ask) = (wants.path(), wants.body(WAIT_MS));
        let slept = Rc::new((RefCell::new(Vec::<Held>::new()), Notify::new()));
        let mut sleeping = JoinSet::new();
        let taking = async {
            while !self.leave.is_cancelled() {
                let answer = link.send("POST", &path, &ask).await?;
                if answer.status != 200 {
                    return Err(answer.failure("a request for work"));
                }
                let answer: WorkAnswer<'_> = read(answer.body)?;
                let inputs: Vec<StepInput> =
                    answer.leases.iter().map(|lease| lease.input.unwrap_or_default()).collect();
                for (held, input) in self.taken(answer).into_iter().zip(inputs) {
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
                        self.report(&mut reports, &part, &Wants::end(), &mut body).await?;
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

/// Reads a part of an answer.
pub(super) fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|cause| Failure::Failed(format!("an answer is not understood: {cause}")))
}
