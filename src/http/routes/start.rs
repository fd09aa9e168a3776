//! `GET /`: where to begin. A page for a browser, the same as JSON for everybody else.
//! Always holds: nothing of the request but a plain host name is repeated. Absent: styles and scripts, which the policy of
//! pages would refuse.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::routes::json;

/// Where an engine with default settings is reached.
const DEFAULT_HOST: &str = "127.0.0.1:8080";

/// Where to begin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StartPage)]
pub struct StartAnswer {
    /// Of the program.
    name: &'static str,
    /// Of the program.
    version: &'static str,
    /// Pages and documents of this engine, by what they are, relative to this server.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    links: Links,
    /// Submits a job of one node.
    first_request: String,
}

/// What is linked to.
#[derive(Debug, Serialize)]
struct Links {
    docs: &'static str,
    jobs: &'static str,
    livez: &'static str,
    metrics: &'static str,
    openapi: &'static str,
    readyz: &'static str,
}

const LINKS: Links = Links {
    docs: "/docs/",
    jobs: "/api/v1/jobs",
    livez: "/livez",
    metrics: "/metrics",
    openapi: "/openapi.json",
    readyz: "/readyz",
};

/// Get what to begin with
///
/// Links to the documentation, health and metrics, and a first request to try; a page for who takes `text/html`.
#[utoipa::path(
    get, path = "/", tag = "health", operation_id = "getStart",
    responses((status = 200, description = "Where to begin", content(
        (StartAnswer = "application/json"), (String = "text/html"),
    ))),
)]
pub async fn start(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| is_plain(host)).unwrap_or(DEFAULT_HOST);
    let answer = StartAnswer {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        links: LINKS,
        first_request: format!(
            "curl -H 'content-type: application/json' -d '{{\"name\": \"first\", \"nodes\": [{{\"key\": \"hello\"}}]}}' \
             http://{host}{}",
            LINKS.jobs
        ),
    };
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut response = if accept.is_some_and(|accept| accept.contains("text/html")) {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page(&answer)).into_response()
    } else {
        json(StatusCode::OK, &answer)
    };
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}

/// A host that needs no escape, neither in a page nor in a shell.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'[' | b']')
    })
}

fn page(answer: &StartAnswer) -> String {
    let StartAnswer { name, version, links, first_request } = answer;
    let link = |to: &str, about: &str| format!("<li><a href=\"{to}\">{to}</a>: {about}</li>");
    let links = [
        link(links.docs, "the API, to read and to try"),
        link(links.openapi, "the same for programs"),
        link(links.jobs, "the jobs"),
        link(links.readyz, "whether it takes requests"),
        link(links.livez, "whether it lives"),
        link(links.metrics, "its measures"),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title></head><body>\n\
         <h1>{name} {version}</h1>\n<p>It runs jobs made of DAG nodes, retries what fails, recovers what is stuck, and proves \
         it.</p>\n<ul>{}</ul>\n<p>A first job:</p>\n<pre>{first_request}</pre>\n</body></html>\n",
        links.join("\n")
    )
}
