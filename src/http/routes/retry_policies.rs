//! Retry policies, seen in advance.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::json::ValidJson;
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::retry::{PreviewAnswer, PreviewBody};
use crate::http::state::Api;

/// Preview a retry policy
///
/// Shows the waits of a node whose attempts all fail in the same way. Nothing is stored.
#[utoipa::path(
    post, path = "/api/v1/retry-policies/preview", tag = "retry policies", operation_id = "previewRetryPolicy",
    request_body(content = PreviewBody, description = "The policy, and how its node fails", example = json!({
        "policy": {"strategy": "exponential_backoff", "max_attempts": 5, "base_delay_ms": 500},
        "attempts": 5, "draws": [0.5], "error": {"type": "Timeout", "status": 503},
    })),
    responses((status = 200, description = "The waits", body = PreviewAnswer)),
)]
pub async fn preview(
    State(api): State<Api>,
    _caller: ApiCaller,
    body: ValidJson<PreviewBody>,
) -> Result<Response, Problem> {
    let now = api.engine().now();
    // An expression in a policy is asked once an attempt: beside the runtime.
    let previewed = api.parsers().run(usize::MAX, move || body.value.previewed(now)).await?;
    Ok(json(StatusCode::OK, &previewed?))
}
