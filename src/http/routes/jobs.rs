//! Reading and steering jobs. A job is read from its driver, so a client sees its own writes at once; lists come
//! from the view and say `as_of`.

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::JobId;
use domain::job::check::check_patch;
use domain::job::command::JobCommand;
use domain::job::summary::JobSnapshot;

use crate::http::commands::{by_client, expected_of_job};
use crate::http::extract::headers::{ApiCaller, IdempotencyKey, IfMatch, IfNoneMatch, entity_tag};
use crate::http::extract::json::{OptionalJson, ValidJson};
use crate::http::extract::path::JobPath;
use crate::http::extract::query::Query;
use crate::http::idempotency;
use crate::http::page::{self, TotalCount};
use crate::http::parked::park;
use crate::http::problem::Problem;
use crate::http::routes::waiting::{WaitParameters, WaitRequest};
use crate::http::routes::{json, raw_items, versioned};
use crate::http::schemas::job_answer::JobListAnswer;
use crate::http::schemas::job_query::{JobListParameters, JobListRequest};
use crate::http::schemas::patch::{ActionBody, PatchBody};
use crate::http::state::Api;
use crate::view::contract::Total;
use crate::view::resources::job::JobResource;

/// List jobs
///
/// From the view, which is usually 100 ms behind; `as_of` says when: what any living engine acknowledged before is shown. `consistent=true` waits until it shows
/// everything acknowledged before, at most 2 s.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", operation_id = "listJobs",
    params(JobListParameters, page::PageParameters),
    responses((
        status = 200, description = "A page of jobs", body = JobListAnswer<'static>,
        headers(("Link" = String, description = "rel=next leads to the next page")),
    )),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = JobListRequest::read(caller.namespace, query)?;
    let listed = api.queries().list(asked.query.clone(), asked.consistent).await?;
    let found = listed.page;
    let total = match found.total {
        Total::Exact(count) => TotalCount::Exact(count),
        Total::AtLeast(count) => TotalCount::AtLeast(count),
    };
    let next = found.next.map(|(value, id)| asked.cursor(value, id));
    let page = asked.page.info(total, next, listed.as_of);
    let answer = JobListAnswer { jobs: raw_items(&found.items)?, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// Get a job
///
/// With `wait_ms` the answer leaves when the job is as `until` says, or when the time is over; the job in it says which.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "getJob",
    params(("id" = String, Path, description = "The job", format = "uuid"), WaitParameters),
    responses(
        (status = 200, description = "The job", body = JobResource,
            headers(("ETag" = String, description = "The job's version"))),
        (status = 304, description = "It is still at the version in If-None-Match"),
    ),
)]
pub async fn get(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(id): JobPath,
    mut query: Query,
    known: Result<IfNoneMatch, Infallible>,
) -> Result<Response, Problem> {
    let wait = WaitRequest::read(&mut query, &api);
    query.finish()?;
    let Some(wait) = wait else {
        let job = api.engine().jobs().job(&caller.namespace, id).await?;
        return shown(&api, &job, known).await;
    };
    let place = WaitRequest::place(&api, &caller)?;
    let namespace = caller.namespace;
    Ok(park(async move {
        let job = wait.job(&api, &namespace, id).await?;
        drop(place);
        shown(&api, &job, known).await
    }))
}

/// A job as it is now, unless the caller has this version.
async fn shown(
    api: &Api,
    job: &JobSnapshot,
    known: Result<IfNoneMatch, Infallible>,
) -> Result<Response, Problem> {
    let tag = [(header::ETAG, entity_tag(job.head.seq))];
    let Ok(IfNoneMatch(known)) = known;
    if known.is_some_and(|known| known.contain(job.head.seq)) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let shown = api.queries().filled(job, JobResource::of(job, api.engine().now())).await?;
    Ok((tag, json(StatusCode::OK, &shown)).into_response())
}

/// Change a job
///
/// Absent fields stay, null removes. `scheduled_at` and `timeout_ms` only while the job has not started.
#[utoipa::path(
    patch, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "patchJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    request_body(content = PatchBody, description = "What to change",
        example = json!({"priority": 2, "tags": ["urgent"], "description": null})),
    responses((status = 200, description = "The changed job", body = JobResource,
        headers(("ETag" = String, description = "The job's version")))),
)]
pub async fn patch(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(id): JobPath,
    if_match: IfMatch,
    body: ValidJson<PatchBody>,
) -> Result<Response, Problem> {
    let patch = body.value.into_patch().map_err(Problem::invalid)?;
    check_patch(&patch, &api.check_settings()).map_err(Problem::invalid)?;
    let expected = expected_of_job(&if_match, api.engine(), &caller.namespace, id).await?;
    let command = JobCommand::Patch(Box::new(patch));
    let by = by_client(&caller, None, expected);
    let changed = api.scheduler().command(&caller.namespace, id, command, by).await?;
    as_changed(&api, StatusCode::OK, &changed.subject).await
}

