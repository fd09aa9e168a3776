//! What surrounds every route, outermost first: compression, then `around` (request id, span, log line, metrics,
//! security headers, problems completed with id and path), panics caught, writes of other sites refused, deadlines.
//! Always holds: every answer has an X-Request-Id, and no payload, query or secret is logged. Absent: authentication.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use domain::ids::CorrelationId;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument;

use super::extract::headers::{Correlation, REQUEST_ID};
use super::extract::json::BodyLimit;
use super::problem::{Code, Problem};
use crate::environment::fail_points::{self, Point};
use crate::environment::{Clock, Surroundings};
use crate::telemetry::correlation::RequestId;
use crate::telemetry::metrics::{HTTP_ACTIVE_REQUESTS, HTTP_REQUEST_DURATION};

/// Nothing but our own files, and no frames.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'";
/// As above; the vendored documentation page styles itself inline.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Puts a deadline around the routes added so far, long polls included.
pub fn with_deadline<S>(routes: Router<S>, outside: &Surroundings, wait: Duration) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let clock = Arc::clone(&outside.clock);
    routes.route_layer(from_fn_with_state(Deadline { clock, wait }, deadline))
}

/// Puts everything else around all routes and fallbacks.
pub fn surround<S>(routes: Router<S>, outside: &Surroundings, limit: BodyLimit) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(Extension(limit))
        .layer(from_fn(refuse_cross_site))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(Code::InternalError, "the engine made a mistake; its log says more")
                .into_response()
        }))
        .layer(from_fn_with_state(outside.clone(), around))
        .layer(CompressionLayer::new())
}

#[derive(Clone)]
struct Deadline {
    clock: Arc<dyn Clock>,
    wait: Duration,
}

async fn deadline(State(deadline): State<Deadline>, request: Request, next: Next) -> Response {
    let is_read = request.method().is_safe();
    tokio::select! {
        response = next.run(request) => response,
        () = deadline.clock.sleep(deadline.wait) => {
            let seconds = deadline.wait.as_secs();
            let detail = format!("there was no answer within {seconds} s");
            // Reading changed nothing; a write may still land.
            let code = if is_read { Code::DeadlineExceeded } else { Code::OutcomeUnknown };
            Problem::new(code, detail).into_response()
        }
    }
}

/// Browsers say where a request comes from. While there is no authentication, a page of another site must not be
/// able to command an engine on the visitor's machine; programs do not send this header.
async fn refuse_cross_site(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !request.method().is_safe() && matches!(from, Some(b"cross-site" | b"same-site")) {
        return Problem::new(Code::CrossSite, "the request comes from a page of another site")
            .into_response();
    }
    next.run(request).await
}

async fn around(State(outside): State<Surroundings>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes);
    let id = RequestId::accept(given, || outside.ids.mint());
    let Ok(id) = CorrelationId::parse(id.as_str()) else {
        return Problem::new(Code::InternalError, "no request id could be made").into_response();
    };
    request.extensions_mut().insert(Correlation(id.clone()));
    let (method, is_read) = (method_word(request.method()), request.method().is_safe());
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let span = tracing::info_span!(
        "request",
        correlation_id = %id,
        http.request.method = method,
        http.route = route,
    );
    let started = outside.clock.monotonic();
    let active = Active::begin(method);
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(active);
    if !is_read {
        fail_points::pass(Point::AnswerMade);
    }
    let took = outside.clock.monotonic().saturating_sub(started);
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        response = complete(&response, problem, &id, &path);
    }
    // What is refused for want of time is counted, not told one by one: that would take more time.
    let is_put_off = problem.is_some_and(|problem| problem.code() == Code::Overloaded);
    span.in_scope(|| log(&response, took, is_put_off));
    metrics::histogram!(
        HTTP_REQUEST_DURATION,
        "http_request_method" => method,
        "http_route" => route.clone(),
        "http_response_status_code" => response.status().as_u16().to_string(),
    )
    .record(took.as_secs_f64());
    let is_docs = route.starts_with("/docs");
    add_headers(&mut response, &id, is_docs);
    response
}

/// Counts a request for as long as it is answered, also when its client goes away.
struct Active(&'static str);

impl Active {
    fn begin(method: &'static str) -> Self {
        metrics::gauge!(HTTP_ACTIVE_REQUESTS, "http_request_method" => method).increment(1.0);
        Self(method)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_ACTIVE_REQUESTS, "http_request_method" => self.0).decrement(1.0);
    }
}

/// Renders the problem again with what only this layer knows; headers such as Allow stay.
fn complete(plain: &Response, problem: &Problem, id: &CorrelationId, path: &str) -> Response {
    let mut response = problem.render(Some(id), Some(path));
    for (name, value) in plain.headers() {
        if name != header::CONTENT_LENGTH && !response.headers().contains_key(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// One line a request; failures of ours stand out.
fn log(response: &Response, took: Duration, is_put_off: bool) {
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if response.status().is_server_error() && !is_put_off {
        tracing::warn!(http.response.status_code = status, duration_ms, "request failed");
    } else {
        tracing::debug!(http.response.status_code = status, duration_ms, "request answered");
    }
}

fn add_headers(response: &mut Response, id: &CorrelationId, is_docs: bool) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let policy = if is_docs { DOCS_POLICY } else { POLICY };
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The method as a label: a caller cannot make new series by inventing methods.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
