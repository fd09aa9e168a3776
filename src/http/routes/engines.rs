//! The engines that serve the same jobs.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::query::Query;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::schemas::engine::{EngineListAnswer, engines_of};
use crate::http::state::Api;

/// List the engines
///
/// Those that are there, and which groups of jobs each drives, as this engine saw them at its last look (`as_of`, half a
/// second ago or less while the store answers). Times are the store's. An embedded engine shows itself.
#[utoipa::path(
    get, path = "/api/v1/engines", tag = "engines", operation_id = "listEngines",
    params(page::PageParameters),
    responses((status = 200, description = "The engines", body = EngineListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    _caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_page(query, 'g')?;
    let seen = api.engines();
    let (engines, page) = asked.cut('g', engines_of(&seen), seen.at);
    let answer = EngineListAnswer { engines, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
