//! From what a caller asks to a checked submission with its identity: bounds, graph and environment, before the
//! engine is asked.

use std::sync::Arc;
use std::time::Duration;

use domain::bounds::Bounds;
use domain::catalog::state::CatalogState;
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, JobId, Namespace};
use domain::job::check::{CheckSettings, check_with};
use domain::job::command::Submission;
use domain::job::plan::CheckedSpec;
use domain::job::spec::JobSpec;
use domain::refusal::{FieldError, Refusal};
use domain::retry::named::NamedPolicies;

use super::JobScheduler;
use crate::engine::core::message::Caller;
use crate::engine::error::EngineError;

/// A job as asked for, with who asks.
#[derive(Debug)]
pub struct JobRequest {
    pub spec: JobSpec,
    /// Who; its mark, when it has one, makes the request one that can come again, and gives the job its id.
    pub caller: Caller,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
}

/// What bounds submissions.
#[derive(Debug, Clone)]
pub struct SubmissionBounds {
    /// Of jobs and payloads.
    pub bounds: Bounds,
    /// Of a node that says none itself.
    pub queue_timeout: Option<Duration>,
}

/// The catalog as it is after a request came, read for the first of its jobs that names something in it.
#[derive(Debug, Default)]
pub(super) struct CatalogOnce {
    is_read: bool,
    catalog: Option<Arc<CatalogState>>,
}

impl JobScheduler {
    pub(super) fn check_settings(&self) -> CheckSettings {
        let timeout = self.bounds.queue_timeout;
        CheckSettings {
            bounds: self.bounds.bounds.clone(),
            queue_timeout_ms: timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            now: self.outside.clock.now_ms(),
        }
    }

    pub(super) async fn submission(
        &self,
        namespace: &Namespace,
        request: JobRequest,
        catalog: &mut CatalogOnce,
    ) -> Result<(Submission, Caller), EngineError> {
        let settings = self.check_settings();
        let mark = request.caller.mark.as_ref().filter(|mark| mark.keyed);
        let keyed = mark.map(|mark| JobId::from_key(namespace, mark.id.as_str()));
        let mut named = self.named_policies(namespace, &request.spec, catalog).await?;
        // What was answered before is answered again, whatever became of policy and environment.
        if named.lacks_some() && self.was_answered(namespace, keyed).await {
            named = named.lenient();
        }
        let spec = check_with(request.spec, &settings, &named).map_err(Refusal::Invalid)?;
        if let Err(errors) = self.environment_fits(namespace, &spec).await?
            && !self.was_answered(namespace, keyed).await
        {
            return Err(Refusal::Invalid(errors).into());
        }
        let id = keyed.unwrap_or_else(|| JobId(self.outside.ids.mint()));
        let namespace = namespace.clone();
        Ok((Submission { namespace, id, spec, trace_id: request.trace_id }, request.caller))
    }

    /// Whether there is, or was, a job of this key.
    async fn was_answered(&self, namespace: &Namespace, keyed: Option<JobId>) -> bool {
        let Some(id) = keyed else { return false };
        let known = self.engine.jobs().job(namespace, id).await;
        matches!(known, Ok(_) | Err(EngineError::Refused(Refusal::JobDeleted)))
    }

    /// What the policies that a job names are now, at whichever engine they were made.
    async fn named_policies(
        &self,
        namespace: &Namespace,
        spec: &JobSpec,
        catalog: &mut CatalogOnce,
    ) -> Result<NamedPolicies, EngineError> {
        let references = spec.policy_references();
        let job_type = spec.job_type.as_deref().filter(|_| spec.retry.is_none());
        if references.is_empty() {
            // What matches by its type is not named: a look of the last second will do.
            let Some(job_type) = job_type else { return Ok(NamedPolicies::default()) };
            let recent = self.engine.catalogs().recent(namespace).await?;
            let found = recent.and_then(|catalog| catalog.applicable(job_type));
            return Ok(NamedPolicies::default().or_by_job_type(found));
        }
        if !catalog.is_read {
            catalog.catalog = self.engine.catalogs().now(namespace).await?;
            catalog.is_read = true;
        }
        let known = catalog.catalog.as_ref();
        let find = |text: &str| known.and_then(|catalog| catalog.named(text));
        let by_type = job_type.and_then(|job_type| known?.applicable(job_type));
        Ok(NamedPolicies::of(&references, find).or_by_job_type(by_type))
    }

    /// A job that could never be admitted is refused at once; what is in use does not matter, it waits for that.
    async fn environment_fits(
        &self,
        namespace: &Namespace,
        spec: &CheckedSpec,
    ) -> Result<Result<(), Vec<FieldError>>, EngineError> {
        let name = spec.environment();
        if *name == EnvironmentName::default_environment() {
            return Ok(Ok(()));
        }
        let environment = self.engine.environments().get(namespace, name).await?;
        Ok(fits(spec, environment.as_ref()))
    }
}

fn fits(spec: &CheckedSpec, environment: Option<&EnvironmentState>) -> Result<(), Vec<FieldError>> {
    let Some(environment) = environment else {
        let message = format!("there is no environment {}", spec.environment());
        return Err(vec![FieldError::new("/environment", "unknown_environment", message)]);
    };
    let too_much = spec.resources().iter().filter_map(|(name, asked)| {
        let capacity = environment.capacity.get(name).filter(|capacity| asked > *capacity)?;
        let pointer = format!("/resources/{}", name.replace('~', "~0").replace('/', "~1"));
        let message = format!("the environment has {capacity} in all");
        Some(FieldError::new(pointer, "exceeds_capacity", message))
    });
    let errors: Vec<FieldError> = too_much.collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
