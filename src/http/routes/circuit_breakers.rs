//! Trying circuit breakers out. Nothing is stored, and no breaker that holds anything is read.

use axum::http::StatusCode;
use axum::response::Response;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::json::ValidJson;
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::circuit_preview::{BreakerPreviewAnswer, BreakerPreviewBody};

/// Try a circuit breaker out
///
/// What one with these settings would do, step by step, from closed, on a clock that moves only where a step says so.
#[utoipa::path(
    post, path = "/api/v1/circuit-breakers/preview", tag = "circuit breakers", operation_id = "previewCircuitBreaker",
    request_body(content = BreakerPreviewBody, description = "The settings and the steps", example = json!({
        "settings": {"window": {"calls": 10}, "min_calls": 2, "failure_rate_pct": 50, "open_ms": 5000},
        "steps": [{"ask": true}, {"report": "ok"}, {"report": "fail"}, {"advance_ms": 5000}, {"ask": true}],
    })),
    responses((status = 200, description = "The breaker after each step", body = BreakerPreviewAnswer)),
)]
pub async fn preview(
    _caller: ApiCaller,
    body: ValidJson<BreakerPreviewBody>,
) -> Result<Response, Problem> {
    let previewed = body.value.previewed().map_err(Problem::invalid)?;
    Ok(json(StatusCode::OK, &previewed))
}
