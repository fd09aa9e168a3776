//! The steps of a job, with their attempts, and the graph they stand in.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::node::status::NodeStatus;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::path::{JobPath, NodePath};
use crate::http::extract::query::Query;
use crate::http::page::{self, PAGE_SIZE_MAX, PageRequest};
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::job_details::{NodeListAnswer, NodeListParameters};
use crate::http::state::Api;
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
