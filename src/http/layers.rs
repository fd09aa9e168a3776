//! What surrounds every route: compression, and inside it one layer that does the rest (request id, writes of other sites
//! refused, admission, span, deadline, panics caught, log line, metrics, security headers, problems completed with id and
//! path). One, because each layer costs a request a future of its own for as long as it waits.
//! Always holds: every answer has an X-Request-Id and an Orrery-Engine; what is refused was not read; a parked request keeps nothing that it
//! came with; no payload, query or secret is logged. Absent: authentication.

use std::convert::Infallible;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::{IntoResponse, Response};
use domain::ids::CorrelationId;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tracing::{Instrument as _, Span};

use super::engine_header::ENGINE;
use super::extract::headers::{Correlation, REQUEST_ID};
use super::extract::json::BodyLimit;
use super::parked::Rest;
use super::peers::PeerAddress;
use super::problem::{Code, Problem};
use super::shedding::RequestPermit;
use super::state::Api;
use super::{parked, shedding};
use crate::engine::core::urgency::Urgency;
use crate::environment::Sleep;
use crate::environment::fail_points::{self, Point};
use crate::telemetry::correlation::RequestId;
use crate::telemetry::metrics::{HTTP_ACTIVE_REQUESTS, HTTP_REQUEST_DURATION};

/// Nothing but our own files, and no frames.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'";
/// As above; the vendored documentation page styles itself inline.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; frame-ancestors 'none'; base-uri 'none'";
/// Set by browsers.
const FROM_SITE: &str = "sec-fetch-site";
/// Of what no route answers.
const NO_ROUTE: &str = "none";
/// Where new jobs come in: what is most of all that comes when there is too much.
const SUBMISSIONS: [&str; 2] = ["/api/v1/jobs", "/api/v1/jobs/batch"];

/// Puts everything around all routes and fallbacks.
pub fn surround(routes: Router<Api>, api: &Api) -> Router<Api> {
    // While there is no authentication, a page of another site must not be able to command an engine on the visitor's
    // machine: browsers say where a request comes from, programs do not.
    let csrf = CsrfLayer::new().with_rejection_response(|_: ProtectionError| {
        cross_site("the request comes from a page of another site").into_response()
    });
    routes.layer(csrf).layer(ApiLayer { api: api.clone() }).layer(CompressionLayer::new())
}

#[derive(Clone)]
struct ApiLayer {
    api: Api,
}

impl<S> Layer<S> for ApiLayer {
    type Service = ApiService<S>;

    fn layer(&self, inner: S) -> ApiService<S> {
        ApiService { inner, api: self.api.clone() }
    }
}

/// A route with what surrounds it.
#[derive(Clone)]
struct ApiService<S> {
    inner: S,
    api: Api,
}

impl<S> Service<Request<Body>> for ApiService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let Some(asked) = RequestFacts::by(&request, route.map(Route::Matched), &self.api) else {
            let problem = Problem::new(Code::InternalError, "no request id could be made");
            return Box::pin(ready(Ok(problem.into_response())));
        };
        let refusal = self.api.hosts().check(&request).err();
        let refusal = refusal.or_else(|| from_two_sites(asked.is_read, request.headers()));
        let refusal = refusal
            .or_else(|| asked.urgency.and_then(|urgency| shedding::refusal(&self.api, urgency)));
        if let Some(refusal) = refusal {
            return Box::pin(ready(Ok(asked.refused(&refusal))));
        }
        let peer = request.extensions().get::<PeerAddress>().copied();
        let admission = asked.urgency.map(|urgency| RequestPermit::begin(&self.api, urgency, peer));
        let admission = match admission.transpose() {
            Ok(admission) => admission.map(Arc::new),
            Err(refusal) => return Box::pin(ready(Ok(asked.refused(&refusal)))),
        };
        let limit = BodyLimit::of(&self.api, admission.clone());
        request.extensions_mut().insert(limit);
        request.extensions_mut().insert(Correlation(asked.id.clone()));
        let work = admitted(admission, self.inner.call(request));
        let work = Box::pin(work.instrument(asked.span()));
        Box::pin(Answering::begin(asked, work).map(Ok))
    }
}

/// The work of a route. What its request was let in with is given back when the work is done.
async fn admitted(
    admission: Option<Arc<RequestPermit>>,
    work: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    let Ok(response) = work.await;
    drop(admission);
    response
}

/// A request that is worked on, or that is parked when that is done: it ends, panics, or its deadline comes.
struct Answering(Option<InFlight>);

struct InFlight {
    asked: RequestFacts,
    active: Active,
    deadline: Sleep,
    work: Rest,
}

impl Answering {
    fn begin(asked: RequestFacts, work: Rest) -> Self {
        let active = Active::begin(asked.method);
        let wait = asked.api.settings().request_timeout;
        let deadline = asked.api.outside().clock.sleep(wait);
        Self(Some(InFlight { asked, active, deadline, work }))
    }
}

