//! What waits for workers.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::engine::core::message::{Names, QueueFacts};
use crate::http::extract::headers::Caller;
use crate::http::extract::query::Query;
use crate::http::page::{self, TotalCount};
use crate::http::problem::Problem;
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
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'q')?;
    let part = Names::part(asked.after(), asked.wanted());
    let found = api.engine().cluster().queues_everywhere(&caller.namespace, &part).await?;
    let total = if found.is_exact {
        TotalCount::of(found.known)
    } else {
        TotalCount::AtLeast(found.known.min(u64::from(page::PAGED_ITEMS_MAX)))
    };
    let name = |facts: &QueueFacts| facts.queue.clone();
    let (facts, page) = asked.cut(found.facts, name, total, api.engine().now());
    let queues = facts.into_iter().map(|facts| QueueAnswer {
        queue: facts.queue.to_string(),
        ready: facts.ready,
        running: facts.running,
        oldest_ready_at: facts.oldest_ready_at.map(time::format),
        waiting_polls: facts.waiting_polls,
        last_poll_at: facts.last_poll_at.map(time::format),
    });
    let answer = QueueListAnswer { queues: queues.collect(), silent_engines: found.silent, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
