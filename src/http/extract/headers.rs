//! Headers that carry meaning: namespace, request id, trace, Idempotency-Key, If-Match and If-None-Match.
//! Always holds: a header that is given and wrong is refused with its name, except the two that only follow a
//! request around (X-Request-Id, traceparent), which are replaced (`telemetry::correlation` says when). Absent:
//! credentials; they come with users.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use domain::ids::{CorrelationId, Namespace};

use crate::http::peers::Peer;
use crate::http::problem::{Code, Problem};
use crate::telemetry::correlation::TraceContext;

/// Whose things are meant.
pub const NAMESPACE: HeaderName = HeaderName::from_static("orrery-namespace");
/// What one request is called in logs, history and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Makes a POST that is sent twice count once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// W3C Trace Context.
pub const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest Idempotency-Key: with its route and batch position it fits into a command id.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Tags in one If-Match or If-None-Match: nobody holds more versions than that.
const ENTITY_TAGS_MAX: usize = 16;

/// Who asks, in which namespace, and what ties the consequences together.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose things are meant.
    pub namespace: Namespace,
    /// X-Request-Id, or one made here.
    pub correlation: CorrelationId,
    /// The caller's trace, when it has one.
    pub trace: Option<TraceContext>,
    /// Where the bytes come from, when that is known.
    pub peer: Option<Peer>,
}

/// What the outermost layer puts into every request: X-Request-Id, or an id minted in its place.
#[derive(Debug, Clone)]
pub struct Correlation(pub CorrelationId);

/// The Idempotency-Key, if there is one: 1-255 visible characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// Which versions the caller has in hand. Weak tags and tags of other makes match nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    Of(Vec<u64>),
}

/// If-Match, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(pub Option<Versions>);

/// If-None-Match, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(pub Option<Versions>);

impl Versions {
    /// Whether this version is one of them.
    pub fn contain(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&version),
        }
    }
}

impl IfMatch {
    /// The version to expect of a resource that is at `current`, or 412 at once when it is none of the caller's.
    pub fn expected(&self, current: u64) -> Result<Option<u64>, Problem> {
        match &self.0 {
            None | Some(Versions::Any) => Ok(None),
            Some(versions) if versions.contain(current) => Ok(Some(current)),
            Some(_) => Err(Problem::new(
                Code::VersionMismatch,
                format!("the version is {current}, which If-Match does not name"),
            )),
        }
    }
}

/// The strong entity tag of a version.
pub fn entity_tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let namespace = match only(&parts.headers, &NAMESPACE)? {
            None => Namespace::default_namespace(),
            Some(text) => Namespace::parse(text).map_err(|error| {
                Problem::field("Orrery-Namespace", "invalid_format", error.to_string())
            })?,
        };
        let correlation = parts.extensions.get::<Correlation>().map(|id| id.0.clone());
        let correlation = correlation.ok_or_else(|| {
            Problem::new(Code::InternalError, "the request has no id: a layer is missing")
        })?;
        let trace = parts.headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok());
        let trace = trace.and_then(TraceContext::parse);
        Ok(Self { namespace, correlation, trace, peer: parts.extensions.get().copied() })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(key) = only(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            return Ok(Self(Some(key.to_owned())));
        }
        let message = format!("must be 1-{IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters");
        Err(Problem::field("Idempotency-Key", "invalid_format", message))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        entity_tags(&parts.headers, &header::IF_MATCH, "If-Match").map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // A condition that nobody can read is no condition: the answer is then the full one.
        Ok(Self(
            entity_tags(&parts.headers, &header::IF_NONE_MATCH, "If-None-Match").ok().flatten(),
        ))
    }
}

/// A header that may be given once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(name.as_str(), "repeated", "is given more than once"));
    }
    let text = first.to_str().map_err(|_| {
        Problem::field(name.as_str(), "invalid_format", "must be visible ASCII characters")
    })?;
    Ok(Some(text.trim()))
}

/// `*`, or a list of entity tags as RFC 9110 writes them.
fn entity_tags(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<Versions>, Problem> {
    let wrong = || {
        let message = "must be * or a list of at most 16 entity tags such as \"17\"";
        Problem::field(shown, "invalid_format", message)
    };
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut versions = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| wrong())?;
        if text.trim() == "*" {
            return Ok(Some(Versions::Any));
        }
        for tag in text.split(',').map(str::trim) {
            let is_weak = tag.starts_with("W/");
            let quoted = tag.trim_start_matches("W/");
            let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let opaque = opaque.filter(|text| !text.contains('"')).ok_or_else(wrong)?;
            // A tag that the engine never gave matches nothing, and neither does a weak one.
            versions.extend(opaque.parse::<u64>().ok().filter(|_| !is_weak));
            if versions.len() > ENTITY_TAGS_MAX {
                return Err(wrong());
            }
        }
    }
    Ok(Some(Versions::Of(versions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn if_match(value: &'static str) -> Result<Option<Versions>, Problem> {
        entity_tags(&with(header::IF_MATCH, value), &header::IF_MATCH, "If-Match")
    }

    #[test]
    fn entity_tags_are_strong_and_quoted() {
        assert_eq!(if_match("*").ok(), Some(Some(Versions::Any)));
        assert_eq!(if_match("\"7\", \"8\"").ok(), Some(Some(Versions::Of(vec![7, 8]))));
        assert_eq!(if_match("W/\"7\", \"abc\"").ok(), Some(Some(Versions::Of(Vec::new()))));
        for wrong in ["7", "\"7", "\"7\" \"8\"", ""] {
            assert!(if_match(wrong).is_err(), "{wrong:?}");
        }
    }
}
