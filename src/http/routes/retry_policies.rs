//! Retry policies: those that a namespace keeps by name, and any of them seen in advance.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::catalog::command::CatalogCommand;
use domain::catalog::policy::CatalogPolicy;
use domain::ids::{Namespace, PolicyId, PolicyName};
use domain::refusal::Refusal;
use domain::retry::spec::RetrySpec;

use crate::http::commands::{by_client, expected};
use crate::http::extract::headers::{ApiCaller, IdempotencyKey, IfMatch};
use crate::http::extract::json::ValidJson;
use crate::http::extract::path::PolicyPath;
use crate::http::extract::query::Query;
use crate::http::idempotency;
use crate::http::page::{self, TotalCount};
use crate::http::problem::Problem;
use crate::http::routes::{json, located, versioned};
use crate::http::schemas::retry::policies::{
    CreatePolicyBody, PolicyListAnswer, ReplacePolicyBody,
};
use crate::http::schemas::retry::{PreviewAnswer, PreviewBody};
use crate::http::state::Api;
use crate::view::resources::retry_policy::RetryPolicyResource;

/// List the retry policies
///
/// Those of the namespace, by name.
#[utoipa::path(
    get, path = "/api/v1/retry-policies", tag = "retry policies", operation_id = "listRetryPolicies",
    params(page::PageParameters),
    responses((status = 200, description = "A page of retry policies", body = PolicyListAnswer)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_named(query, 'p')?;
    let as_of = api.engine().now();
    let catalog = api.engine().catalogs().now(&caller.namespace).await?;
    let kept = catalog.iter().flat_map(|catalog| catalog.policies.values());
    let behind =
        kept.filter(|policy| asked.after().is_none_or(|after| policy.name.as_str() > after));
    let found: Vec<Arc<CatalogPolicy>> = behind.take(asked.wanted()).map(Arc::clone).collect();
    let count = catalog.as_ref().map_or(0, |catalog| catalog.policies.len());
    let total = TotalCount::Exact(count as u64);
    let (policies, page) = asked.cut(found, |policy| policy.name.clone(), total, as_of);
    let shown = policies.iter().map(|policy| RetryPolicyResource::of(&caller.namespace, policy));
    let answer = PolicyListAnswer { retry_policies: shown.collect(), page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// Create a retry policy
///
/// Jobs name it with `{"policy_id": ...}`, its id or its name.
#[utoipa::path(
    post, path = "/api/v1/retry-policies", tag = "retry policies", operation_id = "createRetryPolicy",
    request_body(content = CreatePolicyBody, description = "The policy", example = json!({
        "name": "flaky http", "strategy": "exponential_backoff", "max_attempts": 5, "base_delay_ms": 500,
        "retryable_error_types": ["Timeout", "Http5*"], "tags": ["http"],
    })),
    responses((
        status = 201, description = "The policy is stored", body = RetryPolicyResource,
        headers(
            ("Location" = String, description = "Where the policy is"),
            ("ETag" = String, description = "The policy's version"),
        ),
    )),
)]
pub async fn create(
    State(api): State<Api>,
    caller: ApiCaller,
    key: IdempotencyKey,
    body: ValidJson<CreatePolicyBody>,
) -> Result<Response, Problem> {
    let mark = idempotency::mark("POST /retry-policies", &key, &body.text);
    let (name, definition) = body.value.into_definition().map_err(Problem::invalid)?;
    let namespace = caller.namespace.clone();
    let id = PolicyId::of_name(&namespace, &name);
    let command = CatalogCommand::CreatePolicy { namespace, name, definition };
    let by = by_client(&caller, mark, None);
    let changed = api.retries().change_policy(&caller.namespace, id, command, by).await?;
    let policy = changed.subject.ok_or(Refusal::RetryPolicyNotFound)?;
    let response = shown(StatusCode::CREATED, &caller.namespace, &policy);
    Ok(located(response, format!("/api/v1/retry-policies/{}", policy.id)))
}

/// Get a retry policy
#[utoipa::path(
    get, path = "/api/v1/retry-policies/{id}", tag = "retry policies", operation_id = "getRetryPolicy",
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The policy", body = RetryPolicyResource,
        headers(("ETag" = String, description = "The policy's version")))),
)]
pub async fn get(
    State(api): State<Api>,
    caller: ApiCaller,
    PolicyPath(reference): PolicyPath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let id = id_of(&caller, &reference)?;
    let policy = read(&api, &caller, id).await?;
    Ok(shown(StatusCode::OK, &caller.namespace, &policy))
}

