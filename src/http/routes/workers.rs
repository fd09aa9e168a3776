//! Who asks for work.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::engine::core::message::WorkerFacts;
use crate::http::extract::headers::ApiCaller;
use crate::http::extract::query::Query;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::routes::by_name::{names_of, page_of};
use crate::http::schemas::queue::{WorkerAnswer, WorkerListAnswer};
use crate::http::schemas::time;
use crate::http::state::Api;

/// List the workers
///
/// Whoever asked for work since the engine that was asked started, by name.
#[utoipa::path(
    get, path = "/api/v1/workers", tag = "queues", operation_id = "listWorkers",
    params(page::PageParameters),
    responses((status = 200, description = "The workers", body = WorkerListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'w')?;
    let found =
        api.engine().cluster().workers_everywhere(&caller.namespace, &names_of(&asked)).await?;
    let name = |facts: &WorkerFacts| facts.worker.clone();
    let (facts, silent_engines, page) = page_of(&asked, found, name, api.engine().now());
    let workers = facts.into_iter().map(|facts| WorkerAnswer {
        worker: facts.worker.to_string(),
        queues: facts.queues.iter().map(ToString::to_string).collect(),
        last_poll_at: time::format(facts.last_poll_at),
        leased: facts.leased,
    });
    let answer = WorkerListAnswer { workers: workers.collect(), silent_engines, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
