//! Letting go of jobs that are over: by age, and by count, the longest unchanged first. A pass walks through the
//! streams of the groups that this engine drives, a page a step, looks each up in the view, and asks those that seem old
//! enough to go; a job that was taken up again refuses.
//! Always holds: a pass costs as much memory for a million jobs as for ten thousand; whole jobs go, never parts.
//! Absent: a list of finished jobs. Nothing has to be kept right for the sake of letting go.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ids::{GroupId, Millis, SubjectId};
use domain::job::status::JobStatus;

use crate::engine::error::EngineError;
use crate::engine::handle::Engine;
use crate::services::lifecycle::{Tick, TickReport};
use crate::telemetry::metrics::{FINISHED_JOBS, JOBS_DELETED};
use crate::view::contract::{Columns, Document};

/// Streams looked up in one step: 200 every 100 ms are a few per cent of a core while a pass goes on.
const LOOKED_MAX: usize = 200;
/// Of them at once: one by one the way to the view and back costs several times the look itself, and all together
/// would keep other readers waiting.
const LOOKED_TOGETHER_MAX: usize = 50;
/// Jobs asked to go in one step.
const ASKED_MAX: usize = 100;
/// The oldest jobs that a pass remembers, so that those too many can be let go of at its end.
const OLDEST_MAX: usize = 10_000;
/// Between two steps of a pass, milliseconds.
const STEP_MS: Millis = 100;
/// A machine may have been suspended for so long, milliseconds; a clock that stepped further is not believed by what
/// deletes: whoever set it wrong would lose what is not old.
const STEPPED_MAX_MS: Millis = 24 * 3_600_000;
/// After a pass that had no group to walk through: this engine may get its share any moment.
const NO_GROUP_MS: Millis = 60_000;

/// What of jobs that are over is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// For so long after their last change; none: for ever.
    pub age: Option<Duration>,
    /// So many; none: any number.
    pub jobs: Option<u64>,
    /// Between two passes.
    pub every: Duration,
    /// The clock is believed however far it steps.
    pub any_clock: bool,
}

/// The tick `retention`.
#[derive(Debug)]
pub struct Retention {
    engine: Engine,
    keep: Keep,
    pass: Mutex<Pass>,
    /// The last pass had groups to walk through.
    had_groups: AtomicBool,
}

/// Where a pass is.
#[derive(Debug, Default)]
struct Pass {
    group: u8,
    /// Groups walked through; the others are walked through by who drives them.
    walked: u8,
    after: Option<SubjectId>,
    finished: u64,
    /// By when they changed last.
    oldest: BTreeSet<(Millis, SubjectId)>,
    /// Too many, to be asked; the walk is over then.
    too_many: Vec<(Millis, SubjectId)>,
}

impl Retention {
    /// Of this engine's jobs.
    pub fn new(engine: Engine, keep: Keep) -> Self {
        Self { engine, keep, pass: Mutex::default(), had_groups: AtomicBool::new(true) }
    }

    /// One step. Answers how many jobs it let go of, and whether the pass is over.
    ///
    /// # Errors
    /// What keeps store or engine from answering; the pass begins again then.
    pub async fn step(&self, now: Millis) -> Result<(u64, bool), EngineError> {
        let now = now.saturating_sub(self.not_believed());
        let mut pass =
            std::mem::take(&mut *self.pass.lock().unwrap_or_else(PoisonError::into_inner));
        let (gone, over) = if pass.too_many.is_empty() {
            self.walk(&mut pass, now).await?
        } else {
            self.remove_excess(&mut pass).await?
        };
        if over {
            self.had_groups.store(pass.walked > 0, Ordering::Relaxed);
            metrics::gauge!(FINISHED_JOBS).set(as_gauge(pass.finished));
            return Ok((gone, over));
        }
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = pass;
        Ok((gone, over))
    }

    /// Of the time that the clock stepped over while this engine served.
    fn not_believed(&self) -> Millis {
        let stepped = self.engine.cluster().clock_stepped();
        if self.keep.any_clock || stepped <= STEPPED_MAX_MS { 0 } else { stepped }
    }

