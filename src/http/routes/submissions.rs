//! Submitting jobs, one or many. Everything that needs only the request is done here, before the engine is asked;
//! each job of a batch is accepted or refused by itself.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::job::event::CommandMark;

use crate::engine::submissions::Made;
use crate::http::commands::by_client;
use crate::http::extract::headers::{Caller, IdempotencyKey, entity_tag};
use crate::http::extract::json::{self, ValidJson};
use crate::http::idempotency;
use crate::http::problem::{Code, Problem};
use crate::http::routes::{jobs, json};
use crate::http::schemas::job::{JobBatchBody, JobBody};
use crate::http::schemas::job_answer::{JobAnswer, JobBatchAnswer, JobBatchResult};
use crate::http::state::Api;
use crate::services::job_scheduler::JobRequest;
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
    let request = job_request(&api, &caller, mark, body.value)?;
    let changed = api.scheduler().schedule_job(&caller.namespace, request).await?;
    let id = changed.subject.id();
    let mut response = match changed.subject {
        Made::Job(job) => jobs::as_changed(&api, StatusCode::CREATED, &job).await?,
        Made::Deleted(first) => {
            ([(header::ETAG, entity_tag(1))], json(StatusCode::CREATED, &first.job)).into_response()
        }
    };
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/jobs/{id}")) {
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
    let mut requests: Vec<JobRequest> = Vec::new();
    for (position, text) in body.value.jobs.iter().enumerate() {
        let text = text.get().as_bytes();
        let mark = idempotency::item_mark(MANY, &key, position, text);
        let request =
            json::parse::<JobBody>(text).and_then(|body| job_request(&api, &caller, mark, body));
        match request {
            Ok(request) => {
                requests.push(request);
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem.below(&format!("/jobs/{position}")))),
        }
    }
    // One answer for each submission, in their order; the refused ones stand between them.
    let mut answers = api.scheduler().schedule_jobs(&caller.namespace, requests).await?.into_iter();
    let mut answered = |position: usize| match answers.next() {
        Some(Ok(changed)) => Ok(changed.subject.id().to_string()),
        Some(Err(error)) => Err(Problem::from(error).below(&format!("/jobs/{position}"))),
        None => Err(Problem::new(Code::InternalError, "a submission got no answer")),
    };
    let outcomes: Vec<Result<String, Problem>> = refused
        .into_iter()
        .enumerate()
        .map(|(position, refusal)| refusal.map_or_else(|| answered(position), Err))
        .collect();
    let results = outcomes.iter().map(|outcome| match outcome {
        Ok(id) => JobBatchResult { id: Some(id.clone()), error: None },
        Err(problem) => {
            JobBatchResult { id: None, error: Some(problem.body(Some(&caller.correlation), None)) }
        }
    });
    Ok(json(StatusCode::OK, &JobBatchAnswer { results: results.collect() }))
}

fn job_request(
    api: &Api,
    caller: &Caller,
    mark: Option<CommandMark>,
    body: JobBody,
) -> Result<JobRequest, Problem> {
    let trace = caller.trace.unwrap_or_else(|| {
        let dice = &api.outside().dice;
        TraceContext::mint(dice.next_u64(), dice.next_u64(), dice.next_u64())
    });
    let spec = body.into_spec().map_err(Problem::invalid)?;
    Ok(JobRequest { spec, caller: by_client(caller, mark, None), trace_id: trace.trace_id() })
}
