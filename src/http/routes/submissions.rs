//! Submitting jobs, one or many. Everything that needs only the request is done here, before the engine is asked;
//! each job of a batch is accepted or refused by itself.

use std::iter::Enumerate;
use std::vec::IntoIter;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::subject::envelope::CommandMark;
use serde_json::value::RawValue;

use crate::engine::jobs::Made;
use crate::http::commands::by_client;
use crate::http::extract::bounded;
use crate::http::extract::headers::{ApiCaller, IdempotencyKey};
use crate::http::extract::json::{self, ValidJson};
use crate::http::extract::query::Query;
use crate::http::idempotency;
use crate::http::parked::park;
use crate::http::problem::{Code, Problem};
use crate::http::routes::waiting::{WaitParameters, WaitRequest};
use crate::http::routes::{jobs, json, located, versioned};
use crate::http::schemas::job::{JobBatchBody, JobBody};
use crate::http::schemas::job_answer::{JobBatchAnswer, JobBatchResult};
use crate::http::state::Api;
use crate::services::job_scheduler::JobRequest;
use crate::telemetry::correlation::TraceContext;
use crate::view::resources::job::JobResource;

/// Scopes of Idempotency-Keys.
const ONE: &str = "POST /jobs";
const MANY: &str = "POST /jobs/batch";

/// Submit a job
///
/// The answer leaves when the job is durable. With an Idempotency-Key the job's id follows from the key, and the
/// same request again gives the same answer. With `wait_ms` the answer leaves when the job is as `until` says, or when
/// the time is over, and has the job as it is then.
#[utoipa::path(
    post, path = "/api/v1/jobs", tag = "jobs", operation_id = "createJob",
    params(WaitParameters),
    request_body(content = JobBody, description = "The job", example = json!({
        "name": "nightly build",
        "nodes": [
            {"key": "compile", "action_type": "compile"},
            {"key": "test", "action_type": "test", "depends_on": ["compile"]},
        ],
    })),
    responses((
        status = 201, description = "The job is stored", body = JobResource,
        headers(
            ("Location" = String, description = "Where the job is"),
            ("ETag" = String, description = "The job's version"),
        ),
        links(("getJob" = (operation_id = "getJob", parameters(("id" = "$response.body#/id"))))),
    )),
)]
pub async fn create(
    State(api): State<Api>,
    caller: ApiCaller,
    key: IdempotencyKey,
    mut query: Query,
    body: ValidJson<JobBody>,
) -> Result<Response, Problem> {
    let wait = WaitRequest::read(&mut query, &api);
    query.finish()?;
    // Before anything is stored: who finds no place to wait in has submitted nothing.
    let place = wait.map(|_| WaitRequest::place(&api, &caller)).transpose()?;
    let mark = idempotency::mark(ONE, &key, &body.text);
    let request = job_request(&api, &caller, mark, body.value)?;
    let changed = api.scheduler().schedule_job(&caller.namespace, request).await?;
    let id = changed.subject.id();
    let path = format!("/api/v1/jobs/{id}");
    match (changed.subject, wait) {
        (Made::Job(job), None) => {
            Ok(located(jobs::as_changed(&api, StatusCode::CREATED, &job).await?, path))
        }
        (Made::Job(_), Some(wait)) => Ok(park(async move {
            let job = wait.job(&api, &caller.namespace, id).await?;
            drop(place);
            Ok(located(jobs::as_changed(&api, StatusCode::CREATED, &job).await?, path))
        })),
        (Made::Deleted(first), _) => {
            Ok(located(versioned(StatusCode::CREATED, 1, &first.job), path))
        }
    }
}

