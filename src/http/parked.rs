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

/// The one encoding that answers are compressed with.
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// What is still to be done for an answer.
pub(super) type Rest = BoxFuture<'static, Response>;

/// The rest on its way out. Extensions want to be cloned and shared: one of them takes it.
#[derive(Clone)]
struct ParkedRest(Arc<Mutex<Option<Rest>>>);

/// In place of an answer: `rest` makes it. It holds what it needs and nothing of the request.
pub(super) fn park(
    rest: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Response {
    in_place_of(Box::pin(rest.map(IntoResponse::into_response)))
}

/// In place of the answer that `rest` makes.
pub(super) fn in_place_of(rest: Rest) -> Response {
    let mut placeholder = ().into_response();
    placeholder.extensions_mut().insert(ParkedRest(Arc::new(Mutex::new(Some(rest)))));
    placeholder
}

/// What is still to be done; none: it is an answer.
pub(super) fn rest_of(answer: &mut Response) -> Option<Rest> {
    let ParkedRest(rest) = answer.extensions_mut().remove()?;
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
    type Future = PendingAnswer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> PendingAnswer {
        let shed = self.api.as_ref().and_then(|api| layers::shed(api, &request));
        if let Some(response) = shed {
            return PendingAnswer { work: Box::pin(ready(response)), takes_gzip: false };
        }
        let takes_gzip = take_encodings(request.headers_mut());
        let routed = self.routes.call(request);
        PendingAnswer { work: Box::pin(routed.map(|Ok(response)| response)), takes_gzip }
    }
}

/// An answer that is being made.
pub struct PendingAnswer {
    work: Rest,
    /// Its client reads gzip.
    takes_gzip: bool,
}

impl std::fmt::Debug for PendingAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Future for PendingAnswer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut response = ready_of!(self.work.as_mut().poll(context));
            let Some(rest) = rest_of(&mut response) else { return Poll::Ready(Ok(response)) };
            let takes_gzip = self.takes_gzip;
            // What routed the request ends here. The rest has not been through compression.
            self.work = Box::pin(rest.then(move |response| compressed(response, takes_gzip)));
        }
    }
}

/// Puts one plain word in place of what a client says of encodings: gzip, or nothing. A client that refuses every
/// encoding, `identity` too, gets its answer all the same: by then a write is done, and a 406 would hide it
/// (RFC 9110, 12.5.3, leaves that to the server).
fn take_encodings(headers: &mut HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let words = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let (mut named, mut any) = (None, None);
    for word in words {
        let (coding, weight) = word.split_once(';').unwrap_or((word, ""));
        let is_refused = weight
            .split_once('=')
            .and_then(|(_, number)| number.trim().parse::<f32>().ok())
            .is_some_and(|number| number <= 0.0);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(!is_refused),
            "*" => any = Some(!is_refused),
            _ => {}
        }
    }
    let takes_gzip = named.or(any).unwrap_or(false);
    headers.remove(header::ACCEPT_ENCODING);
    if takes_gzip {
        headers.insert(header::ACCEPT_ENCODING, GZIP);
    }
    takes_gzip
}

/// As the layer of all other answers does it.
async fn compressed(response: Response, takes_gzip: bool) -> Response {
    let mut asked = Request::new(Body::empty());
    if takes_gzip {
        asked.headers_mut().insert(header::ACCEPT_ENCODING, GZIP);
    }
    let mut response = Some(response);
    let plain =
        service_fn(move |_| ready(Ok::<_, Infallible>(response.take().unwrap_or_default())));
    let Ok(response) = CompressionLayer::new().layer(plain).oneshot(asked).await;
    response.map(Body::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_client_says_of_encodings_it_gets_gzip_or_a_plain_answer() {
        for (said, takes_gzip) in [
            ("gzip", true),
            ("GZIP;q=0.5, identity;q=0", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("gzip;q=0, *", false),
            ("identity;q=0", false),
            ("identity;q=0, *;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(said));
            assert_eq!(take_encodings(&mut headers), takes_gzip, "{said}");
            assert_eq!(headers.get(header::ACCEPT_ENCODING), takes_gzip.then_some(&GZIP), "{said}");
        }
    }
}