    async fn walk(&self, pass: &mut Pass, now: Millis) -> Result<(u64, bool), EngineError> {
        let driven = self.engine.cluster().driven();
        let mut to_come = GroupId::all().skip(usize::from(pass.group));
        let Some(group) = to_come.find(|group| driven.contains(group)) else {
            return Ok((0, self.count_too_many(pass)));
        };
        if group.index() != pass.group {
            // That of a group that has changed hands meanwhile is nothing to go on from.
            (pass.group, pass.after) = (group.index(), None);
        }
        let found = self.engine.streams().subjects(group, pass.after.clone(), LOOKED_MAX).await?;
        let (mut gone, mut asked, mut looked) = (0, 0, 0);
        for together in found.chunks(LOOKED_TOGETHER_MAX) {
            if asked == ASKED_MAX {
                break;
            }
            let finished = self.finished(together).await?;
            for (subject, finished) in together.iter().zip(finished) {
                if asked == ASKED_MAX {
                    break;
                }
                looked += 1;
                let Some(changed_at) = finished else { continue };
                let too_old = self.keep.age.map(|age| now.saturating_sub(millis(age)));
                if too_old.is_some_and(|at| changed_at <= at) {
                    asked += 1;
                    if self.engine.jobs().delete(subject, changed_at).await? {
                        gone += 1;
                        continue;
                    }
                }
                self.count(pass, changed_at, subject);
            }
        }
        metrics::counter!(JOBS_DELETED, "reason" => "age").increment(gone);
        if looked == found.len() && found.len() < LOOKED_MAX {
            pass.group += 1;
            pass.walked += 1;
            pass.after = None;
        } else {
            pass.after = found.get(looked.saturating_sub(1)).cloned();
        }
        Ok((gone, false))
    }

    /// A job that is over and stays, for now.
    fn count(&self, pass: &mut Pass, changed_at: Millis, subject: &SubjectId) {
        pass.finished += 1;
        if self.keep.jobs.is_some() {
            pass.oldest.insert((changed_at, subject.clone()));
            if pass.oldest.len() > OLDEST_MAX {
                pass.oldest.pop_last();
            }
        }
    }

    /// The walk is over. Answers whether the pass is.
    fn count_too_many(&self, pass: &mut Pass) -> bool {
        let most = self.keep.jobs.map_or(u64::MAX, |jobs| share(jobs, pass.walked));
        let beyond = usize::try_from(pass.finished.saturating_sub(most)).unwrap_or(usize::MAX);
        // The oldest last, so that they are taken from the end.
        pass.too_many = std::mem::take(&mut pass.oldest).into_iter().take(beyond).rev().collect();
        pass.too_many.is_empty()
    }

    async fn remove_excess(&self, pass: &mut Pass) -> Result<(u64, bool), EngineError> {
        let mut gone = 0;
        for _ in 0..ASKED_MAX {
            let Some((changed_at, subject)) = pass.too_many.last() else { break };
            gone += u64::from(self.engine.jobs().delete(subject, *changed_at).await?);
            pass.too_many.pop();
        }
        pass.finished = pass.finished.saturating_sub(gone);
        metrics::counter!(JOBS_DELETED, "reason" => "count").increment(gone);
        Ok((gone, pass.too_many.is_empty()))
    }

    /// When each of these changed last, as the view has it; none for what is not a job that is over.
    async fn finished(&self, subjects: &[SubjectId]) -> Result<Vec<Option<Millis>>, EngineError> {
        let documents = self.engine.views().documents().documents(subjects).await;
        let documents = documents.map_err(|_| EngineError::Unavailable)?;
        Ok(documents.into_iter().map(|document| changed_at(&document?)).collect())
    }
}

fn changed_at(document: &Document) -> Option<Millis> {
    match &document.columns {
        Columns::Job(job) if JobStatus::parse(job.status)?.is_over() => Some(job.updated_at),
        Columns::Job(_) | Columns::Named { .. } | Columns::Deleted { .. } => None,
    }
}

impl Tick for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        if self.keep.age.is_none() && self.keep.jobs.is_none() {
            return TickReport::idle();
        }
        match self.step(now).await {
            Ok((gone, over)) => {
                let had_groups = self.had_groups.load(Ordering::Relaxed);
                let wait = match (over, millis(self.keep.every)) {
                    (false, _) => STEP_MS,
                    (true, every) if had_groups => every,
                    (true, every) => every.min(NO_GROUP_MS),
                };
                TickReport::did(gone, Some(now.saturating_add(wait)))
            }
            Err(error) => TickReport::failed(error),
        }
    }
}

/// Of what all engines keep together, that of so many groups: jobs are spread evenly over them.
fn share(jobs: u64, groups: u8) -> u64 {
    let all = u128::from(domain::bounds::GROUPS).max(1);
    let own = (u128::from(jobs) * u128::from(groups)).div_ceil(all);
    u64::try_from(own).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}