/// Submit many jobs
///
/// Each is accepted or refused by itself; the answer has a result for each, in their order. Pointers in errors
/// point into the whole body.
#[utoipa::path(
    post, path = "/api/v1/jobs/batch", tag = "jobs", operation_id = "createJobs",
    request_body(content = JobBatchBody, description = "The jobs", example = json!({
        "jobs": [{"name": "order-17", "nodes": [{"key": "charge", "queue": "shop", "input": {"cents": 4200}}]}],
    })),
    responses((status = 200, description = "What became of each", body = JobBatchAnswer<'static>)),
)]
pub async fn create_many(
    State(api): State<Api>,
    caller: ApiCaller,
    key: IdempotencyKey,
    body: ValidJson<JobBatchBody>,
) -> Result<Response, Problem> {
    let (bytes, jobs) = (body.text.len(), body.value.jobs.0);
    let count = jobs.len();
    let mut left = jobs.into_iter().enumerate();
    let mut outcomes: Vec<Result<String, Problem>> = Vec::with_capacity(count);
    while left.len() > 0 {
        let (reader, key) = ((api.clone(), caller.clone()), key.clone());
        let read = move || BatchPart::read(&reader.0, &reader.1, &key, left);
        let done = match api.parsers().run(bytes, read).await {
            Ok((part, rest)) => {
                left = rest;
                part.schedule(&api, &caller, &mut outcomes).await
            }
            Err(problem) => {
                left = Vec::new().into_iter().enumerate();
                Err(problem)
            }
        };
        match done {
            Ok(()) => {}
            Err(problem) if outcomes.is_empty() => return Err(problem),
            // What was made is made, and its answer is not lost with the others'.
            Err(problem) => {
                outcomes.resize_with(count, || Err(problem.clone()));
                break;
            }
        }
    }
    let results = outcomes.iter().map(|outcome| match outcome {
        Ok(id) => JobBatchResult { id: Some(id.clone()), error: None },
        Err(problem) => {
            JobBatchResult { id: None, error: Some(problem.body(Some(&caller.correlation), None)) }
        }
    });
    Ok(json(StatusCode::OK, &JobBatchAnswer { results: results.collect() }))
}

/// Jobs of a batch that are read and made together: whole batches of small nodes would take a hundred times their bytes
/// while they wait for one another.
struct BatchPart {
    /// Of each job of the part in order: where it stands, and why it is not asked for.
    jobs: Vec<(usize, Option<Problem>)>,
    /// What to ask of the engine for those that are asked for.
    requests: Vec<JobRequest>,
}

/// The jobs of a batch that are not read yet, with their places in it.
type JobsLeft = Enumerate<IntoIter<Box<RawValue>>>;

impl BatchPart {
    /// Reads the next jobs, until they have as many nodes as one job may have.
    fn read(
        api: &Api,
        caller: &ApiCaller,
        key: &IdempotencyKey,
        mut left: JobsLeft,
    ) -> (Self, JobsLeft) {
        let mut part = Self { jobs: Vec::new(), requests: Vec::new() };
        let mut nodes = 0;
        while nodes < api.bounds().nodes_max
            && let Some((position, text)) = left.next()
        {
            let text = text.get().as_bytes();
            let mark = idempotency::item_mark(MANY, key, position, text);
            let request = json::parse::<JobBody>(text, api.bounds()).and_then(|body| {
                nodes += body.node_count();
                job_request(api, caller, mark, body)
            });
            let refused = match request {
                Ok(request) => {
                    part.requests.push(request);
                    None
                }
                Err(problem) => Some(problem.below(&format!("/jobs/{position}"))),
            };
            part.jobs.push((position, refused));
        }
        (part, left)
    }

    /// Makes the jobs; an outcome each, in order.
    async fn schedule(
        self,
        api: &Api,
        caller: &ApiCaller,
        outcomes: &mut Vec<Result<String, Problem>>,
    ) -> Result<(), Problem> {
        // One answer for each submission, in their order; the refused ones stand between them.
        let answers = api.scheduler().schedule_jobs(&caller.namespace, self.requests).await?;
        let mut answers = answers.into_iter();
        outcomes.extend(self.jobs.into_iter().map(|(position, refused)| match refused {
            Some(problem) => Err(problem),
            None => match answers.next() {
                Some(Ok(changed)) => Ok(changed.subject.id().to_string()),
                Some(Err(error)) => Err(Problem::from(error).below(&format!("/jobs/{position}"))),
                None => Err(Problem::new(Code::InternalError, "a submission got no answer")),
            },
        }));
        Ok(())
    }
}

fn job_request(
    api: &Api,
    caller: &ApiCaller,
    mark: Option<CommandMark>,
    body: JobBody,
) -> Result<JobRequest, Problem> {
    let trace = caller.trace.unwrap_or_else(|| {
        let dice = &api.outside().dice;
        TraceContext::mint(dice.next_u64(), dice.next_u64(), dice.next_u64())
    });
    let spec = bounded::within(api.bounds(), || body.into_spec()).map_err(Problem::invalid)?;
    Ok(JobRequest { spec, caller: by_client(caller, mark, None), trace_id: trace.trace_id() })
}
