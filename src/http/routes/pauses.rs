//! The operator's brakes: queues, action types and job types of which nothing is leased for a while. What runs goes on.

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::catalog::command::CatalogCommand;
use domain::catalog::paused::PauseTarget;
use domain::ids::{ActionType, QueueName};

use crate::http::commands::by_client;
use crate::http::extract::headers::{ApiCaller, IdempotencyKey};
use crate::http::extract::json::OptionalJson;
use crate::http::extract::query::Query;
use crate::http::idempotency;
use crate::http::page::{self, TotalCount};
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::patch::ActionBody;
use crate::http::schemas::pause::{PauseBody, PauseListAnswer};
use crate::http::state::Api;
use crate::view::resources::pause::PauseResource;

/// List what is paused
///
/// Queues, action types and job types of the namespace of which nothing is leased, by kind and name.
#[utoipa::path(
    get, path = "/api/v1/pauses", tag = "pauses", operation_id = "listPauses",
    params(page::PageParameters),
    responses((status = 200, description = "A page of pauses", body = PauseListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'b')?;
    let now = api.engine().now();
    let catalog = api.engine().catalogs().now(&caller.namespace).await?;
    let held = catalog.iter().flat_map(|catalog| catalog.paused_at(now));
    let name = |target: &PauseTarget| format!("{}/{}", target.kind(), target.name());
    let mut all: Vec<_> = held.map(|(target, pause)| (name(target), target, pause)).collect();
    all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let total = TotalCount::Exact(all.len() as u64);
    let behind =
        all.into_iter().filter(|(name, ..)| asked.after().is_none_or(|after| **name > *after));
    let found: Vec<_> = behind.take(asked.wanted()).collect();
    let (pauses, page) = asked.cut(found, |(name, ..)| name.clone(), total, now);
    let pauses = pauses.iter().map(|(_, target, pause)| PauseResource::of(target, Some(pause)));
    let answer = PauseListAnswer { pauses: pauses.collect(), page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// Pause a queue
///
/// Nothing of it is leased, at every engine within a second, until it is resumed or its time is over; running attempts go on.
/// Pausing what is paused says anew why and until when.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/pause", tag = "pauses", operation_id = "pauseQueue",
    params(("queue" = String, Path, description = "The queue")),
    request_body(content = Option<PauseBody>, description = "May be left out",
        example = json!({"reason": "the database moves", "for_ms": 3_600_000})),
    responses((status = 200, description = "The pause", body = PauseResource)),
)]
pub async fn pause_queue(brake: Brake<QueueName, PauseBody>) -> Result<Response, Problem> {
    brake.pause("POST /queues/pause", PauseTarget::Queue).await
}

/// Resume a queue
///
/// Requests that wait for its work get it. What is not paused stays so.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/resume", tag = "pauses", operation_id = "resumeQueue",
    params(("queue" = String, Path, description = "The queue")),
    request_body(content = Option<ActionBody>, description = "May be left out",
        example = json!({"reason": "the database has moved"})),
    responses((status = 200, description = "That it is not paused", body = PauseResource)),
)]
pub async fn resume_queue(brake: Brake<QueueName, ActionBody>) -> Result<Response, Problem> {
    brake.resume("POST /queues/resume", PauseTarget::Queue).await
}

/// Pause an action type
///
/// Nothing of it is leased from any queue of the namespace; running attempts go on.
#[utoipa::path(
    post, path = "/api/v1/action-types/{type}/pause", tag = "pauses", operation_id = "pauseActionType",
    params(("type" = String, Path, description = "The action type, percent-encoded")),
    request_body(content = Option<PauseBody>, description = "May be left out",
        example = json!({"reason": "the mail server is blocked", "for_ms": 600_000})),
    responses((status = 200, description = "The pause", body = PauseResource)),
)]
pub async fn pause_action_type(brake: Brake<ActionType, PauseBody>) -> Result<Response, Problem> {
    brake.pause("POST /action-types/pause", PauseTarget::ActionType).await
}

/// Resume an action type
#[utoipa::path(
    post, path = "/api/v1/action-types/{type}/resume", tag = "pauses", operation_id = "resumeActionType",
    params(("type" = String, Path, description = "The action type, percent-encoded")),
    request_body(content = Option<ActionBody>, description = "May be left out", example = json!({"reason": "mail goes out again"})),
    responses((status = 200, description = "That it is not paused", body = PauseResource)),
)]
pub async fn resume_action_type(brake: Brake<ActionType, ActionBody>) -> Result<Response, Problem> {
    brake.resume("POST /action-types/resume", PauseTarget::ActionType).await
}

