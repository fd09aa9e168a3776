//! For whoever keeps the engine running: `/livez` (the process, never the store), `/readyz` (whether it should get
//! requests), `/metrics`. Always holds: without `?verbose` no detail leaves, and none of them waits for the store.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::query::Query;
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::state::{Api, ReadyCheck};

/// How the engine is.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    /// `ok`; `degraded` when it works and somebody should look (`?verbose` says at what); `unavailable` with status 503.
    #[schema(examples("ok"))]
    status: &'static str,
    /// With `?verbose`: what was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checks: Option<Vec<CheckAnswer>>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// The name of what is checked.
    name: String,
    /// Whether it is as it should be.
    ok: bool,
    /// Why not; or what somebody should look at, although it works.
    detail: Option<String>,
}

/// Whether the process lives
///
/// Answers as long as the process can answer at all; it never asks the store.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "getLiveness",
    responses((status = 200, description = "It lives", body = HealthAnswer)),
)]
pub async fn livez() -> Response {
    json(StatusCode::OK, &HealthAnswer { status: "ok", checks: None })
}

/// Whether the engine should get requests
///
/// 503 while it starts, while it drains, and while a required part does not work.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "getReadiness",
    params(("verbose" = Option<bool>, Query, description = "List what was looked at", nullable = false)),
    responses(
        (status = 200, description = "It should", body = HealthAnswer),
        (status = 503, description = "It should not", body = HealthAnswer),
    ),
)]
pub async fn readyz(State(api): State<Api>, mut query: Query) -> Result<Response, Problem> {
    let verbose = query.switch("verbose");
    query.finish()?;
    let checks = api.ready_checks();
    let ready = checks.iter().all(|check| check.ok);
    let degraded = checks.iter().any(|check| check.detail.is_some());
    let (status, word) = match (ready, degraded) {
        (true, false) => (StatusCode::OK, "ok"),
        (true, true) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let shown = |ReadyCheck { name, ok, detail }: ReadyCheck| CheckAnswer { name, ok, detail };
    let checks = verbose.then(|| checks.into_iter().map(shown).collect());
    Ok(json(status, &HealthAnswer { status: word, checks }))
}

/// What is measured
///
/// Prometheus exposition format.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "getMetrics",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain")),
)]
pub async fn metrics(State(api): State<Api>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, api.metrics()).into_response()
}
