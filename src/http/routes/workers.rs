//! Who asks for work.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::engine::core::message::{Names, WorkerFacts};
use crate::http::extract::headers::Caller;
use crate::http::extract::query::Query;
use crate::http::page::{self, TotalCount};
use crate::http::problem::Problem;
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
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'w')?;
    let part = Names::part(asked.after(), asked.wanted());
    let found = api.engine().cluster().workers_everywhere(&caller.namespace, &part).await?;
    let total = if found.is_exact {
        TotalCount::of(found.known)
    } else {
        TotalCount::AtLeast(found.known.min(u64::from(page::PAGED_ITEMS_MAX)))
    };
    let name = |facts: &WorkerFacts| facts.worker.clone();
    let (facts, page) = asked.cut(found.facts, name, total, api.engine().now());
    let workers = facts.into_iter().map(|facts| WorkerAnswer {
        worker: facts.worker.to_string(),
        queues: facts.queues.iter().map(ToString::to_string).collect(),
        last_poll_at: time::format(facts.last_poll_at),
        leased: facts.leased,
    });
    let answer =
        WorkerListAnswer { workers: workers.collect(), silent_engines: found.silent, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
