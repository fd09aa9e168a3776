//! Leases on their way to a worker. Always holds: they are given back, uncounted, when the request ends before the
//! answer's body is taken by the connection (the client went away, a deadline, a failure while the inputs are read).
//! Absent: knowing what the network does afterwards; then the lease runs out.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::{LeaseId, Namespace};
use futures_util::stream;
use serde::Serialize;

use super::problem::{Code, Problem};
use super::routes::ANSWER_BYTES_USUAL;
use crate::engine::handle::Engine;
use crate::engine::json_text;
use crate::environment::fail_points::{self, Point};

/// Gives its leases back when it is dropped before they are sent.
#[derive(Debug, Default)]
pub struct Undelivered {
    held: Option<(Engine, Namespace, Vec<LeaseId>)>,
}

impl Undelivered {
    /// Of these leases.
    pub fn of(engine: &Engine, namespace: &Namespace, leases: Vec<LeaseId>) -> Self {
        let held = (!leases.is_empty()).then(|| (engine.clone(), namespace.clone(), leases));
        Self { held }
    }

    /// The answer that carries them, as 200. They count as delivered once the connection has taken it.
    pub fn sent_with(self, answer: &impl Serialize) -> Response {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES_USUAL);
        if json_text::write(&mut bytes, answer).is_err() {
            let detail = "the answer could not be written as JSON";
            return Problem::new(Code::InternalError, detail).into_response();
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.held.is_none() {
            return (StatusCode::OK, [content_type], bytes).into_response();
        }
        let length = (header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let once = stream::once(async move {
            fail_points::pass(Point::LeasesTaken);
            let mut undelivered = self;
            undelivered.held = None;
            Ok::<_, Infallible>(Bytes::from(bytes))
        });
        (StatusCode::OK, [content_type, length], Body::from_stream(once)).into_response()
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        if let Some((engine, namespace, leases)) = self.held.take() {
            engine.leases().give_back(&namespace, &leases);
        }
    }
}
