//! The parts of this engine.

use axum::extract::{OriginalUri, State};
use axum::response::Response;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::query::Query;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::schemas::service::{ServiceAnswer, ServiceListAnswer};
use crate::http::state::Api;

/// List the services
///
/// Life, health, heartbeat, operations, ticks and breakers of each, as this engine sees them.
#[utoipa::path(
    get, path = "/api/v1/services", tag = "services", operation_id = "listServices",
    params(page::PageParameters),
    responses((status = 200, description = "The services", body = ServiceListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    _caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_page(query, 's')?;
    let services = api.services().into_iter().map(ServiceAnswer::from).collect();
    let (services, page) = asked.cut('s', services, api.outside().clock.now_ms());
    let answer = ServiceListAnswer { services, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}
