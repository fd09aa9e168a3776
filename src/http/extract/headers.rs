//! Headers that carry meaning: namespace, request id, trace, Idempotency-Key, If-Match and If-None-Match.
//! Always holds: a header that is given and wrong is refused with its name, except the two that only follow a
//! request around (X-Request-Id, traceparent), which are replaced (`telemetry::correlation` says when). Absent:
//! credentials; they come with users.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use domain::ids::{CorrelationId, Namespace};

use crate::http::peers::PeerAddress;
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
pub struct ApiCaller {
    /// Whose things are meant.
    pub namespace: Namespace,
    /// X-Request-Id, or one made here.
    pub correlation: CorrelationId,
    /// The caller's trace, when it has one.
    pub trace: Option<TraceContext>,
    /// Where the bytes come from, when that is known.
    pub peer: Option<PeerAddress>,
}

/// What the outermost layer puts into every request: X-Request-Id, or an id minted in its place.
#[derive(Debug, Clone)]
pub struct Correlation(pub CorrelationId);

/// The Idempotency-Key, if there is one: 1-255 visible characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// Which versions the caller has in hand. Tags of other makes match nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    Of(Vec<u64>),
}

/// If-Match, if there is one. It compares strongly (RFC 9110, 13.1.1), so a weak tag in it matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch {
    /// What the caller names.
    pub versions: Option<Versions>,
    /// A weak tag was among them, as a proxy makes of a strong one: the refusal says so.
    has_weak: bool,
}

/// If-None-Match, if there is one. It compares weakly (RFC 9110, 13.1.2).
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
        match &self.versions {
            None | Some(Versions::Any) => Ok(None),
            Some(versions) if versions.contain(current) => Ok(Some(current)),
            Some(_) if self.has_weak => Err(Problem::new(
                Code::VersionMismatch,
                format!(
                    "a weak entity tag (W/\"{current}\") never matches in If-Match; the version is {current}: send \
                     \"{current}\""
                ),
            )),
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

impl<S: Send + Sync> FromRequestParts<S> for ApiCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let namespace = match only(&parts.headers, &NAMESPACE)? {
            None => Namespace::default_namespace(),
            Some(text) => Namespace::parse_given(text).map_err(|error| {
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
        let tags = entity_tags(&parts.headers, &header::IF_MATCH, "If-Match")?;
        let has_weak = tags.as_ref().is_some_and(|tags| !tags.weak.is_empty());
        Ok(Self { versions: tags.map(EntityTags::strong), has_weak })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // A condition that nobody can read is no condition: the answer is then the full one.
        let tags = entity_tags(&parts.headers, &header::IF_NONE_MATCH, "If-None-Match");
        Ok(Self(tags.ok().flatten().map(EntityTags::all)))
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

/// The versions in a list of entity tags.
#[derive(Debug, Default, PartialEq, Eq)]
struct EntityTags {
    any: bool,
    strong: Vec<u64>,
    weak: Vec<u64>,
}

impl EntityTags {
    fn strong(self) -> Versions {
        if self.any { Versions::Any } else { Versions::Of(self.strong) }
    }

    fn all(mut self) -> Versions {
        self.strong.append(&mut self.weak);
        self.strong()
    }
}

/// `*`, or a list of entity tags as RFC 9110 writes them.
fn entity_tags(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<EntityTags>, Problem> {
    let wrong = || {
        let message = "must be * or a list of at most 16 entity tags such as \"17\"";
        Problem::field(shown, "invalid_format", message)
    };
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let (mut tags, mut count) = (EntityTags::default(), 0);
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| wrong())?;
        if text.trim() == "*" {
            return Ok(Some(EntityTags { any: true, ..EntityTags::default() }));
        }
        for tag in text.split(',').map(str::trim) {
            let is_weak = tag.starts_with("W/");
            let quoted = tag.strip_prefix("W/").unwrap_or(tag);
            let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let opaque = opaque.filter(|text| !text.contains('"')).ok_or_else(wrong)?;
            // A tag that the engine never gave matches nothing.
            let versions = if is_weak { &mut tags.weak } else { &mut tags.strong };
            versions.extend(opaque.parse::<u64>().ok());
            count += 1;
            if count > ENTITY_TAGS_MAX {
                return Err(wrong());
            }
        }
    }
    Ok(Some(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn read(value: &'static str) -> Result<EntityTags, Problem> {
        let headers = with(header::IF_MATCH, value);
        Ok(entity_tags(&headers, &header::IF_MATCH, "If-Match")?.unwrap_or_default())
    }

    fn strong(value: &'static str) -> Option<Versions> {
        read(value).ok().map(EntityTags::strong)
    }

    fn all(value: &'static str) -> Option<Versions> {
        read(value).ok().map(EntityTags::all)
    }

    #[test]
    fn entity_tags_are_quoted_and_weak_ones_match_only_where_weakness_is_enough() {
        assert_eq!(strong("*"), Some(Versions::Any));
        assert_eq!(strong("\"7\", \"8\""), Some(Versions::Of(vec![7, 8])));
        assert_eq!(strong("W/\"7\", \"abc\""), Some(Versions::Of(Vec::new())));
        assert_eq!(all("W/\"7\", \"8\", \"abc\""), Some(Versions::Of(vec![8, 7])));
        for wrong in ["7", "\"7", "\"7\" \"8\"", "", "W/W/\"7\""] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let many: &'static str = concat!(
            "\"a\"",
            ",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"",
            ",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\""
        );
        assert!(read(many).is_err(), "17 tags");
    }

    #[test]
    fn a_weak_tag_in_if_match_is_refused_with_the_tag_to_send() {
        let weak = IfMatch { versions: Some(Versions::Of(Vec::new())), has_weak: true };
        let Err(problem) = weak.expected(7) else { panic!("it does not match") };
        let shown = serde_json::to_string(&problem.body(None, None)).unwrap_or_default();
        assert!(shown.contains("weak entity tag"), "{shown}");
    }
}