/// Pause a job type
///
/// Nothing of its jobs is leased; running attempts go on, and new jobs of the type are accepted.
#[utoipa::path(
    post, path = "/api/v1/job-types/{type}/pause", tag = "pauses", operation_id = "pauseJobType",
    params(("type" = String, Path, description = "The job type, percent-encoded")),
    request_body(content = Option<PauseBody>, description = "May be left out", example = json!({"reason": "the new release is wrong"})),
    responses((status = 200, description = "The pause", body = PauseResource)),
)]
pub async fn pause_job_type(brake: Brake<JobTypeText, PauseBody>) -> Result<Response, Problem> {
    brake.pause("POST /job-types/pause", |JobTypeText(target)| target).await
}

/// Resume a job type
#[utoipa::path(
    post, path = "/api/v1/job-types/{type}/resume", tag = "pauses", operation_id = "resumeJobType",
    params(("type" = String, Path, description = "The job type, percent-encoded")),
    request_body(content = Option<ActionBody>, description = "May be left out", example = json!({"reason": "it is mended"})),
    responses((status = 200, description = "That it is not paused", body = PauseResource)),
)]
pub async fn resume_job_type(brake: Brake<JobTypeText, ActionBody>) -> Result<Response, Problem> {
    brake.resume("POST /job-types/resume", |JobTypeText(target)| target).await
}

/// What can be paused, read from a path.
pub trait BrakeName: Sized {
    /// The name in the path, or what is wrong with it.
    ///
    /// # Errors
    /// A problem that names the part of the path.
    fn read(text: &str) -> Result<Self, Problem>;
}

impl BrakeName for QueueName {
    fn read(text: &str) -> Result<Self, Problem> {
        let wrong = |error: domain::ids::IdError| {
            Problem::field("queue", "invalid_format", error.to_string())
        };
        Self::parse_given(text).map_err(wrong)
    }
}

impl BrakeName for ActionType {
    fn read(text: &str) -> Result<Self, Problem> {
        let wrong = |error: domain::ids::IdError| {
            Problem::field("type", "invalid_format", error.to_string())
        };
        Self::parse(text).map_err(wrong)
    }
}

/// A type of jobs.
#[derive(Debug)]
pub struct JobTypeText(PauseTarget);

impl BrakeName for JobTypeText {
    fn read(text: &str) -> Result<Self, Problem> {
        PauseTarget::job_type(text, "type").map(Self).map_err(Problem::invalid)
    }
}

/// What every pause and resume takes out of its request.
#[derive(Debug)]
pub struct Brake<N, B> {
    api: Api,
    caller: ApiCaller,
    name: N,
    key: IdempotencyKey,
    body: OptionalJson<B>,
}

impl<N> Brake<N, PauseBody> {
    async fn pause(
        self,
        route: &str,
        target: impl FnOnce(N) -> PauseTarget,
    ) -> Result<Response, Problem> {
        let (until, reason) = self.body.value.into_end().map_err(Problem::invalid)?;
        let target = target(self.name);
        let namespace = self.caller.namespace.clone();
        let command = CatalogCommand::Pause { namespace, target: target.clone(), until, reason };
        send(&self.api, &self.caller, route, (&self.key, &self.body.text), target, command).await
    }
}

impl<N> Brake<N, ActionBody> {
    async fn resume(
        self,
        route: &str,
        target: impl FnOnce(N) -> PauseTarget,
    ) -> Result<Response, Problem> {
        let target = target(self.name);
        let reason = self.body.value.reason;
        let command = CatalogCommand::Resume { target: target.clone(), reason };
        send(&self.api, &self.caller, route, (&self.key, &self.body.text), target, command).await
    }
}

async fn send(
    api: &Api,
    caller: &ApiCaller,
    route: &str,
    (key, body): (&IdempotencyKey, &[u8]),
    target: PauseTarget,
    command: CatalogCommand,
) -> Result<Response, Problem> {
    let by = by_client(caller, idempotency::mark(route, key, body), None);
    let pause = api.engine().catalogs().steer(&caller.namespace, &target, command, by).await?;
    Ok(json(StatusCode::OK, &PauseResource::of(&target, pause.as_deref())))
}

impl<N, B> FromRequest<Api> for Brake<N, B>
where
    N: BrakeName + Send,
    OptionalJson<B>: FromRequest<Api, Rejection = Problem>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = ApiCaller::from_request_parts(&mut parts, api).await?;
        let Path(name) = Path::<String>::from_request_parts(&mut parts, api)
            .await
            .map_err(|_| Problem::field("path", "invalid_format", "must be UTF-8".to_owned()))?;
        let name = N::read(&name)?;
        let key = IdempotencyKey::from_request_parts(&mut parts, api).await?;
        let body = OptionalJson::from_request(Request::from_parts(parts, body), api).await?;
        Ok(Self { api: api.clone(), caller, name, key, body })
    }
}