/// Start a pending job
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/start", tag = "jobs", operation_id = "startJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    request_body(content = Option<ActionBody>, description = "May be left out",
        example = json!({"reason": "the upstream data is there"})),
    responses((status = 200, description = "The job", body = JobResource)),
)]
pub async fn start(steering: Steering) -> Result<Response, Problem> {
    steering.send("POST /jobs/start", |_| JobCommand::Start).await
}

/// Pause a job
///
/// Nothing new starts; running attempts may finish and are recorded.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/pause", tag = "jobs", operation_id = "pauseJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    request_body(content = Option<ActionBody>, description = "May be left out",
        example = json!({"reason": "the target is being repaired"})),
    responses((status = 200, description = "The job", body = JobResource)),
)]
pub async fn pause(steering: Steering) -> Result<Response, Problem> {
    steering.send("POST /jobs/pause", |reason| JobCommand::Pause { reason }).await
}

/// Resume a paused job
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/resume", tag = "jobs", operation_id = "resumeJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    request_body(content = Option<ActionBody>, description = "May be left out",
        example = json!({"reason": "the target is repaired"})),
    responses((status = 200, description = "The job", body = JobResource)),
)]
pub async fn resume(steering: Steering) -> Result<Response, Problem> {
    steering.send("POST /jobs/resume", |reason| JobCommand::Resume { reason }).await
}

/// Cancel a job
///
/// Recorded at once; running attempts are told and have 30 s to report.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancelJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    request_body(content = Option<ActionBody>, description = "May be left out",
        example = json!({"reason": "a newer order replaces it"})),
    responses((status = 200, description = "The job", body = JobResource)),
)]
pub async fn cancel(steering: Steering) -> Result<Response, Problem> {
    steering.send("POST /jobs/cancel", |reason| JobCommand::Cancel { reason }).await
}

/// Cancel a job, as DELETE
///
/// The same as `/cancel`; the job and its history stay.
#[utoipa::path(
    delete, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "deleteJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses((status = 200, description = "The job", body = JobResource)),
)]
pub async fn delete(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(id): JobPath,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let expected = expected_of_job(&if_match, api.engine(), &caller.namespace, id).await?;
    let by = by_client(&caller, None, expected);
    let command = JobCommand::Cancel { reason: None };
    let changed = api.scheduler().command(&caller.namespace, id, command, by).await?;
    as_changed(&api, StatusCode::OK, &changed.subject).await
}

/// What every steering POST takes out of its request.
#[derive(Debug)]
pub struct Steering {
    api: Api,
    caller: ApiCaller,
    job: JobId,
    key: IdempotencyKey,
    if_match: IfMatch,
    body: OptionalJson<ActionBody>,
}

impl Steering {
    async fn send(
        self,
        route: &str,
        command: impl FnOnce(Option<String>) -> JobCommand,
    ) -> Result<Response, Problem> {
        let Self { api, caller, job, key, if_match, body } = self;
        let mark = idempotency::mark(route, &key, &body.text);
        let expected = expected_of_job(&if_match, api.engine(), &caller.namespace, job).await?;
        let by = by_client(&caller, mark, expected);
        let command = command(body.value.reason);
        let changed = api.scheduler().command(&caller.namespace, job, command, by).await?;
        as_changed(&api, StatusCode::OK, &changed.subject).await
    }
}

impl FromRequest<Api> for Steering {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = ApiCaller::from_request_parts(&mut parts, api).await?;
        let JobPath(job) = JobPath::from_request_parts(&mut parts, api).await?;
        let key = IdempotencyKey::from_request_parts(&mut parts, api).await?;
        let if_match = IfMatch::from_request_parts(&mut parts, api).await?;
        let body = OptionalJson::from_request(Request::from_parts(parts, body), api).await?;
        Ok(Self { api: api.clone(), caller, job, key, if_match, body })
    }
}

/// A job as a command left it: a pure function of its events, so that the same answer can be given again.
pub(super) async fn as_changed(
    api: &Api,
    status: StatusCode,
    job: &JobSnapshot,
) -> Result<Response, Problem> {
    let shown = api.queries().filled(job, JobResource::as_changed(job)).await?;
    Ok(versioned(status, job.head.seq, &shown))
}
