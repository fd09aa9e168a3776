//! Jobs that are looked at, folded with their nodes' stories and brought up to date by the tail of their stream; the
//! longest not used go first when they take too much memory.
//! Always holds: what `with` shows is the stream's head at some moment after the call; a stream that cannot be read
//! leaves nothing half folded behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::detail::JobDetail;
use domain::refusal::Refusal;

use super::durations::LearnedDurations;
use crate::engine::error::EngineError;
use crate::engine::handle::Engine;

/// Memory that kept jobs may take, roughly, in bytes: two of the largest jobs, or thousands of usual ones.
const BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Jobs kept at most.
const JOBS_MAX: usize = 2_000;

/// The jobs that are looked at.
#[derive(Debug)]
pub(super) struct Details {
    engine: Engine,
    held: Mutex<DetailCache>,
    pub(super) durations: LearnedDurations,
}

#[derive(Debug, Default)]
struct DetailCache {
    jobs: BTreeMap<SubjectId, CachedDetail>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct CachedDetail {
    detail: Arc<tokio::sync::Mutex<Option<JobDetail>>>,
    used: u64,
    bytes: usize,
}

impl Details {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, held: Mutex::default(), durations: LearnedDurations::default() }
    }

    /// Looks at a job as it is now.
    ///
    /// # Errors
    /// `JobNotFound`, `JobDeleted`, and what keeps the store from answering.
    pub(super) async fn with<T>(
        &self,
        namespace: &Namespace,
        job: JobId,
        look: impl FnOnce(&JobDetail) -> T + Send,
    ) -> Result<T, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        let shared = self.entry(&subject);
        let mut detail = shared.lock().await;
        let deleted = match self.catch_up(&subject, &mut detail).await {
            Ok(deleted) => deleted,
            Err(error) => {
                *detail = None;
                self.forget(&subject);
                return Err(error);
            }
        };
        let Some(known) = detail.as_ref().filter(|_| !deleted) else {
            self.forget(&subject);
            let refusal = if deleted { Refusal::JobDeleted } else { Refusal::JobNotFound };
            return Err(refusal.into());
        };
        self.weigh(&subject, known.bytes());
        Ok(look(known))
    }

    /// Reads the stream's tail, a bounded part at a time. Answers whether the job is deleted.
    async fn catch_up(
        &self,
        subject: &SubjectId,
        detail: &mut Option<JobDetail>,
    ) -> Result<bool, EngineError> {
        loop {
            let (after, chain) = detail.as_ref().map_or_else(
                || (0, domain::history::genesis(subject)),
                |known| (known.seq(), known.chain),
            );
            let mut fits = true;
            let mut measured = Vec::new();
            let end = self
                .engine
                .streams()
                .fold_part(subject, after, chain, |seq, line, event, chain| {
                    let Some(event) = event.job() else {
                        fits = false;
                        return;
                    };
                    match detail.as_mut() {
                        Some(known) => {
                            let taken = known.apply(event, line.len(), chain);
                            measured.extend(taken.map(|taken| (seq, taken)));
                        }
                        None if seq == 1 => *detail = JobDetail::create(event, line.len(), chain),
                        None => fits = false,
                    }
                })
                .await?;
            if !fits {
                return Err(EngineError::Damaged("its events do not make a job".to_owned()));
            }
            self.durations.learn(subject, end.seq, measured);
            if end.deleted {
                *detail = None;
            }
            if let Some(known) = detail {
                known.mark();
            }
            if end.complete || end.deleted {
                let job = detail.as_ref().map(|known| &known.state);
                return Ok(end.deleted || job.is_some_and(|job| job.head.deleted));
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, DetailCache> {
        // Each change under the lock is whole before anything can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, subject: &SubjectId) -> Arc<tokio::sync::Mutex<Option<JobDetail>>> {
        let mut held = self.held();
        held.uses += 1;
        let used = held.uses;
        let entry = held.jobs.entry(subject.clone()).or_default();
        entry.used = used;
        Arc::clone(&entry.detail)
    }

    fn forget(&self, subject: &SubjectId) {
        let mut held = self.held();
        if let Some(entry) = held.jobs.remove(subject) {
            held.bytes -= entry.bytes;
        }
    }

    /// Notes how much memory a job takes, and makes room.
    fn weigh(&self, subject: &SubjectId, bytes: usize) {
        let mut held = self.held();
        let Some(entry) = held.jobs.get_mut(subject) else { return };
        let before = std::mem::replace(&mut entry.bytes, bytes);
        held.bytes = held.bytes - before + bytes;
        while (held.bytes > BYTES_MAX || held.jobs.len() > JOBS_MAX) && held.jobs.len() > 1 {
            let oldest =
                held.jobs.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| id.clone());
            let Some(gone) = oldest.and_then(|id| held.jobs.remove(&id)) else { break };
            held.bytes -= gone.bytes;
        }
    }
}
