//! Drives one variant: connections that submit, here, and connections that work (`work`). One thread does it all, so
//! that the books need no locks and the server gets the rest of the machine.
//! Invariant: on a schedule every time counts from when a job was due, however late it was sent, and what the engine
//! sheds is not sent again: the load stays what was asked for, whatever becomes of it.
//! Absent: what is measured of it (`measure`), and repetition after a broken connection: a bench ends then.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::link::{Link, Target};
use super::shapes::Variant;
use super::wire::{BatchAnswer, JobAnswer, Wants};
use crate::failure::Failure;

/// What was shed comes again after this, where the engine does not say when.
const SHED_WAIT: Duration = Duration::from_millis(20);
/// However long the engine says: a bench is short.
const SHED_WAIT_MAX: Duration = Duration::from_secs(2);
/// Sent later than this after its schedule, a submission is late. Timers have steps of 1 ms.
pub(super) const LATE: Duration = Duration::from_millis(5);
/// Timers have steps of 1 ms, which is as long as a step of an idle engine takes: the rest is waited for awake.
const AWAKE: Duration = Duration::from_millis(2);
/// With less between two submissions, being awake would cost the engine its cores.
const SELDOM: Duration = Duration::from_millis(50);

/// What the tasks of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) variant: Variant,
    pub(super) ledger: RefCell<Ledger>,
    pub(super) target: Target,
    /// Where workers ask.
    pub(super) workers_at: Target,
    queue: String,
    /// Of the keys of this run.
    keys: String,
    fail: f64,
    /// One permit a job that may be opened.
    room: Semaphore,
    closing: Cell<bool>,
    pub(super) leave: CancellationToken,
    started: Instant,
    due_next: Cell<u32>,
    /// Ids of accepted jobs, kept where they are cancelled afterwards.
    pub(super) accepted: RefCell<Vec<String>>,
    keeps_ids: bool,
}

/// What became of a submission.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Taken,
    /// Shed as a whole.
    Shed(Duration),
    /// Items of a batch were shed, by their place.
    ShedItems(Vec<usize>),
}

impl Run {
    /// A run that nobody drives yet.
    pub(super) fn new(
        variant: Variant,
        (target, workers_at): (Target, Target),
        queue: String,
        fail: f64,
        keeps_ids: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            ledger: RefCell::new(Ledger::new(variant.job.steps())),
            room: Semaphore::new(variant.open_max),
            variant,
            target,
            workers_at,
            queue,
            keys: format!("{:032x}", rand::random::<u128>()),
            fail,
            closing: Cell::new(false),
            leave: CancellationToken::new(),
            started: Instant::now(),
            due_next: Cell::new(0),
            accepted: RefCell::default(),
            keeps_ids,
        })
    }

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

    /// Whether the next attempt is to fail.
    pub(super) fn fails(&self) -> bool {
        self.fail > 0.0 && rand::random::<f64>() < self.fail
    }

    /// A job has ended: there is room for another one.
    pub(super) fn ended(&self, jobs: usize) {
        self.room.add_permits(jobs);
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
            let jobs: Vec<u64> = (first..).take(batch).collect();
            self.submit(&mut link, &mut body, jobs, due.is_some()).await?;
        }
    }

    /// Waits until the next request is due, when there is a schedule. The moment it was due.
    pub(super) async fn due(&self, batch: usize) -> Option<Instant> {
        let every = self.variant.every?;
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        let number = self.due_next.get();
        self.due_next.set(number.saturating_add(batch));
        let due = self.started + every * number;
        let awake = if every >= SELDOM { AWAKE } else { Duration::ZERO };
        tokio::select! {
            () = tokio::time::sleep_until(due - awake) => {}
            () = self.leave.cancelled() => {}
        }
        while Instant::now() < due && !self.leave.is_cancelled() {
            tokio::task::yield_now().await;
        }
        Some(due)
    }

    /// Submits jobs that are open in the books. What the engine sheds is sent again, unless it came by schedule or
    /// the run is over: then it is forgotten.
    pub(super) async fn submit(
        &self,
        link: &mut Link,
        body: &mut Vec<u8>,
        mut jobs: Vec<u64>,
        scheduled: bool,
    ) -> Result<(), Failure> {
        loop {
            body.clear();
            match jobs.as_slice() {
                [one] if self.variant.batch == 1 => self.variant.job.write(*one, body),
                many => self.variant.job.write_batch(many, body),
            }
            let began = Instant::now();
            let key = self.key(&jobs);
            let (shed, wait) = match self.send(link, body, key.as_deref()).await? {
                Sent::Taken => return Ok(()),
                Sent::Shed(wait) => (jobs, wait),
                Sent::ShedItems(places) => {
                    (places.iter().filter_map(|at| jobs.get(*at).copied()).collect(), SHED_WAIT)
                }
            };
            if self.forgets(&shed, began, scheduled) {
                return Ok(());
            }
            jobs = shed;
            tokio::time::sleep(wait).await;
        }
    }

    /// Books what was shed. True when it is not sent again.
    fn forgets(&self, shed: &[u64], began: Instant, scheduled: bool) -> bool {
        let mut ledger = self.ledger.borrow_mut();
        ledger.counted().shed += shed.len() as u64;
        ledger.counted().shed_times.record(began.elapsed());
        let forgets = scheduled || self.closing.get();
        if forgets {
            let forgotten = shed.iter().filter(|job| ledger.forget(**job)).count();
            self.ended(forgotten);
        }
        forgets
    }

    /// What these jobs are submitted under, when the shape has keys: nobody else's, and the same when they are sent again.
    fn key(&self, jobs: &[u64]) -> Option<String> {
        let first = self.variant.keyed.then(|| jobs.first())??;
        Some(format!("{}-{first}-{}", self.keys, jobs.len()))
    }

    async fn send(&self, link: &mut Link, body: &[u8], key: Option<&str>) -> Result<Sent, Failure> {
        let many = self.variant.batch > 1;
        let path = if many { "/api/v1/jobs/batch" } else { "/api/v1/jobs" };
        let answer = link.send_under("POST", path, body, key).await?;
        if answer.is_busy() {
            return Ok(Sent::Shed(wait_of(answer.retry_after)));
        }
        if !matches!(answer.status, 200 | 201) {
            return Err(answer.failure("a submission"));
        }
        if many {
            let read: BatchAnswer<'_> = read(answer.body)?;
            let mut shed = Vec::new();
            for (place, result) in read.results.iter().enumerate() {
                match &result.error {
                    None => {}
                    Some(error) if error.is_busy() => shed.push(place),
                    Some(error) => {
                        let cause = format!("a job of a batch was refused: {}", error.shown());
                        return Err(Failure::Failed(cause));
                    }
                }
            }
            if !shed.is_empty() {
                return Ok(Sent::ShedItems(shed));
            }
        } else if self.keeps_ids {
            let job: JobAnswer<'_> = read(answer.body)?;
            self.accepted.borrow_mut().push(job.id.to_owned());
        }
        Ok(Sent::Taken)
    }
}

/// How long to wait before sending again.
pub(super) fn wait_of(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(SHED_WAIT).min(SHED_WAIT_MAX)
}

/// Reads a part of an answer.
pub(super) fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|cause| Failure::Failed(format!("an answer is not understood: {cause}")))
}
