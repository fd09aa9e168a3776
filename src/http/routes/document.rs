//! The API's own description: `/openapi.json`, the documentation page at `/docs`, a page for every error code.
//! Always holds: everything comes out of the binary; a browser is sent nowhere else.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use crate::http::openapi;
use crate::http::problem::{Code, Problem};

/// The document, made once: it is the same as long as the process lives.
static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::text);
static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));

/// Answers `GET /openapi.json`.
pub async fn openapi() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, DOCUMENT.as_str()).into_response()
}

/// Answers `GET /docs`.
pub async fn page() -> Redirect {
    Redirect::permanent("/docs/")
}

/// Answers `GET /docs/`.
pub async fn index() -> Result<Response, Problem> {
    file("index.html")
}

/// Answers `GET /docs/{file}`.
pub async fn asset(Path(path): Path<String>) -> Result<Response, Problem> {
    file(&path)
}

fn file(path: &str) -> Result<Response, Problem> {
    let missing = || Problem::new(Code::UnknownRoute, "the documentation has no such file");
    let found = utoipa_swagger_ui::serve(path, Arc::clone(&PAGE)).map_err(|_| missing())?;
    let found = found.ok_or_else(missing)?;
    let content_type = [(header::CONTENT_TYPE, found.content_type)];
    Ok((content_type, found.bytes.into_owned()).into_response())
}

/// Answers `GET /docs/errors/{code}`.
pub async fn error_page(Path(word): Path<String>) -> Result<Response, Problem> {
    let code = Code::parse(&word)
        .ok_or_else(|| Problem::new(Code::UnknownRoute, "there is no such error code"))?;
    let markdown = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((markdown, code.page()).into_response())
}
