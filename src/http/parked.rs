//! Requests that wait long. Their handler reads all that came, and answers with the rest of its work in place of an
//! answer. That goes out through all layers, and is waited for when everything is gone that read the request: its head,
//! its body, the futures of routing, reading and compressing.
//! Always holds: who goes away drops the rest, which then gives back what it holds. Absent: deadlines, panics and what
//! every answer gets (`layers`, around the rest as around any work).

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready as ready_of};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::compression::CompressionLayer;

use super::layers;
use super::problem::Problem;
use super::state::Api;

/// What is still to be done for an answer.
pub(super) type Rest = BoxFuture<'static, Response>;

/// The rest on its way out. Extensions want to be cloned and shared: one of them takes it.
#[derive(Clone)]
struct Parked(Arc<Mutex<Option<Rest>>>);

/// In place of an answer: `rest` makes it. It holds what it needs and nothing of the request.
pub(super) fn park(
    rest: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Response {
    in_place_of(Box::pin(rest.map(IntoResponse::into_response)))
}

/// In place of the answer that `rest` makes.
pub(super) fn in_place_of(rest: Rest) -> Response {
    let mut placeholder = ().into_response();
    placeholder.extensions_mut().insert(Parked(Arc::new(Mutex::new(Some(rest)))));
    placeholder
}

/// What is still to be done; none: it is an answer.
pub(super) fn rest_of(answer: &mut Response) -> Option<Rest> {
    let Parked(rest) = answer.extensions_mut().remove()?;
    rest.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Routes, with the answers of what they park, and of what need not go to them.
#[derive(Debug, Clone)]
pub struct Served {
    routes: Router,
    api: Option<Api>,
}

impl Served {
    /// The routes of this.
    pub(super) fn of(routes: Router, api: Api) -> Self {
        Self { routes, api: Some(api) }
    }
}

impl From<Router> for Served {
    fn from(routes: Router) -> Self {
        Self { routes, api: None }
    }
}

impl<B> Service<Request<B>> for Served
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let put_off = self.api.as_ref().and_then(|api| layers::put_off(api, &request));
        if let Some(response) = put_off {
            return Answer { work: Box::pin(ready(response)), encodings: Vec::new() };
        }
        // Copied: they would hold the buffer that they were read into.
        let encodings = request.headers().get_all(header::ACCEPT_ENCODING).iter();
        let encodings =
            encodings.filter_map(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        let encodings = encodings.collect();
        let routed = self.routes.call(request);
        Answer { work: Box::pin(routed.map(|Ok(response)| response)), encodings }
    }
}

/// An answer that is being made.
pub struct Answer {
    work: Rest,
    /// That its client takes.
    encodings: Vec<HeaderValue>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut response = ready_of!(self.work.as_mut().poll(context));
            let Some(rest) = rest_of(&mut response) else { return Poll::Ready(Ok(response)) };
            let encodings = std::mem::take(&mut self.encodings);
            // What routed the request ends here. The rest has not been through compression.
            self.work = Box::pin(rest.then(|response| compressed(response, encodings)));
        }
    }
}

/// As the layer of all other answers does it.
async fn compressed(response: Response, encodings: Vec<HeaderValue>) -> Response {
    let mut asked = Request::new(Body::empty());
    let encodings = encodings.into_iter().map(|encoding| (header::ACCEPT_ENCODING, encoding));
    asked.headers_mut().extend(encodings.collect::<HeaderMap>());
    let mut response = Some(response);
    let plain =
        service_fn(move |_| ready(Ok::<_, Infallible>(response.take().unwrap_or_default())));
    let Ok(response) = CompressionLayer::new().layer(plain).oneshot(asked).await;
    response.map(Body::new)
}
