//! What every operation has in common, added to the document in one place: the headers that are read, and the
//! problems that can be answered. A test calls routes with bad input and compares; here is what they promise.

use utoipa::Modify;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, Response};

use crate::http::problem::PROBLEM_JSON;

/// Of 422.
const NOT_VALID: &str = "The request is well formed and not valid; `errors` says where.";

/// Completes the document.
#[derive(Debug)]
pub(super) struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                complete(path, &method, operation);
            }
        }
    }
}

/// The operations of a path, with their methods.
pub(super) fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [
        (HttpMethod::Get, get),
        (HttpMethod::Put, put),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    .collect()
}

fn complete(path: &str, method: &HttpMethod, operation: &mut Operation) {
    if !path.starts_with("/api/") {
        // What is served beside the API has no bad input but a query.
        let is_query = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if matches!(known.parameter_in, ParameterIn::Query));
        if operation.parameters.iter().flatten().any(is_query) {
            let answer = RefOr::T(problem(NOT_VALID));
            operation.responses.responses.insert("422".to_owned(), answer);
        }
        return;
    }
    let is_post = matches!(method, HttpMethod::Post);
    let is_read = matches!(method, HttpMethod::Get);
    let is_named = path.contains("{id}") || path.contains("{name}");
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    parameters.push(RefOr::T(namespace()));
    parameters.push(RefOr::T(request_id()));
    if is_post {
        parameters.push(RefOr::T(idempotency_key()));
    }
    if is_named && !is_read {
        parameters.push(RefOr::T(if_match()));
    }
    let mut add = |status: &str, description: &str| {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    };
    add("422", NOT_VALID);
    add("500", "A mistake of the engine; the log has the details under the request id.");
    add("503", "Not now: overloaded, stopping, or the store does not answer. See `Retry-After`.");
    if is_named {
        add("404", "There is no such thing in this namespace.");
    }
    if !is_read {
        add("403", "A browser sent it on behalf of another site.");
        add("409", "The state of the thing does not allow this.");
        add("507", "The storage is too full for new work.");
    }
    if is_named && !is_read {
        add("412", "If-Match names another version.");
    }
    if path.ends_with("/lease") {
        add("429", "As many requests wait for work as may. See `Retry-After`.");
    }
    if operation.request_body.is_some() {
        add("400", "The body is not JSON.");
        add("408", "The body stopped coming.");
        add("413", "The body is larger than 8 MiB.");
        add("415", "The body is not declared as application/json.");
    }
}

fn problem(description: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let header = HeaderBuilder::new()
        .schema(Some(RefOr::T(Schema::Object(text().build()))))
        .description(Some("The id of the request, for reports of problems."))
        .build();
    ResponseBuilder::new()
        .description(description)
        .header("X-Request-Id", header)
        .content(PROBLEM_JSON, content)
        .build()
}

fn header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(RefOr::T(Schema::Object(schema.build()))))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn namespace() -> Parameter {
    let schema = text().pattern(Some("^[A-Za-z0-9_.-]{1,64}$"));
    header("Orrery-Namespace", "Whose things are meant; `default` when absent.", schema)
}

fn request_id() -> Parameter {
    let description = "Names the request in logs and history; replaced unless it is 1-128 visible \
                       ASCII characters; always in the answer.";
    header("X-Request-Id", description, text())
}

fn idempotency_key() -> Parameter {
    let description = "Makes a request that is sent twice count once: the same key and body give \
                       the first answer again.";
    header("Idempotency-Key", description, text().pattern(Some("^[!-~]{1,255}$")))
}

fn if_match() -> Parameter {
    let description = "The ETag the change is based on, or `*`; 412 when it has changed since.";
    header("If-Match", description, text())
}
