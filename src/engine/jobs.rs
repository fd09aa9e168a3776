//! Jobs, as whoever makes and changes them sees the engine.
//! Always holds: an answer to a change leaves only after its append; the same submission again gives the first answer
//! again, also after its job has been deleted.

use std::sync::Arc;

use domain::ids::{JobId, Millis, Namespace, SubjectId};
use domain::job::command::{JobCommand, Submission};
use domain::job::state::JobState;
use domain::job::summary::JobSnapshot;
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::answer::FirstAnswer;

use crate::engine::core::kinds::InTable;
use crate::engine::core::message::{Caller, Request, Response};
use crate::engine::error::EngineError;
use crate::engine::loader;
use crate::engine::shared::Shared;
use crate::engine::watch::Watch;

/// What a command came to, with the subject as it was right after the command, also when it is asked again.
#[derive(Debug, Clone)]
pub struct Changed<T> {
    /// The subject right after the command.
    pub subject: T,
    /// The command was answered before.
    pub replayed: bool,
}

/// What a submission came to.
#[derive(Debug, Clone)]
pub enum Made {
    /// The job as it was made.
    Job(Box<JobSnapshot>),
    /// The same, of a job that has been deleted since.
    Deleted(Arc<FirstAnswer>),
}

impl Made {
    pub fn id(&self) -> JobId {
        match self {
            Self::Job(job) => job.id,
            Self::Deleted(first) => first.id,
        }
    }
}

/// The jobs of an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs(pub(super) Arc<Shared>);

impl Jobs {
    /// Makes a job. The same submission again gives the job as it was made.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn submit(
        &self,
        submission: Submission,
        caller: Caller,
    ) -> Result<Changed<Made>, EngineError> {
        let subject = SubjectId::job(submission.namespace.clone(), submission.id);
        let command = JobCommand::Submit(Arc::new(submission));
        self.made(&subject, self.0.ask(job_request(&subject, command, caller)).await).await
    }

    async fn made(
        &self,
        subject: &SubjectId,
        response: Result<Response, EngineError>,
    ) -> Result<Changed<Made>, EngineError> {
        if let Ok(Response::Command { answer: Answer::AsFirst(first), .. }) = response {
            return Ok(Changed { subject: Made::Deleted(first), replayed: true });
        }
        match self.changed_job(subject, response).await {
            Ok(changed) => {
                let job = Made::Job(Box::new(changed.subject));
                Ok(Changed { subject: job, replayed: changed.replayed })
            }
            // Its stream went between the answer and the look.
            Err(EngineError::Refused(Refusal::JobDeleted)) => {
                let tombstone = self.0.store.read(subject, 1, 1).await?.tombstone;
                let first = tombstone.and_then(|t| serde_json::from_slice(&t.first_answer).ok());
                let first = first.ok_or(EngineError::Refused(Refusal::JobDeleted))?;
                Ok(Changed { subject: Made::Deleted(Arc::new(first)), replayed: true })
            }
            Err(error) => Err(error),
        }
    }

    /// Lets go of a job that is over and has not changed since then. Answers whether it is deleted by that.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn delete(
        &self,
        subject: &SubjectId,
        unchanged_since: Millis,
    ) -> Result<bool, EngineError> {
        let command = JobCommand::Delete { unchanged_since };
        let response = self.0.ask(job_request(subject, command, Caller::engine())).await?;
        if let Response::Command { answer, .. } = response {
            return Ok(matches!(answer, Answer::Done { .. }));
        }
        // Taken up again, or gone already.
        if matches!(response, Response::Refused(_)) {
            Ok(false)
        } else {
            Err(response.not_asked_for())
        }
    }

    /// Makes many jobs; an answer each, in order.
    pub async fn submit_all(
        &self,
        submissions: Vec<(Submission, Caller)>,
    ) -> Vec<Result<Changed<Made>, EngineError>> {
        let mut subjects = Vec::with_capacity(submissions.len());
        let mut requests = Vec::with_capacity(submissions.len());
        for (submission, caller) in submissions {
            let subject = SubjectId::job(submission.namespace.clone(), submission.id);
            requests.push(job_request(&subject, JobCommand::Submit(Arc::new(submission)), caller));
            subjects.push(subject);
        }
        let responses = self.0.ask_all(requests).await;
        let mut changed = Vec::with_capacity(responses.len());
        for (subject, response) in subjects.iter().zip(responses) {
            changed.push(self.made(subject, response).await);
        }
        changed
    }

    /// Changes a job: start, pause, resume, cancel, patch.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn command(
        &self,
        namespace: &Namespace,
        job: JobId,
        command: JobCommand,
        caller: Caller,
    ) -> Result<Changed<JobSnapshot>, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        self.changed_job(&subject, Ok(self.0.ask(job_request(&subject, command, caller)).await?))
            .await
    }

    async fn changed_job(
        &self,
        subject: &SubjectId,
        response: Result<Response, EngineError>,
    ) -> Result<Changed<JobSnapshot>, EngineError> {
        let response = response?;
        if let Response::Command { answer: Answer::Replayed { seq }, .. } = response {
            let first = loader::load_at(self.0.store.as_ref(), subject, seq).await?;
            let first = first.ok_or(Refusal::JobDeleted)?;
            let job = first.job().ok_or(Refusal::JobNotFound)?;
            return Ok(Changed { subject: JobSnapshot::of(job), replayed: true });
        }
        match response.into_shown::<JobState>() {
            Ok(job) => Ok(Changed { subject: job, replayed: false }),
            Err(Response::Failed(failure)) => Err(self.0.of_failure(failure)),
            Err(response) => Err(response.not_asked_for()),
        }
    }

    /// One job as its driver has it.
    ///
    /// # Errors
    /// `JobNotFound`, and what keeps the engine from answering.
    pub async fn job(&self, namespace: &Namespace, job: JobId) -> Result<JobSnapshot, EngineError> {
        let subject = SubjectId::job(namespace.clone(), job);
        let shown = self.0.ask(Request::Read { subject }).await?.into_read()?;
        Ok(shown.and_then(JobState::from_shown).ok_or(Refusal::JobNotFound)?)
    }

    /// Watches a job for what this engine appends to it or reads of it. What another engine appends, whose group is driven
    /// there, is not heard of here.
    pub fn watch(&self, subject: &SubjectId) -> Watch {
        self.0.watchers.watch(subject)
    }
}

/// A command to a job, as the core is asked.
pub(super) fn job_request(subject: &SubjectId, command: JobCommand, caller: Caller) -> Request {
    Request::Command { subject: subject.clone(), command: command.into(), caller }
}
