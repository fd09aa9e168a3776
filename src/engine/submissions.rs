//! Jobs coming and going: the part of the handle that makes them, and lets go of those that are over.
//! Always holds: the same submission again gives the first answer again, also after its job has been deleted.

use std::sync::Arc;

use domain::ids::{GroupId, JobId, Millis, SubjectId};
use domain::job::command::{JobCommand, Submission};
use domain::job::summary::JobSnapshot;
use domain::refusal::Refusal;
use domain::subject::answer::{Answer, FirstAnswer};

use crate::engine::core::message::{Caller, Response};
use crate::engine::handle::{Changed, Engine, EngineError, job_request};

/// What a submission came to.
#[derive(Debug, Clone)]
pub enum Made {
    /// The job as it was made.
    Job(Box<JobSnapshot>),
    /// The same, of a job that has been deleted since.
    Deleted(Arc<FirstAnswer>),
}

impl Made {
    /// Which job.
    pub fn id(&self) -> JobId {
        match self {
            Self::Job(job) => job.id,
            Self::Deleted(first) => first.id,
        }
    }
}

impl Engine {
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
        self.made(&subject, self.ask(job_request(&subject, command, caller)).await).await
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
                let tombstone = self.store.read(subject, 1, 1).await?.tombstone;
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
        match self.ask(job_request(subject, command, Caller::engine())).await? {
            Response::Command { answer: Answer::Done { .. }, .. } => Ok(true),
            // Taken up again, or gone already.
            Response::Command { .. } | Response::Refused(_) => Ok(false),
            other @ (Response::Failed(_)
            | Response::Leases(_)
            | Response::Heartbeat { .. }
            | Response::Read(_)
            | Response::Queues { .. }
            | Response::Workers { .. }
            | Response::Inspection(_)) => Err(other.not_asked_for()),
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
        let responses = self.ask_all(requests).await;
        let mut changed = Vec::with_capacity(responses.len());
        for (subject, response) in subjects.iter().zip(responses) {
            changed.push(self.made(subject, response).await);
        }
        changed
    }

    /// The streams of a group, in order, at most `max`.
    ///
    /// # Errors
    /// What keeps the store from answering.
    pub async fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> Result<Vec<SubjectId>, EngineError> {
        Ok(self.store.subjects(group, after, max).await?)
    }
}
