//! The service `job_scheduler`: takes submissions, starts jobs, says how far they are, and supervises what the core
//! does by events: admission, scheduled starts, time-outs, lease expiry, dispatch.
//! Always holds: what the request alone decides is decided before the engine is asked; a tick never does the core's
//! work, it says what was done and when nothing is. Absent: rules (`domain`) and HTTP.

mod submission;
mod ticks;

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{JobId, Namespace};
use domain::job::command::JobCommand;
use domain::job::summary::JobSnapshot;

use super::lifecycle::{Need, OperationError, OperationVerdict, Operations, Service, Ticks};
use crate::engine::core::message::Caller;
use crate::engine::error::EngineError;
use crate::engine::handle::Engine;
use crate::engine::jobs::Changed;
use crate::engine::jobs::Made;
use crate::environment::Surroundings;

pub use self::submission::{JobRequest, SubmissionBounds};

/// How long the driver may take to start.
const DRIVER_START_MAX: Duration = Duration::from_secs(30);

/// Why the scheduler gave no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchedulerError {
    /// The engine said no, or could not say.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The service has too much to do, is stopped by its breaker, or took too long.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

#[derive(Debug)]
pub struct JobScheduler {
    engine: Engine,
    outside: Surroundings,
    operations: Operations,
    bounds: SubmissionBounds,
}

impl JobScheduler {
    /// Over this engine.
    pub fn new(
        engine: Engine,
        outside: Surroundings,
        operations: Operations,
        bounds: SubmissionBounds,
    ) -> Arc<Self> {
        Arc::new(Self { engine, outside, operations, bounds })
    }

    /// Makes a job. The same keyed request again gives the job as it was made.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong, other refusals, and what keeps the engine from answering.
    pub async fn schedule_job(
        &self,
        namespace: &Namespace,
        request: JobRequest,
    ) -> Result<Changed<Made>, SchedulerError> {
        let correlation = correlation_of(&request.caller);
        let work = async {
            let (submission, caller) = self.submission(namespace, request).await?;
            self.engine.jobs().submit(submission, caller).await
        };
        self.operate("schedule_job", &correlation, work).await
    }

    /// Makes many jobs, an answer each, in order; one that is refused keeps no other from being made.
    ///
    /// # Errors
    /// Only what keeps the whole batch from being answered.
    pub async fn schedule_jobs(
        &self,
        namespace: &Namespace,
        requests: Vec<JobRequest>,
    ) -> Result<Vec<Result<Changed<Made>, EngineError>>, SchedulerError> {
        let correlation = requests.first().map(|one| correlation_of(&one.caller));
        let work = async {
            let mut answers = Vec::with_capacity(requests.len());
            let (mut submissions, mut places) = (Vec::new(), Vec::new());
            for (place, request) in requests.into_iter().enumerate() {
                match self.submission(namespace, request).await {
                    Ok(submission) => {
                        submissions.push(submission);
                        places.push(place);
                        answers.push(Err(EngineError::OutcomeUnknown));
                    }
                    Err(error) => answers.push(Err(error)),
                }
            }
            let made = self.engine.jobs().submit_all(submissions).await;
            for (place, answer) in places.into_iter().zip(made) {
                answers[place] = answer;
            }
            Ok(answers)
        };
        self.operate("schedule_jobs", correlation.as_deref().unwrap_or_default(), work).await
    }

    /// Lets a pending job start.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn start_job_execution(
        &self,
        namespace: &Namespace,
        job: JobId,
        caller: Caller,
    ) -> Result<Changed<JobSnapshot>, SchedulerError> {
        let correlation = correlation_of(&caller);
        let jobs = self.engine.jobs();
        let work = jobs.command(namespace, job, JobCommand::Start, caller);
        self.operate("start_job_execution", &correlation, work).await
    }

    /// How far a job is. The reading is given, because one service names no other part; here it is bounded and
    /// tracked.
    ///
    /// # Errors
    /// What `read` says, and what keeps the service from running it.
    pub async fn get_job_progress<T>(
        &self,
        correlation: &str,
        read: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, SchedulerError> {
        self.operate("get_job_progress", correlation, read).await
    }

    async fn operate<T>(
        &self,
        kind: &'static str,
        correlation: &str,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, SchedulerError> {
        Ok(self.operations.run(kind, correlation, judge, work).await??)
    }
}

/// A refusal by the rules, or because a bound is reached, is work done, and one damaged job says nothing about others:
/// only a store that does not answer makes this service fail.
fn judge<T>(answer: &Result<T, EngineError>) -> OperationVerdict {
    match answer {
        Err(
            EngineError::OutcomeUnknown | EngineError::Unavailable | EngineError::Unexpected(_),
        ) => OperationVerdict::Failed,
        Ok(_)
        | Err(
            EngineError::Refused(_)
            | EngineError::Full
            | EngineError::Overloaded
            | EngineError::ViewBehind
            | EngineError::Damaged(_)
            | EngineError::Stopping,
        ) => OperationVerdict::Worked,
    }
}

fn correlation_of(caller: &Caller) -> String {
    caller.correlation.as_ref().map(ToString::to_string).unwrap_or_default()
}

impl Service for JobScheduler {
    fn name(&self) -> &'static str {
        "job_scheduler"
    }

    fn needs(&self) -> Vec<Need> {
        vec![
            Need::required("driver", DRIVER_START_MAX),
            Need::optional("view_writer", DRIVER_START_MAX).lazy(),
        ]
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        ticks::all(&self.engine)
    }

    fn operations(&self) -> Option<Operations> {
        Some(self.operations.clone())
    }
}
