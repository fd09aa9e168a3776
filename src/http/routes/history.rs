//! What happened to a job, and how far it is. Always holds: an export that breaks off has no closing line, so that
//! it does not verify.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::JobId;
use futures_util::stream;

use crate::http::extract::headers::ApiCaller;
use crate::http::extract::path::JobPath;
use crate::http::extract::query::Query;
use crate::http::page::{self, HISTORY_PAGE_SIZE_MAX, PageRequest};
use crate::http::problem::Problem;
use crate::http::routes::json;
use crate::http::schemas::job_details::{HistoryListAnswer, HistoryParameters};
use crate::http::state::Api;
use crate::services::queries::ProgressAnswer;

/// The media type of an export.
const NDJSON: &str = "application/x-ndjson";

/// List a job's history
///
/// Rows, oldest first; an event with several transitions is followed by derived rows with its seq. With
/// `format=ndjson`, the whole export as JSON lines, ending with a closing line, which can be verified offline.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/history", tag = "jobs", operation_id = "listHistory",
    params(("id" = String, Path, description = "The job", format = "uuid"), HistoryParameters),
    responses((status = 200, description = "A page of rows, or the export", content(
        (HistoryListAnswer = "application/json"), (String = "application/x-ndjson"),
    ))),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(job): JobPath,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let is_export = query.one("format", "json or ndjson", |word| match word {
        "json" => Some(false),
        "ndjson" => Some(true),
        _ => None,
    });
    if is_export == Some(true) {
        query.finish()?;
        return export(&api, &caller, job).await;
    }
    let asked = PageRequest::take(&mut query, 'h', HISTORY_PAGE_SIZE_MAX);
    query.finish()?;
    let (skip, take) = (asked.skipped() as u64, asked.page_size as usize);
    let found = api.queries().history(&caller.namespace, job, skip, take).await?;
    let page = asked.positioned('h', found.total, found.as_of);
    let answer = HistoryListAnswer { events: found.events, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// Part by part, as the connection takes them; what goes wrong before the first is still a problem.
async fn export(api: &Api, caller: &ApiCaller, job: JobId) -> Result<Response, Problem> {
    let mut export = api.queries().history_export(&caller.namespace, job).await?;
    let first = export.next().await?.unwrap_or_default();
    let rest = stream::try_unfold((Some(first), export), |(first, mut export)| async move {
        let part = match first {
            Some(part) => Some(part),
            None => export.next().await.map_err(io::Error::other)?,
        };
        Ok::<_, io::Error>(part.map(|part| (Bytes::from(part), (None, export))))
    });
    let content_type = [(header::CONTENT_TYPE, NDJSON)];
    Ok((content_type, Body::from_stream(rest)).into_response())
}

/// Get a job's progress
///
/// Percent weighted by expected durations, the critical path still to go, and the estimated end with its spread.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/progress", tag = "jobs", operation_id = "getProgress",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses((status = 200, description = "How far it is", body = ProgressAnswer)),
)]
pub async fn progress(
    State(api): State<Api>,
    caller: ApiCaller,
    JobPath(job): JobPath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let read = api.queries().progress(&caller.namespace, job);
    let progress = api.scheduler().get_job_progress(caller.correlation.as_str(), read).await?;
    Ok(json(StatusCode::OK, &progress))
}
