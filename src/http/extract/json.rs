//! JSON bodies. Refused, in this order: a wrong media type (415), more than the bound (413), one that stops coming (408),
//! nesting that no parser
//! should see (422), text that is not JSON (400), and wrong types, unknown or missing fields and broken field rules
//! (422, with pointers). Absent: rules that need the domain; `schemas` converts and `domain` checks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use domain::bounds::{self, Bounds};
use domain::node::spec::GROUP_DEPTH_MAX;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use validator::Validate;

pub(crate) use super::depth::is_deeper_than;
pub use super::parsers::Parsers;
use super::{bounded, pointer, rules};
use crate::environment::Clock;
use crate::http::problem::{Code, Problem};
use crate::http::shedding::RequestPermit;
use crate::http::state::Api;

/// What bounds a body, put into every request by the layers.
#[derive(Debug, Clone)]
pub struct BodyLimit {
    /// Bytes of the largest one.
    pub bytes_max: usize,
    /// A body of which nothing more comes for so long is given up. It must be whole within this time and what its bytes
    /// take at the least rate.
    pub idle: Duration,
    /// Bytes a second at which a body must come at least, on average and after `idle`.
    pub least_rate: u32,
    /// By which that is measured.
    pub clock: Arc<dyn Clock>,
    /// Where the bytes that come are charged; none: nothing bounds them but `bytes_max`.
    pub admission: Option<Arc<RequestPermit>>,
    /// Of jobs and payloads.
    pub bounds: Arc<Bounds>,
    /// Reads large bodies.
    pub parsers: Arc<Parsers>,
}

impl BodyLimit {
    /// That of the API's requests.
    pub(in crate::http) fn of(api: &Api, admission: Option<Arc<RequestPermit>>) -> Self {
        let settings = api.settings();
        Self {
            bytes_max: settings.body_bytes_max,
            idle: settings.body_idle_timeout,
            least_rate: settings.body_least_rate,
            clock: Arc::clone(&api.outside().clock),
            admission,
            bounds: Arc::clone(api.bounds()),
            parsers: Arc::clone(api.parsers()),
        }
    }
}

/// So much of a body that is too large is read and thrown away, so that its client reads the refusal: eight times the
/// largest body that is taken by default. Whoever sends more is cut off.
const DRAINED_BYTES_MAX: usize = 64 << 20;
/// What stands around the deepest input: batch, job, nodes, node, and room for the envelope to grow; then, for each
/// group in another, its list of members and the member. It stays below what serde_json reads.
const ENVELOPE_DEPTH_MAX: usize = 8 + 2 * GROUP_DEPTH_MAX;

/// A request body, with the rules about each of its fields that serde's types do not say already.
pub trait RequestBody: DeserializeOwned + Validate + Send + 'static {}

impl<T: DeserializeOwned + Validate + Send + 'static> RequestBody for T {}

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
        let limit = limit_of(&request)?;
        let text = read_body(request).await?;
        Ok(Self { value: parsed(&limit, &text).await?, text })
    }
}

impl<S: Send + Sync, T: RequestBody + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let json = must_be_json(request.headers());
        let limit = limit_of(&request)?;
        let text = read_body(request).await?;
        if text.is_empty() {
            return Ok(Self { value: T::default(), text });
        }
        json?;
        Ok(Self { value: parsed(&limit, &text).await?, text })
    }
}

/// Only a declared JSON body is read: a form of another site cannot send one without being asked first. It is read as it
/// comes: a compressed one could be a thousand times larger than what was charged for it.
fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
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

fn limit_of(request: &Request) -> Result<BodyLimit, Problem> {
    let limit = request.extensions().get::<BodyLimit>().cloned();
    limit.ok_or_else(|| Problem::new(Code::InternalError, "no bound is set for bodies"))
}

/// Reads JSON that has come, a large one beside the runtime.
async fn parsed<T: RequestBody>(limit: &BodyLimit, text: &Bytes) -> Result<T, Problem> {
    let (whole, bounds) = (text.clone(), Arc::clone(&limit.bounds));
    limit.parsers.run(text.len(), move || parse(&whole, &bounds)).await?
}

/// Reads a body within its bound, and waits for the request's turn.
pub(crate) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let limit = limit_of(&request)?;
    let admission = limit.admission.clone();
    let body = whole_body(request, limit).await?;
    if let Some(admission) = admission {
        admission.is_read().await?;
    }
    Ok(body)
}

