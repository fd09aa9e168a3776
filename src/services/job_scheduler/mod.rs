//! The service `job_scheduler`: takes submissions, every command to a job and every report on its attempts, says how far
//! jobs are, and supervises what the core does by events: admission, scheduled starts, time-outs, lease expiry, dispatch.
//! Always holds: what the request alone decides is decided before the engine is asked; a tick never does the core's
//! work, it says what was done and when nothing is. Absent: rules (`domain`) and HTTP.

mod repair;
mod submission;
mod ticks;

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{JobId, Namespace};
use domain::job::command::{JobCommand, Report};
use domain::job::summary::JobSnapshot;

use super::lifecycle::{
    CountedOperations, EngineCallError, Need, OperationVerdict, Operations, Service, Ticks,
    correlation_of, judge_error, run_call,
};
use crate::engine::core::message::{Caller, LeaseRequest};
use crate::engine::error::EngineError;
use crate::engine::handle::Engine;
use crate::engine::jobs::{Changed, Made};
use crate::engine::leases::{LeasePoll, ReportOutcome};
use crate::environment::Surroundings;

pub use self::repair::RepairRequest;
use self::submission::CatalogOnce;
pub use self::submission::{JobRequest, SubmissionBounds};

/// How long the driver may take to start.
const DRIVER_START_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct JobScheduler {
    engine: Engine,
    outside: Surroundings,
    operations: Operations,
    reports: Arc<CountedOperations>,
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
        let reports = operations.counted("report_attempts");
        Arc::new(Self { engine, outside, operations, reports, bounds })
    }

    /// Makes a job. The same keyed request again gives the job as it was made.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong, other refusals, and what keeps the engine from answering.
    pub async fn schedule_job(
        &self,
        namespace: &Namespace,
        request: JobRequest,
    ) -> Result<Changed<Made>, EngineCallError> {
        let correlation = correlation_of(&request.caller);
        // A specification is large, and would be moved with every future around this one.
        let work = Box::pin(async {
            let catalog = &mut CatalogOnce::default();
            let (submission, caller) = self.submission(namespace, request, catalog).await?;
            self.engine.jobs().submit(submission, caller).await
        });
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
    ) -> Result<Vec<Result<Changed<Made>, EngineError>>, EngineCallError> {
        let correlation = requests.first().map(|one| correlation_of(&one.caller));
        let work = Box::pin(async {
            let mut answers = Vec::with_capacity(requests.len());
            let (mut submissions, mut places) = (Vec::new(), Vec::new());
            let mut catalog = CatalogOnce::default();
            for (place, request) in requests.into_iter().enumerate() {
                match self.submission(namespace, request, &mut catalog).await {
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
        });
        self.operate("schedule_jobs", correlation.as_deref().unwrap_or_default(), work).await
    }

    /// Sends a command to a job: each that people may send is a kind of operation of its own.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine or this service from answering.
    pub async fn command(
        &self,
        namespace: &Namespace,
        job: JobId,
        command: JobCommand,
        caller: Caller,
    ) -> Result<Changed<JobSnapshot>, EngineCallError> {
        let (kind, correlation) = (kind_of(&command), correlation_of(&caller));
        let jobs = self.engine.jobs();
        let work = jobs.command(namespace, job, command, caller);
        self.operate(kind, &correlation, work).await
    }

    /// Records reports on attempts, an answer each, in order, and asks for the next work in the same breath. Counted
    /// and never refused or cut off: what finishes work comes before everything else.
    pub async fn report_attempts(
        &self,
        namespace: &Namespace,
        reports: Vec<(JobId, Report, Caller)>,
        next: Option<LeaseRequest>,
    ) -> (Vec<ReportOutcome>, Option<LeasePoll>) {
        let leases = self.engine.leases();
        let work = leases.report(namespace, reports, next);
        self.reports.run(|(answers, _)| judge_reports(answers), work).await
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
    ) -> Result<T, EngineCallError> {
        self.operate("get_job_progress", correlation, read).await
    }

    async fn operate<T>(
        &self,
        kind: &'static str,
        correlation: &str,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineCallError> {
        run_call(&self.operations, kind, correlation, work).await
    }
}

/// A batch has worked when each of its reports was answered.
fn judge_reports(answers: &[ReportOutcome]) -> OperationVerdict {
    let judged = answers.iter().map(|answer| match answer {
        ReportOutcome::Recorded | ReportOutcome::Replayed => OperationVerdict::Worked,
        ReportOutcome::Refused(error) => judge_error(error),
    });
    judged.max_by_key(|verdict| *verdict as u8).unwrap_or(OperationVerdict::Worked)
}

/// How GET /services calls a command.
fn kind_of(command: &JobCommand) -> &'static str {
    match command {
        JobCommand::Start => "start_job_execution",
        JobCommand::Pause { .. } => "pause_job",
        JobCommand::Resume { .. } => "resume_job",
        JobCommand::Cancel { .. } => "cancel_job",
        JobCommand::Patch(_) => "change_job",
        JobCommand::PatchNode { .. } => "change_node",
        // These come by ways of their own: submissions, reports, and what the core does by itself.
        JobCommand::Submit(_)
        | JobCommand::TakeGrant { .. }
        | JobCommand::Lease(_)
        | JobCommand::Report(_)
        | JobCommand::ExpireLease { .. }
        | JobCommand::Wake { .. }
        | JobCommand::Evaluated(_)
        | JobCommand::Delete { .. } => "command_job",
    }
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