/// Replace a retry policy
///
/// Jobs that name it keep what they were submitted with.
#[utoipa::path(
    put, path = "/api/v1/retry-policies/{id}", tag = "retry policies", operation_id = "replaceRetryPolicy",
    params(("id" = String, Path, description = "Its id, or its name")),
    request_body(content = ReplacePolicyBody, description = "The policy anew",
        example = json!({"strategy": "fibonacci_backoff", "max_attempts": 8})),
    responses((status = 200, description = "The changed policy", body = RetryPolicyResource,
        headers(("ETag" = String, description = "The policy's version")))),
)]
pub async fn replace(
    State(api): State<Api>,
    caller: ApiCaller,
    PolicyPath(reference): PolicyPath,
    if_match: IfMatch,
    body: ValidJson<ReplacePolicyBody>,
) -> Result<Response, Problem> {
    let policy = id_of(&caller, &reference)?;
    let is_named = |name: &str| {
        let name = PolicyName::parse_given(name);
        name.is_ok_and(|name| PolicyId::of_name(&caller.namespace, &name) == policy)
    };
    let definition = body.value.into_definition(is_named).map_err(Problem::invalid)?;
    let command = CatalogCommand::ReplacePolicy { policy, definition };
    let changed = change(&api, &caller, &if_match, policy, command).await?;
    let policy = changed.ok_or(Refusal::RetryPolicyNotFound)?;
    Ok(shown(StatusCode::OK, &caller.namespace, &policy))
}

/// Delete a retry policy
///
/// Jobs that name it keep what they were submitted with.
#[utoipa::path(
    delete, path = "/api/v1/retry-policies/{id}", tag = "retry policies", operation_id = "deleteRetryPolicy",
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 204, description = "It is deleted")),
)]
pub async fn delete(
    State(api): State<Api>,
    caller: ApiCaller,
    PolicyPath(reference): PolicyPath,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let policy = id_of(&caller, &reference)?;
    change(&api, &caller, &if_match, policy, CatalogCommand::DeletePolicy { policy }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Preview a retry policy
///
/// Shows the waits of a node whose attempts all fail in the same way. Nothing is stored.
#[utoipa::path(
    post, path = "/api/v1/retry-policies/preview", tag = "retry policies", operation_id = "previewRetryPolicy",
    request_body(content = PreviewBody, description = "The policy, and how its node fails", example = json!({
        "policy": {"strategy": "exponential_backoff", "max_attempts": 5, "base_delay_ms": 500},
        "attempts": 5, "draws": [0.5], "error": {"type": "Timeout", "status": 503},
    })),
    responses((status = 200, description = "The waits", body = PreviewAnswer)),
)]
pub async fn preview(
    State(api): State<Api>,
    caller: ApiCaller,
    body: ValidJson<PreviewBody>,
) -> Result<Response, Problem> {
    let (mut body, now) = (body.value, api.engine().now());
    let previewed = body.take_policy();
    let named = match previewed.spec.as_ref().and_then(RetrySpec::reference) {
        Some(reference) => {
            let catalog = api.engine().catalogs().now(&caller.namespace).await?;
            catalog.and_then(|catalog| catalog.named(reference))
        }
        None => None,
    };
    // An expression in a policy is asked once an attempt: beside the runtime.
    let work = move || body.previewed(previewed, named, now);
    Ok(json(StatusCode::OK, &api.parsers().run(usize::MAX, work).await??))
}

/// What the path names; what can be no policy's is not found.
fn id_of(caller: &ApiCaller, reference: &str) -> Result<PolicyId, Problem> {
    let id = PolicyId::of_reference(&caller.namespace, reference);
    id.ok_or_else(|| Refusal::RetryPolicyNotFound.into())
}

async fn change(
    api: &Api,
    caller: &ApiCaller,
    if_match: &IfMatch,
    policy: PolicyId,
    command: CatalogCommand,
) -> Result<Option<Arc<CatalogPolicy>>, Problem> {
    let now = async { Ok(read(api, caller, policy).await?.version) };
    let expected = expected(if_match, now).await?;
    let by = by_client(caller, None, expected);
    Ok(api.retries().change_policy(&caller.namespace, policy, command, by).await?.subject)
}

async fn read(
    api: &Api,
    caller: &ApiCaller,
    policy: PolicyId,
) -> Result<Arc<CatalogPolicy>, Problem> {
    let catalog = api.engine().catalogs().now(&caller.namespace).await?;
    let found = catalog.and_then(|catalog| catalog.policy(policy).map(Arc::clone));
    found.ok_or_else(|| Refusal::RetryPolicyNotFound.into())
}

fn shown(status: StatusCode, namespace: &Namespace, policy: &CatalogPolicy) -> Response {
    versioned(status, policy.version, &RetryPolicyResource::of(namespace, policy))
}
