//! The handlers, one file a resource. Each extracts, sends one command or reads, and maps the answer; none decides.

mod by_name;
pub mod circuit_breakers;
pub mod document;
pub mod engines;
pub mod environments;
pub mod explain;
pub mod expressions;
pub mod forward;
pub mod health;
pub mod history;
pub mod jobs;
pub mod leases;
pub mod nodes;
pub mod pauses;
pub mod queues;
pub mod retry_policies;
pub mod services;
pub mod start;
pub mod submissions;
pub mod waiting;
pub mod workers;

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::extract::headers::entity_tag;
use super::problem::{Code, Problem};
use crate::engine::json_text;

/// Most answers are shorter: one allocation instead of a few that grow.
pub(crate) const ANSWER_BYTES_USUAL: usize = 2_048;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES_USUAL);
    match json_text::write(&mut bytes, body) {
        Ok(()) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => Problem::new(Code::InternalError, "the answer could not be written as JSON")
            .into_response(),
    }
}

/// A JSON answer that tells of something at this version.
pub(crate) fn versioned(status: StatusCode, version: u64, body: &impl Serialize) -> Response {
    ([(header::ETAG, entity_tag(version))], json(status, body)).into_response()
}

/// The answer, with the path of what it tells of.
pub(crate) fn located(mut response: Response, path: String) -> Response {
    if let Ok(location) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The documents of a list, as they stand in the view.
pub(crate) fn raw_items(items: &[Arc<str>]) -> Result<Vec<&RawValue>, Problem> {
    let raw = items.iter().map(|text| serde_json::from_str::<&RawValue>(text));
    raw.collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, "a document of the view is not JSON");
        Problem::new(Code::StoredDataDamaged, "a document of the view cannot be read")
    })
}
