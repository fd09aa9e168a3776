//! The table against the document, and what surrounds every route.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::environment::Surroundings;
use crate::http::openapi;
use crate::http::problem::PROBLEM_JSON;
use crate::http::state::{Parts, ReadyCheck};
use crate::telemetry::metrics;

fn service(ready: bool) -> Router {
    let Ok(recorder) = metrics::install() else { panic!("metrics can be installed") };
    let (outside, _) = Surroundings::simulated(1_700_000_000_000, 1);
    let check = ReadyCheck { name: "store".to_owned(), ok: ready, detail: None };
    router(Api::new(Parts { outside, recorder, ready: Box::new(move || vec![check.clone()]) }))
}

async fn send(service: Router, request: Request<Body>) -> Response<Body> {
    let Ok(response) = service.oneshot(request).await;
    response
}

fn request(method: Method, path: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

async fn problem(response: Response<Body>) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    body(response).await
}

async fn body(response: Response<Body>) -> Value {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[tokio::test]
async fn an_unknown_path_and_method_are_problems_like_any_other() {
    let missing = send(service(true), request(Method::GET, "/nothing?secret=1")).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let missing = problem(missing).await;
    assert_eq!(missing["code"], "unknown_route");
    assert_eq!(missing["instance"], "/nothing");
    assert!(missing["request_id"].is_string());
    let refused = send(service(true), request(Method::DELETE, "/livez")).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()[header::ALLOW], "GET,HEAD");
    assert_eq!(problem(refused).await["code"], "method_not_allowed");
}

#[tokio::test]
async fn every_documented_operation_is_routed() {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap_or_default();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in item.as_object().into_iter().flatten().map(|(method, _)| method) {
            let path = path.replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
            let response = send(service(true), request(method.clone(), &path)).await;
            assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if response.status() == StatusCode::NOT_FOUND {
                assert_ne!(problem(response).await["code"], "unknown_route", "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_id_is_kept_or_replaced_and_always_returned() {
    let mut asked = request(Method::GET, "/livez");
    asked.headers_mut().insert("x-request-id", header::HeaderValue::from_static("mine-1"));
    let answered = send(service(true), asked).await;
    assert_eq!(answered.headers()["x-request-id"], "mine-1");
    assert_eq!(answered.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let mut asked = request(Method::GET, "/livez");
    asked.headers_mut().insert("x-request-id", header::HeaderValue::from_static("not mine"));
    let answered = send(service(true), asked).await;
    assert_ne!(answered.headers()["x-request-id"], "not mine");
}

#[tokio::test]
async fn readiness_shows_its_checks_only_when_asked() {
    let ready = send(service(true), request(Method::GET, "/readyz")).await;
    assert_eq!(ready.status(), StatusCode::OK);
    assert!(body(ready).await.get("checks").is_none());
    let unready = send(service(false), request(Method::GET, "/readyz?verbose")).await;
    assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(unready).await["checks"][0]["ok"], false);
    let wrong = send(service(true), request(Method::GET, "/readyz?loud")).await;
    assert_eq!(problem(wrong).await["errors"][0]["pointer"], "loud");
}

#[tokio::test]
async fn a_write_from_another_site_is_refused() {
    let mut asked = request(Method::POST, "/livez");
    asked.headers_mut().insert("sec-fetch-site", header::HeaderValue::from_static("cross-site"));
    let refused = send(service(true), asked).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(problem(refused).await["code"], "cross_site");
}

#[tokio::test]
async fn the_documentation_comes_out_of_the_binary() {
    for path in ["/docs/", "/docs/swagger-initializer.js", "/docs/errors/lease_lost"] {
        let answered = send(service(true), request(Method::GET, path)).await;
        assert_eq!(answered.status(), StatusCode::OK, "{path}");
    }
    for path in ["/docs/nothing.js", "/docs/errors/nothing"] {
        let answered = send(service(true), request(Method::GET, path)).await;
        assert_eq!(answered.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem(answered).await["code"], "unknown_route");
    }
}
