//! JSON bodies. Refused, in this order: a wrong media type (415), more than the bound (413), one that stops coming (408),
//! nesting that no parser
//! should see (422), text that is not JSON (400), and wrong types, unknown or missing fields and broken field rules
//! (422, with pointers). Absent: rules that need the domain; `schemas` converts and `domain` checks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use domain::bounds;
use domain::refusal::FieldError;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::{DeserializeOwned, IgnoredAny};

pub(crate) use super::depth::is_deeper_than;
use super::pointer;
use crate::environment::Clock;
use crate::http::problem::{Code, Problem};

/// What bounds a body, put into every request by the layers.
#[derive(Debug, Clone)]
pub struct BodyLimit {
    /// Bytes of the largest one.
    pub bytes_max: usize,
    /// A body of which nothing more comes for so long is given up.
    pub idle: Duration,
    /// By which that is measured.
    pub clock: Arc<dyn Clock>,
}

/// What stands around the deepest input: batch, job, nodes, node, and room for the envelope to grow.
const ENVELOPE_DEPTH_MAX: usize = 8;

/// A request body with the rules of its own fields, where serde's types do not say them already.
pub trait RequestBody: DeserializeOwned {
    /// Adds what is wrong to `errors`.
    fn check(&self, errors: &mut Vec<FieldError>) {
        let _ = errors;
    }
}

/// A JSON body that has been read and checked.
#[derive(Debug)]
pub struct ValidJson<T> {
    /// What was asked.
    pub value: T,
    /// The body as it came, for the hash that an Idempotency-Key is bound to.
    pub text: Bytes,
}

/// As [`ValidJson`], but an empty body stands for `T::default()`.
#[derive(Debug)]
pub struct OptionalJson<T> {
    /// What was asked.
    pub value: T,
    /// The body as it came.
    pub text: Bytes,
}

impl<S: Send + Sync, T: RequestBody> FromRequest<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        must_be_json(request.headers())?;
        let text = read_body(request).await?;
        Ok(Self { value: parse(&text)?, text })
    }
}

impl<S: Send + Sync, T: RequestBody + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let json = must_be_json(request.headers());
        let text = read_body(request).await?;
        if text.is_empty() {
            return Ok(Self { value: T::default(), text });
        }
        json?;
        Ok(Self { value: parse(&text)?, text })
    }
}

/// Only a declared JSON body is read: a form of another site cannot send one without being asked first.
fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        Ok(())
    } else {
        Err(Problem::new(Code::UnsupportedMediaType, "send Content-Type: application/json"))
    }
}

fn too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, "the body is larger than this engine takes")
}

/// Reads a body within its bound.
pub(crate) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let Some(limit) = request.extensions().get::<BodyLimit>().cloned() else {
        return Err(Problem::new(Code::InternalError, "no bound is set for bodies"));
    };
    // What is announced too large is not read at all.
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit.bytes_max) {
        return Err(too_large());
    }
    let mut pieces = request.into_body().into_data_stream();
    let Some(first) = next_piece(&mut pieces, &limit).await? else { return Ok(Bytes::new()) };
    if first.len() > limit.bytes_max {
        return Err(too_large());
    }
    // Most bodies come in one piece, which is then the body as it lies there.
    let Some(second) = next_piece(&mut pieces, &limit).await? else { return Ok(first) };
    let mut body = Vec::with_capacity(announced.unwrap_or(first.len() + second.len()));
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if body.len() + piece.len() > limit.bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
        next = next_piece(&mut pieces, &limit).await?;
    }
    Ok(body.into())
}

/// The next piece of a body; none: that was all.
async fn next_piece(
    pieces: &mut BodyDataStream,
    limit: &BodyLimit,
) -> Result<Option<Bytes>, Problem> {
    // Nobody is left to read the answer about a body that broke off.
    let broken = |_| Problem::new(Code::MalformedJson, "the body broke off");
    // Nearly always it is there: no timer is made for it.
    if let Some(piece) = pieces.next().now_or_never() {
        return piece.transpose().map_err(broken);
    }
    tokio::select! {
        biased;
        piece = pieces.next() => piece.transpose().map_err(broken),
        () = limit.clock.sleep(limit.idle) => {
            let waited_ms = limit.idle.as_millis();
            let detail = format!("nothing more of the body came for {waited_ms} ms");
            Err(Problem::new(Code::BodyTooSlow, detail))
        }
    }
}

/// Reads a body that is known to be declared as JSON.
pub fn parse<T: RequestBody>(text: &[u8]) -> Result<T, Problem> {
    if is_deeper_than(text, bounds::JSON_DEPTH_MAX + ENVELOPE_DEPTH_MAX) {
        let message = format!("is nested deeper than {}", bounds::JSON_DEPTH_MAX);
        return Err(Problem::field("", "too_deep", message));
    }
    // serde would also take an array for a struct, field by field; nobody means that.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        must_be_well_formed(text)?;
        return Err(Problem::field("", "wrong_type", "must be an object"));
    }
    // Knowing the place of an error costs an allocation a field, so it is asked for only when there is one.
    if let Ok(value) = serde_json::from_slice::<T>(text) {
        return checked(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value: T = match serde_path_to_error::deserialize(&mut reader) {
        Ok(value) => value,
        Err(error) => {
            must_be_well_formed(text)?;
            let inner = error.inner();
            return Err(Problem::invalid(vec![if inner.is_data() {
                pointer::field_error(error.path(), &inner.to_string())
            } else {
                // serde_json calls it bad syntax when a word is wanted and a number stands there.
                pointer::wrong_type(error.path())
            }]));
        }
    };
    reader.end().map_err(|error| malformed(&error))?;
    checked(value)
}

/// The value, if the rules of its own fields hold.
fn checked<T: RequestBody>(value: T) -> Result<T, Problem> {
    let mut errors = Vec::new();
    value.check(&mut errors);
    if errors.is_empty() { Ok(value) } else { Err(Problem::invalid(errors)) }
}

/// A wrong field may be met before the place where the text stops being JSON; the text comes first.
fn must_be_well_formed(text: &[u8]) -> Result<(), Problem> {
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| malformed(&error))?;
    // Skipping a value does not look at the bytes of its texts.
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::new(Code::MalformedJson, "the body is not UTF-8")),
    }
}

/// serde_json's messages of this kind name a line and a column and never repeat the text.
fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, error.to_string())
}

#[cfg(test)]
mod tests;
