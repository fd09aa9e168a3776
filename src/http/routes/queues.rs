//! What waits for workers.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::engine::core::message::QueueFacts;
use crate::http::extract::headers::ApiCaller;
use crate::http::extract::query::Query;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::routes::by_name::{names_of, page_of};
use crate::http::schemas::queue::{QueueAnswer, QueueListAnswer};
use crate::http::schemas::time;
use crate::http::state::Api;

/// List the queues
///
/// Those with work or with workers that ask, by name, as the living engines see them now.
#[utoipa::path(
    get, path = "/api/v1/queues", tag = "queues", operation_id = "listQueues",
    params(page::PageParameters),
    responses((status = 200, description = "The queues", body = QueueListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'q')?;
    let found =
        api.engine().cluster().queues_everywhere(&caller.namespace, &names_of(&asked)).await?;
    let name = |facts: &QueueFacts| facts.queue.clone();
    let (facts, silent_engines, page) = page_of(&asked, found, name, api.engine().now());
    let queues = facts.into_iter().map(|facts| QueueAnswer {
        queue: facts.queue.to_string(),
        ready: facts.ready,
        running: facts.running,
        oldest_ready_at: facts.oldest_ready_at.map(time::format),
        waiting_polls: facts.waiting_polls,
        last_poll_at: facts.last_poll_at.map(time::format),
    });
    let answer = QueueListAnswer { queues: queues.collect(), silent_engines, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