async fn whole_body(request: Request, limit: BodyLimit) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let is_too_large = announced.is_some_and(|bytes| bytes > limit.bytes_max);
    // Whoever asks first has sent nothing yet, and sends nothing after this answer.
    if is_too_large && request.headers().contains_key(header::EXPECT) {
        return Err(too_large());
    }
    let mut coming = Coming {
        pieces: request.into_body().into_data_stream(),
        began: limit.clock.monotonic(),
        bytes: 0,
        limit,
    };
    if is_too_large {
        return Err(coming.refused().await);
    }
    let Some(first) = coming.next_piece().await? else { return Ok(Bytes::new()) };
    // Most bodies come in one piece, which is then the body as it lies there.
    let Some(second) = coming.next_piece().await? else { return Ok(first) };
    let mut body = Vec::with_capacity(first.len() + second.len());
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        make_room(&mut body, piece.len(), announced);
        body.extend_from_slice(&piece);
        next = coming.next_piece().await?;
    }
    Ok(body.into())
}

/// Grows by doubling, as any list, but never beyond what is announced: room is made for what has come, not for what is
/// promised.
fn make_room(body: &mut Vec<u8>, more: usize, announced: Option<usize>) {
    let needed = body.len() + more;
    if needed > body.capacity() {
        let wanted = body.capacity().saturating_mul(2).min(announced.unwrap_or(usize::MAX));
        body.reserve_exact(wanted.max(needed) - body.len());
    }
}

/// A body that is on its way.
struct Coming {
    pieces: BodyDataStream,
    limit: BodyLimit,
    began: Duration,
    bytes: usize,
}

impl Coming {
    /// The next piece; none: that was all. It is within the bounds and charged.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        let piece = self.arrival().await?;
        if let Some(piece) = &piece {
            self.bytes += piece.len();
            if self.bytes > self.limit.bytes_max {
                return Err(self.refused().await);
            }
            if let Some(admission) = &self.limit.admission {
                admission.came(piece.len())?;
            }
        }
        Ok(piece)
    }

    /// The refusal of a body that is too large, when the client has sent it: one that is cut off while it sends sees its
    /// connection reset, and never the answer. What comes is thrown away, so much of it and no more.
    async fn refused(&mut self) -> Problem {
        while self.bytes < DRAINED_BYTES_MAX {
            match self.arrival().await {
                Ok(Some(piece)) => self.bytes += piece.len(),
                Ok(None) | Err(_) => break,
            }
        }
        too_large()
    }

    async fn arrival(&mut self) -> Result<Option<Bytes>, Problem> {
        // Nobody is left to read the answer about a body that broke off.
        let broken = |_| Problem::new(Code::MalformedJson, "the body broke off");
        // Nearly always it is there: no timer is made for it.
        if let Some(piece) = self.pieces.next().now_or_never() {
            return piece.transpose().map_err(broken);
        }
        let BodyLimit { idle, least_rate, clock, .. } = &self.limit;
        let rate = u64::from(*least_rate).max(1);
        let earned = Duration::from_millis(self.bytes as u64 * 1_000 / rate);
        let left = (self.began + *idle + earned).saturating_sub(clock.monotonic());
        let (wait, is_rate) = if left < *idle { (left, true) } else { (*idle, false) };
        tokio::select! {
            biased;
            piece = self.pieces.next() => piece.transpose().map_err(broken),
            () = clock.sleep(wait) => {
                let idle_ms = idle.as_millis();
                let detail = if is_rate {
                    format!(
                        "the body did not come within {idle_ms} ms and its bytes at {rate} a second"
                    )
                } else {
                    format!("nothing more of the body came for {idle_ms} ms")
                };
                Err(Problem::new(Code::BodyTooSlow, detail))
            }
        }
    }
}

/// Reads a body that is known to be declared as JSON, within these bounds.
pub fn parse<T: RequestBody>(text: &[u8], bounds: &Bounds) -> Result<T, Problem> {
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
    if let Ok(value) = bounded::within(bounds, || serde_json::from_slice::<T>(text)) {
        return checked(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = bounded::within(bounds, || serde_path_to_error::deserialize(&mut reader));
    let value: T = match read {
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
    rules::apply("", &value, &mut errors);
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
