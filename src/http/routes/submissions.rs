//! Submitting jobs, one or many. Everything that needs only the request is done here, before the engine is asked;
//! each job of a batch is accepted or refused by itself.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, JobId};
use domain::job::check::check;
use domain::job::command::Submission;
use domain::job::plan::CheckedSpec;
use domain::refusal::FieldError;

use crate::engine::core::message::Caller as Asker;
use crate::http::commands::by_client;
use crate::http::extract::headers::{Caller, IdempotencyKey};
use crate::http::extract::json::{self, ValidJson};
use crate::http::extract::pointer::child;
use crate::http::idempotency;
use crate::http::problem::{Code, Problem};
use crate::http::routes::{jobs, json};
use crate::http::schemas::job::{JobBatchBody, JobBody};
use crate::http::schemas::job_answer::{JobAnswer, JobBatchAnswer, JobBatchResult};
use crate::http::state::Api;
use crate::telemetry::correlation::TraceContext;

/// Scopes of Idempotency-Keys.
const ONE: &str = "POST /jobs";
const MANY: &str = "POST /jobs/batch";

/// Submit a job
///
/// The answer leaves when the job is durable. With an Idempotency-Key the job's id follows from the key, and the
/// same request again gives the same answer.
#[utoipa::path(
    post, path = "/api/v1/jobs", tag = "jobs", operation_id = "createJob",
    request_body(content = JobBody, description = "The job", example = json!({
        "name": "nightly build",
        "nodes": [
            {"key": "compile", "action_type": "compile"},
            {"key": "test", "action_type": "test", "depends_on": ["compile"]},
        ],
    })),
    responses((
        status = 201, description = "The job is stored", body = JobAnswer,
        headers(
            ("Location" = String, description = "Where the job is"),
            ("ETag" = String, description = "The job's version"),
        ),
        links(("getJob" = (operation_id = "getJob", parameters(("id" = "$response.body#/id"))))),
    )),
)]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    key: IdempotencyKey,
    body: ValidJson<JobBody>,
) -> Result<Response, Problem> {
    let mark = idempotency::mark(ONE, &key, &body.text);
    let id = mark.as_ref().map(|mark| JobId::from_key(&caller.namespace, mark.id.as_str()));
    let spec = checked(&api, &caller, body.value).await?;
    let submission = submission(&api, &caller, id, spec);
    let changed = api.engine().submit(submission, by_client(&caller, mark, None)).await?;
    let job = changed.subject;
    let mut response = jobs::as_changed(&api, StatusCode::CREATED, &job).await?;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Submit many jobs
///
/// Each is accepted or refused by itself; the answer has a result for each, in their order. Pointers in errors
/// point into the whole body.
#[utoipa::path(
    post, path = "/api/v1/jobs/batch", tag = "jobs", operation_id = "createJobs",
    request_body(content = JobBatchBody, description = "The jobs"),
    responses((status = 200, description = "What became of each", body = JobBatchAnswer<'static>)),
)]
pub async fn create_many(
    State(api): State<Api>,
    caller: Caller,
    key: IdempotencyKey,
    body: ValidJson<JobBatchBody>,
) -> Result<Response, Problem> {
    let mut refused: Vec<Option<Problem>> = Vec::with_capacity(body.value.jobs.len());
    let mut submissions: Vec<(Submission, Asker)> = Vec::new();
    for (position, text) in body.value.jobs.iter().enumerate() {
        let text = text.get().as_bytes();
        let mark = idempotency::item_mark(MANY, &key, position, text);
        let id = mark.as_ref().map(|mark| JobId::from_key(&caller.namespace, mark.id.as_str()));
        let spec = match json::parse::<JobBody>(text) {
            Ok(job) => checked(&api, &caller, job).await,
            Err(problem) => Err(problem),
        };
        match spec {
            Ok(spec) => {
                let submission = submission(&api, &caller, id, spec);
                submissions.push((submission, by_client(&caller, mark, None)));
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem.below(&format!("/jobs/{position}")))),
        }
    }
    // One answer for each submission, in their order; the refused ones stand between them.
    let mut answers = api.engine().submit_all(submissions).await.into_iter();
    let mut answered = || match answers.next() {
        Some(Ok(changed)) => Ok(changed.subject.id.to_string()),
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::new(Code::InternalError, "a submission got no answer")),
    };
    let outcomes: Vec<Result<String, Problem>> =
        refused.into_iter().map(|refusal| refusal.map_or_else(&mut answered, Err)).collect();
    let results = outcomes.iter().map(|outcome| match outcome {
        Ok(id) => JobBatchResult { id: Some(id.clone()), error: None },
        Err(problem) => {
            JobBatchResult { id: None, error: Some(problem.body(Some(&caller.correlation), None)) }
        }
    });
    Ok(json(StatusCode::OK, &JobBatchAnswer { results: results.collect() }))
}

fn submission(api: &Api, caller: &Caller, id: Option<JobId>, spec: CheckedSpec) -> Submission {
    let outside = api.outside();
    let trace = caller.trace.unwrap_or_else(|| {
        let dice = &outside.dice;
        TraceContext::mint(dice.next_u64(), dice.next_u64(), dice.next_u64())
    });
    Submission {
        namespace: caller.namespace.clone(),
        id: id.unwrap_or_else(|| JobId(outside.ids.mint())),
        spec,
        trace_id: trace.trace_id(),
    }
}

async fn checked(api: &Api, caller: &Caller, body: JobBody) -> Result<CheckedSpec, Problem> {
    let spec = body.into_spec().map_err(Problem::invalid)?;
    let spec = check(spec, &api.check_settings()).map_err(Problem::invalid)?;
    let name = spec.environment();
    if *name == EnvironmentName::default_environment() {
        return Ok(spec);
    }
    let environment = api.engine().environment(&caller.namespace, name).await?;
    fits(&spec, environment.as_ref()).map_err(Problem::invalid).map(|()| spec)
}

/// A job that could never be admitted is refused at once. What is in use does not matter: it waits for that.
fn fits(spec: &CheckedSpec, environment: Option<&EnvironmentState>) -> Result<(), Vec<FieldError>> {
    let Some(environment) = environment else {
        let message = format!("there is no environment {}", spec.environment());
        return Err(vec![FieldError::new("/environment", "unknown_environment", message)]);
    };
    let too_much = spec.resources().iter().filter_map(|(name, asked)| {
        let capacity = environment.capacity.get(name).filter(|capacity| asked > *capacity)?;
        let message = format!("the environment has {capacity} in all");
        Some(FieldError::new(child("/resources", name), "exceeds_capacity", message))
    });
    let errors: Vec<FieldError> = too_much.collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
