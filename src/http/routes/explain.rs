//! Why a job, or one of its nodes, does not go on.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::JobId;

use crate::http::extract::headers::{ApiCaller, entity_tag};
use crate::http::extract::path::{JobPath, NodePath};
use crate::http::extract::query::Query;
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::explain::ExplainedAnswer;
use crate::http::state::Api;

/// Explain a job
///
/// What it waits for: each wait with a stable `code`, the nodes concerned, since when, and the event (`ends_on`) or the
/// time (`wakes_at`) that ends it; how it ended, when it has; which engine drives it. The same whichever engine is asked.
/// The ETag is the version that is explained; who drives it, who polls and when leases run out are as of now, so that
/// If-None-Match is not honoured.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/explain", tag = "jobs", operation_id = "explainJob",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses((status = 200, description = "Why it does not go on", body = ExplainedAnswer,
        headers(("ETag" = String, description = "The job's version")),
        example = json!({
            "job_id": "0192aa00-0000-7000-8000-000000000001", "version": 4, "status": "running", "ending": null,
            "node": null,
            "waits": [{
                "code": "worker", "message": "2 nodes are ready in queue `shop` and wait for a worker to lease them; no worker waits there now, the last one asked at 2026-01-31T12:00:00.000Z",
                "since": "2026-01-31T12:00:03.000Z", "ends_on": "lease", "wakes_at": null,
                "times_out_at": "2026-01-31T12:05:03.000Z", "nodes": ["charge", "ship"], "node_count": 2,
                "waits_for": [], "waits_for_count": 0, "attempts": [],
                "workers": {"queue": "shop", "waiting_polls": 0, "last_poll_at": "2026-01-31T12:00:00.000Z", "ready": 2, "running": 0, "before": 0, "silent_engines": []},
                "environment": null,
            }],
            "wait_count": 1, "ended": null, "next_due_at": "2026-01-31T12:05:03.000Z", "deadline": null,
            "as_of": "2026-01-31T12:01:00.000Z",
            "driving": {
                "group": 17, "engine": 2, "name": "engine-2", "address": "10.0.0.2:8080", "lease_until": "2026-01-31T12:01:08.000Z",
                "answers": false, "message": "engine 2 (engine-2) at 10.0.0.2:8080 drives group 17 (its tenure holds until 2026-01-31T12:01:08.000Z)",
                "memory": "held", "parked_until": null,
            },
        }),
    )),
)]
pub async fn job(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(job): JobPath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    explained(&api, &caller, job, None).await
}

/// Explain a node
///
/// As for its job: the job's own wait if it has one, the node's, and when the node waits for others, what those wait for.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/nodes/{key}/explain", tag = "nodes", operation_id = "explainNode",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        ("key" = String, Path, description = "The node's key"),
    ),
    responses((status = 200, description = "Why it does not go on", body = ExplainedAnswer,
        headers(("ETag" = String, description = "The job's version")),
        example = json!({
            "job_id": "0192aa00-0000-7000-8000-000000000001", "version": 9, "status": "completed", "ending": null,
            "node": {"key": "ship", "status": "completed", "since": "2026-01-31T12:00:09.000Z", "attempt": 1, "error_class": null, "verdict": null},
            "waits": [], "wait_count": 0,
            "ended": {"code": "completed", "message": "attempt 1 completed, and its outcome is recorded", "at": "2026-01-31T12:00:09.000Z", "error": null, "because_of": [], "because_of_count": 0},
            "next_due_at": null, "deadline": null, "as_of": "2026-01-31T12:01:00.000Z",
            "driving": {"group": 17, "engine": 1, "name": "engine-1", "address": "127.0.0.1:8080", "lease_until": null, "answers": true, "message": "engine 1 (engine-1) at 127.0.0.1:8080 drives group 17", "memory": "retired", "parked_until": null},
        }),
    )),
)]
pub async fn node(
    State(api): State<Api>,
    caller: ApiCaller,
    NodePath { job, key }: NodePath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    explained(&api, &caller, job, Some(&key)).await
}

async fn explained(
    api: &Api,
    caller: &ApiCaller,
    job: JobId,
    key: Option<&str>,
) -> Result<Response, Problem> {
    let explained = api.queries().explain(&caller.namespace, job, key).await?;
    let answer = ExplainedAnswer::of(explained, &api.engines(), api.others().is_none());
    let response = json(StatusCode::OK, &answer);
    Ok(match answer.version() {
        Some(version) => ([(header::ETAG, entity_tag(version))], response).into_response(),
        None => response,
    })
}
