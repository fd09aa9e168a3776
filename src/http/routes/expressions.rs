//! Trying expressions out. Nothing is stored, and nothing of a job is read.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::json::ValidJson;
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::expression::{EvaluateBody, EvaluationAnswer};
use crate::http::state::Api;

/// Evaluate an expression
///
/// With data of your own, to try out what a job would make of it. 422 `expression` has what is wrong and where.
#[utoipa::path(
    post, path = "/api/v1/expressions/evaluate", tag = "jobs", operation_id = "evaluateExpression",
    request_body(content = EvaluateBody, description = "The expression and its data", example = json!({
        "expression": "nodes.fetch.output.n + 1", "data": {"nodes": {"fetch": {"output": {"n": 41}}}},
    })),
    responses((status = 200, description = "The value", body = EvaluationAnswer)),
)]
pub async fn evaluate(
    State(api): State<Api>,
    _caller: ApiCaller,
    body: ValidJson<EvaluateBody>,
) -> Result<Response, Problem> {
    let bounds = Arc::clone(api.bounds());
    // Ten thousand steps take as long as reading a large body, however short the text is: beside the runtime.
    let evaluated = api.parsers().run(usize::MAX, move || body.value.evaluated(&bounds)).await?;
    Ok(json(StatusCode::OK, &evaluated?))
}
