//! What every operation has in common, added to the document in one place: the headers that are read, and the
//! problems that can be answered. A test calls routes with bad input and compares; here is what they promise.
//! Absent: what those headers and problems are (`shared`).

use utoipa::Modify;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::{Components, OpenApi, RefOr, Response};

use super::shared::{self, SharedAnswer, SharedParameter};

/// Operations whose Idempotency-Key is read. The other POSTs are repeated safely by their meaning: a report names its
/// lease, a heartbeat changes nothing.
const KEYED: [&str; 9] = [
    "createJob",
    "createJobs",
    "startJob",
    "pauseJob",
    "resumeJob",
    "cancelJob",
    "leaseWork",
    "createEnvironment",
    "createRetryPolicy",
];

/// Completes the document.
#[derive(Debug)]
pub(super) struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                share_parameters(path, operation, components);
                complete(path, &method, operation);
            }
        }
        shared::define(components);
    }
}

/// Parameters of lists and paths that several operations read become components. One that differs from the first of its
/// name stays where it is.
fn share_parameters(path: &str, operation: &mut Operation, components: &mut Components) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(own) = &*parameter else { continue };
        let name = match own.name.as_str() {
            "page" => "Page",
            "page_size" => "PageSize",
            "cursor" => "Cursor",
            "id" if path.starts_with("/api/v1/jobs/") => "JobId",
            "id" if path.starts_with("/api/v1/environments/") => "EnvironmentName",
            "id" if path.starts_with("/api/v1/retry-policies/") => "RetryPolicyId",
            _ => continue,
        };
        let definition = parameter.clone();
        let known = components.parameters.entry(name.to_owned()).or_insert_with(|| definition);
        if known == parameter {
            *parameter = shared::parameter_reference(name);
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
    share_headers(operation);
    if !path.starts_with("/api/") {
        // What is served beside the API has no bad input but a query.
        let is_query = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if matches!(known.parameter_in, ParameterIn::Query));
        if operation.parameters.iter().flatten().any(is_query) {
            add(operation, &[shared::INVALID]);
        }
        return;
    }
    let is_read = matches!(method, HttpMethod::Get);
    let is_named = path.contains("{id}") || path.contains("{name}");
    let is_keyed = KEYED.iter().any(|id| operation.operation_id.as_deref() == Some(*id));
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    parameters.push(SharedParameter::Namespace.reference());
    parameters.push(SharedParameter::RequestId.reference());
    if is_keyed {
        parameters.push(SharedParameter::IdempotencyKey.reference());
    }
    if is_named && !is_read {
        parameters.push(SharedParameter::IfMatch.reference());
    }
    add(
        operation,
        &[
            shared::MALFORMED,
            shared::HOST_NOT_SERVED,
            shared::INVALID,
            shared::INTERNAL_ERROR,
            shared::UNAVAILABLE,
        ],
    );
    if is_named {
        add(operation, &[shared::NOT_FOUND]);
    }
    if path.starts_with("/api/v1/jobs/{id}") {
        add(operation, &[shared::GONE]);
    }
    if !is_read {
        add(operation, &[shared::CROSS_SITE, shared::CONFLICT, shared::STORAGE_FULL]);
    }
    if is_named && !is_read {
        add(operation, &[shared::PRECONDITION_FAILED]);
    }
    // What may wait long, finds no place to wait in when as many wait as may; what is keyed, no room for its key.
    let waits = ["completeLeases", "failLeases", "getJob"];
    if is_keyed || waits.iter().any(|id| operation.operation_id.as_deref() == Some(*id)) {
        add(operation, &[shared::TOO_MANY]);
    }
    if operation.request_body.is_some() {
        add(
            operation,
            &[shared::BODY_TOO_SLOW, shared::BODY_TOO_LARGE, shared::UNSUPPORTED_MEDIA_TYPE],
        );
    }
}

/// Adds the answers that the operation does not describe itself.
fn add(operation: &mut Operation, answers: &[SharedAnswer]) {
    for shared in answers {
        let responses = &mut operation.responses.responses;
        responses.entry(shared.status.to_owned()).or_insert_with(|| shared.reference());
    }
}

/// The headers that handlers name become references to the shared ones.
fn share_headers(operation: &mut Operation) {
    let answers = operation.responses.responses.values_mut();
    let own = answers.filter_map(|answer| match answer {
        RefOr::T(own) => Some(own),
        RefOr::Ref(_) => None,
    });
    let headers = own.flat_map(|answer: &mut Response| answer.headers.iter_mut());
    for (name, header) in headers {
        let reference: Option<RefOr<Header>> = shared::header_reference(name);
        if let Some(reference) = reference {
            *header = reference;
        }
    }
}