impl Future for Answering {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let Some(mut under) = self.0.take() else { return Poll::Pending };
        let mut response =
            match catch_unwind(AssertUnwindSafe(|| under.work.as_mut().poll(context))) {
                Ok(Poll::Ready(response)) => response,
                Ok(Poll::Pending) => {
                    if under.deadline.as_mut().poll(context).is_pending() {
                        self.0 = Some(under);
                        return Poll::Pending;
                    }
                    under.asked.too_late().into_response()
                }
                Err(_) => {
                    let detail = "the engine made a mistake; its log says more";
                    Problem::new(Code::InternalError, detail).into_response()
                }
            };
        if let Some(rest) = parked::rest_of(&mut response) {
            under.work = rest;
            return Poll::Ready(parked::in_place_of(Box::pin(Self(Some(under)))));
        }
        let InFlight { asked, active, .. } = under;
        drop(active);
        if !asked.is_read {
            fail_points::pass(Point::AnswerMade);
        }
        Poll::Ready(asked.finished(response))
    }
}

/// The answer to a submission that is shed now: the same as from behind the routes, without going there.
pub(super) fn shed<B>(api: &Api, request: &Request<B>) -> Option<Response> {
    let route = SUBMISSIONS.into_iter().find(|route| *route == request.uri().path())?;
    // Whatever is not as plain as that goes the long way.
    let headers = request.headers();
    let is_plain = request.method() == Method::POST
        && !headers.contains_key(FROM_SITE)
        && !headers.contains_key(header::ORIGIN)
        && api.hosts().check(request).is_ok();
    let refusal = is_plain.then(|| shedding::refusal(api, Urgency::Submit)).flatten()?;
    let asked = RequestFacts::by(request, Some(Route::Fixed(route)), api)?;
    Some(asked.refused(&refusal))
}

/// Browsers say once where a request comes from, and what is looked at (`CsrfLayer`) is the first word of it.
fn from_two_sites(is_read: bool, headers: &HeaderMap) -> Option<Problem> {
    let is_repeated = |name| headers.get_all(name).iter().nth(1).is_some();
    (!is_read && (is_repeated(FROM_SITE) || is_repeated(header::ORIGIN.as_str())))
        .then(|| cross_site("the request says more than once where it comes from"))
}

fn cross_site(detail: &str) -> Problem {
    Problem::new(Code::CrossSite, detail)
}

/// What is kept of a request until it is answered: nothing of the buffer that it was read into.
struct RequestFacts {
    api: Api,
    id: CorrelationId,
    method: &'static str,
    is_read: bool,
    urgency: Option<Urgency>,
    route: Option<Route>,
    path: Box<str>,
    started: Duration,
}

/// A route's pattern.
enum Route {
    Matched(MatchedPath),
    Fixed(&'static str),
}

impl Route {
    fn as_str(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Fixed(path) => path,
        }
    }
}

impl RequestFacts {
    fn by<B>(request: &Request<B>, route: Option<Route>, api: &Api) -> Option<Self> {
        let outside = api.outside();
        let given = request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes);
        let id = RequestId::accept(given, || outside.ids.mint());
        let urgency = route.as_ref().map(Route::as_str);
        Some(Self {
            id: CorrelationId::parse(id.as_str()).ok()?,
            method: method_word(request.method()),
            is_read: request.method().is_safe(),
            urgency: urgency.and_then(|route| shedding::urgency_of(request.method(), route)),
            route,
            path: request.uri().path().into(),
            started: outside.clock.monotonic(),
            api: api.clone(),
        })
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or(NO_ROUTE, Route::as_str)
    }

    fn span(&self) -> Span {
        tracing::info_span!(
            "request",
            correlation_id = %self.id,
            http.request.method = self.method,
            http.route = self.route(),
            engine = self.api.engine_number(),
        )
    }

    fn too_late(&self) -> Problem {
        let seconds = self.api.settings().request_timeout.as_secs();
        let detail = format!("there was no answer within {seconds} s");
        // Reading changed nothing; a write may still land.
        let code = if self.is_read { Code::DeadlineExceeded } else { Code::OutcomeUnknown };
        Problem::new(code, detail)
    }

    fn finished(&self, mut response: Response) -> Response {
        let Some(problem) = response.extensions_mut().remove::<Problem>() else {
            return self.finish_response(response, None);
        };
        let told = complete(&response, &problem, &self.id, &self.path);
        self.finish_response(told, Some(problem.code()))
    }

    fn refused(&self, problem: &Problem) -> Response {
        self.finish_response(problem.render(Some(&self.id), Some(&self.path)), Some(problem.code()))
    }

    /// The answer with what every answer gets; logged and counted.
    fn finish_response(&self, mut response: Response, problem: Option<Code>) -> Response {
        let took = self.api.outside().clock.monotonic().saturating_sub(self.started);
        // What is refused for want of time is counted, not told one by one: that would take more time.
        self.log(&response, took, problem == Some(Code::Overloaded));
        metrics::histogram!(
            HTTP_REQUEST_DURATION,
            "http_request_method" => self.method,
            "http_route" => self.route().to_owned(),
            "http_response_status_code" => response.status().as_u16().to_string(),
        )
        .record(took.as_secs_f64());
        response.headers_mut().insert(ENGINE, self.api.engine_header());
        add_headers(&mut response, &self.id, self.route().starts_with("/docs"));
        response
    }

    /// One line a request, in the span of its work, which did not wait with it; failures of ours stand out.
    fn log(&self, response: &Response, took: Duration, is_shed: bool) {
        let status = response.status().as_u16();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if response.status().is_server_error() && !is_shed {
            self.span().in_scope(|| {
                tracing::warn!(http.response.status_code = status, duration_ms, "request failed");
            });
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            self.span().in_scope(|| {
                tracing::debug!(
                    http.response.status_code = status,
                    duration_ms,
                    "request answered"
                );
            });
        }
    }
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
