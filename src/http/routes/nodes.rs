//! The steps of a job, with their attempts, and the graph they stand in.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::node::status::NodeStatus;

use crate::http::commands::{by_client, expected_of_job};
use crate::http::extract::headers::{ApiCaller, IfMatch};
use crate::http::extract::json::ValidJson;
use crate::http::extract::path::{JobPath, NodePath};
use crate::http::extract::query::Query;
use crate::http::page::{self, PAGE_SIZE_MAX, PageRequest};
use crate::http::problem::Problem;
use crate::http::routes::{json, versioned};
use crate::http::schemas::job_details::{NodeListAnswer, NodeListParameters};
use crate::http::schemas::node_patch::PatchNodeBody;
use crate::http::state::Api;
use crate::services::job_scheduler::RepairRequest;
use crate::services::queries::{GraphAnswer, NodeAnswer, NodeQuery};

/// List a job's nodes
///
/// In the order of the submission, each with its newest attempts.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/nodes", tag = "nodes", operation_id = "listNodes",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        NodeListParameters, page::PageParameters,
    ),
    responses((status = 200, description = "A page of nodes", body = NodeListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(job): JobPath,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let states = NodeStatus::ALL.map(NodeStatus::as_str).join(", ");
    let statuses = query.many("status", &states, NodeStatus::parse);
    let path_prefix = query.text("path_prefix");
    let asked = PageRequest::take(&mut query, 'n', PAGE_SIZE_MAX);
    query.finish()?;
    let (skip, take) = (asked.skipped(), asked.page_size as usize);
    let wanted = NodeQuery { statuses, path_prefix, skip, take };
    let found = api.queries().nodes(&caller.namespace, job, wanted).await?;
    let page = asked.positioned('n', found.total, found.as_of);
    let answer = NodeListAnswer { nodes: found.nodes, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// Get a node
///
/// With its input and its attempts.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/nodes/{key}", tag = "nodes", operation_id = "getNode",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        ("key" = String, Path, description = "The node's key; of a member its path, percent-encoded: `each[3]/build` is `each%5B3%5D%2Fbuild`"),
    ),
    responses((status = 200, description = "The node", body = NodeAnswer)),
)]
pub async fn get(
    State(api): State<Api>,
    caller: ApiCaller,
    NodePath { job, key }: NodePath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let (node, _) = api.queries().node(&caller.namespace, job, &key).await?;
    Ok(json(StatusCode::OK, &node))
}

/// Change a node that has not run
///
/// Absent fields stay, null takes away what the node says itself. A ready node is offered where it belongs now; a wait for a
/// retry goes on, and the new policy judges the next failure.
#[utoipa::path(
    patch, path = "/api/v1/jobs/{id}/nodes/{key}", tag = "nodes", operation_id = "patchNode",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        ("key" = String, Path, description = "The node's key; of a member its path, percent-encoded: `each[3]/build` is `each%5B3%5D%2Fbuild`"),
    ),
    request_body(content = PatchNodeBody, description = "What to change",
        example = json!({"queue": "large", "timeouts": {"attempt_ms": 600_000}, "reason": "it needs more memory"})),
    responses((status = 200, description = "The changed node", body = NodeAnswer,
        headers(("ETag" = String, description = "The job's version")))),
)]
pub async fn patch(
    State(api): State<Api>,
    caller: ApiCaller,
    NodePath { job, key }: NodePath,
    if_match: IfMatch,
    body: ValidJson<PatchNodeBody>,
) -> Result<Response, Problem> {
    let (spec, reason) = body.value.into_spec().map_err(Problem::invalid)?;
    let expected = expected_of_job(&if_match, api.engine(), &caller.namespace, job).await?;
    let repair = RepairRequest { job, node: key, spec, reason };
    let path = repair.node.clone();
    let by = by_client(&caller, None, expected);
    api.scheduler().change_node(&caller.namespace, repair, by).await?;
    let (node, version) = api.queries().node(&caller.namespace, job, &path).await?;
    Ok(versioned(StatusCode::OK, version, &node))
}

/// Get a job's graph
///
/// All nodes and edges, with states, levels and the critical path still to go.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/graph", tag = "jobs", operation_id = "getGraph",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses((status = 200, description = "The graph", body = GraphAnswer)),
)]
pub async fn graph(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(job): JobPath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let graph = api.queries().graph(&caller.namespace, job).await?;
    Ok(json(StatusCode::OK, &graph))
}
