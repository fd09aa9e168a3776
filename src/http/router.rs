//! Every route, in one table that reads like the API's contents page. A test holds it to the OpenAPI document.
//! Absent: what surrounds the routes (`layers`).

use axum::Router;
use axum::routing::get;

use super::layers::{self, Patience};
use super::problem::{Code, Problem};
use super::routes::{document, health};
use super::state::Api;

/// The whole service.
pub fn router(api: Api) -> Router {
    let usual = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(document::openapi))
        .route("/docs", get(document::page))
        .route("/docs/", get(document::index))
        .route("/docs/{file}", get(document::asset))
        .route("/docs/errors/{code}", get(document::error_page));
    let routes = layers::with_deadline(usual, api.outside(), Patience::Usual)
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed);
    let outside = api.outside().clone();
    layers::surround(routes, &outside).with_state(api)
}

async fn unknown_route() -> Problem {
    Problem::new(Code::UnknownRoute, "nothing is served at this path; /openapi.json lists all")
}

/// axum adds Allow.
async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the header Allow lists the methods of this path")
}

#[cfg(test)]
mod tests;
