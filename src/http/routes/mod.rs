//! The handlers, one file a resource. Each extracts, sends one command or reads, and maps the answer; none decides.

pub mod document;
pub mod health;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::{Code, Problem};

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => Problem::new(Code::InternalError, "the answer could not be written as JSON")
            .into_response(),
    }
}
