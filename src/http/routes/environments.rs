//! Environments: pools of resources that jobs are admitted into. `default` is always there and never changes.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::environment::command::EnvironmentCommand;
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, SubjectKind};
use domain::refusal::Refusal;

use crate::http::commands::{by_client, expected};
use crate::http::extract::headers::{ApiCaller, IdempotencyKey, IfMatch};
use crate::http::extract::json::ValidJson;
use crate::http::extract::path::EnvironmentPath;
use crate::http::extract::query::Query;
use crate::http::idempotency;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::routes::{json, located, raw_items, versioned};
use crate::http::schemas::environment::{DefinitionBody, EnvironmentBody, EnvironmentListAnswer};
use crate::http::state::Api;
use crate::view::contract::Total;
use crate::view::resources::environment::EnvironmentResource;

/// List the environments
#[utoipa::path(
    get, path = "/api/v1/environments", tag = "environments", operation_id = "listEnvironments",
    params(page::PageParameters),
    responses((status = 200, description = "A page of environments", body = EnvironmentListAnswer<'static>)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: ApiCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let asked = page::only_page(query, 'e')?;
    let as_of = api.queries().as_of().await;
    let (items, total) = part(&api, &caller, asked.skipped(), asked.page_size).await?;
    let page = asked.positioned('e', total, as_of);
    let answer = EnvironmentListAnswer { environments: raw_items(&items)?, page };
    Ok(page::listed(&uri, &answer, &answer.page))
}

/// A part of a namespace's environments, and how many there are. `default`, which comes first, is in no view: what the view
/// shows stands one place further on, so that a part may lie on two of its pages.
async fn part(
    api: &Api,
    caller: &ApiCaller,
    skipped: usize,
    page_size: u32,
) -> Result<(Vec<Arc<str>>, u64), Problem> {
    let (namespace, size) = (&caller.namespace, page_size as usize);
    let mut items: Vec<Arc<str>> = Vec::with_capacity(size);
    if skipped == 0 {
        let default = serde_json::to_string(&EnvironmentResource::of_default(namespace));
        items.push(Arc::from(default.unwrap_or_default()));
    }
    let first = skipped.saturating_sub(1);
    let (mut number, mut passed) = (first / size, first % size);
    let mut stored = None;
    // The total comes with the first page, also where nothing of it is shown.
    while stored.is_none() || items.len() < size {
        let page = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let view = api.engine().views().documents();
        let kind = SubjectKind::Environment;
        let found = view.named(namespace.clone(), kind, page, page_size).await?;
        stored.get_or_insert(match found.total {
            Total::Exact(count) | Total::AtLeast(count) => count,
        });
        let is_last = found.items.len() < size;
        let missing = size.saturating_sub(items.len());
        items.extend(found.items.into_iter().skip(passed).take(missing));
        if is_last {
            break;
        }
        (number, passed) = (number + 1, 0);
    }
    Ok((items, stored.unwrap_or(0).saturating_add(1)))
}

/// Create an environment
#[utoipa::path(
    post, path = "/api/v1/environments", tag = "environments", operation_id = "createEnvironment",
    request_body(content = EnvironmentBody, description = "The environment", example = json!({
        "name": "gpu", "capacity": {"slots": 4},
    })),
    responses((
        status = 201, description = "The environment is stored", body = EnvironmentResource,
        headers(
            ("Location" = String, description = "Where the environment is"),
            ("ETag" = String, description = "The environment's version"),
        ),
    )),
)]
pub async fn create(
    State(api): State<Api>,
    caller: ApiCaller,
    key: IdempotencyKey,
    body: ValidJson<EnvironmentBody>,
) -> Result<Response, Problem> {
    let mark = idempotency::mark("POST /environments", &key, &body.text);
    let (name, definition) = body.value.into_definition().map_err(Problem::invalid)?;
    if is_default(&name) {
        return Err(Refusal::EnvironmentExists.into());
    }
    let by = by_client(&caller, mark, None);
    let engine = api.engine();
    let changed = engine.environments().define(&caller.namespace, &name, definition, by).await?;
    let response = shown(StatusCode::CREATED, &changed.subject);
    Ok(located(response, format!("/api/v1/environments/{name}")))
}

/// Get an environment
#[utoipa::path(
    get, path = "/api/v1/environments/{id}", tag = "environments", operation_id = "getEnvironment",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, description = "The environment", body = EnvironmentResource,
        headers(("ETag" = String, description = "The environment's version")))),
)]
pub async fn get(
    State(api): State<Api>,
    caller: ApiCaller,
    EnvironmentPath(name): EnvironmentPath,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    if is_default(&name) {
        return Ok(json(StatusCode::OK, &EnvironmentResource::of_default(&caller.namespace)));
    }
    let state = read(&api, &caller, &name).await?;
    Ok(shown(StatusCode::OK, &state))
}

/// Replace an environment
///
/// A capacity below the present use is allowed: grants stay, and nothing new is granted until it fits.
#[utoipa::path(
    put, path = "/api/v1/environments/{id}", tag = "environments", operation_id = "replaceEnvironment",
    params(("id" = String, Path, description = "Its name")),
    request_body(content = DefinitionBody, description = "The environment anew",
        example = json!({"capacity": {"slots": 8}})),
    responses((status = 200, description = "The changed environment", body = EnvironmentResource,
        headers(("ETag" = String, description = "The environment's version")))),
)]
pub async fn replace(
    State(api): State<Api>,
    caller: ApiCaller,
    EnvironmentPath(name): EnvironmentPath,
    if_match: IfMatch,
    body: ValidJson<DefinitionBody>,
) -> Result<Response, Problem> {
    let definition = body.value.into_definition().map_err(Problem::invalid)?;
    let command = EnvironmentCommand::Update(definition);
    let state = change(&api, &caller, &name, &if_match, command).await?;
    Ok(shown(StatusCode::OK, &state))
}

/// Delete an environment
///
/// Refused while jobs hold or ask for a grant.
#[utoipa::path(
    delete, path = "/api/v1/environments/{id}", tag = "environments", operation_id = "deleteEnvironment",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is deleted")),
)]
pub async fn delete(
    State(api): State<Api>,
    caller: ApiCaller,
    EnvironmentPath(name): EnvironmentPath,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    // How many wait is known to its driver, which fills it in.
    let command = EnvironmentCommand::Delete { waiting: 0 };
    change(&api, &caller, &name, &if_match, command).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn change(
    api: &Api,
    caller: &ApiCaller,
    name: &EnvironmentName,
    if_match: &IfMatch,
    command: EnvironmentCommand,
) -> Result<EnvironmentState, Problem> {
    if is_default(name) {
        return Err(Refusal::EnvironmentFixed.into());
    }
    let now = async { Ok(read(api, caller, name).await?.seq) };
    let expected = expected(if_match, now).await?;
    let by = by_client(caller, None, expected);
    let changed = api.engine().environments().change(&caller.namespace, name, command, by).await?;
    Ok(changed.subject)
}

async fn read(
    api: &Api,
    caller: &ApiCaller,
    name: &EnvironmentName,
) -> Result<EnvironmentState, Problem> {
    let found = api.engine().environments().get(&caller.namespace, name).await?;
    found.ok_or_else(|| Refusal::EnvironmentNotFound.into())
}

fn is_default(name: &EnvironmentName) -> bool {
    *name == EnvironmentName::default_environment()
}

fn shown(status: StatusCode, state: &EnvironmentState) -> Response {
    versioned(status, state.seq, &EnvironmentResource::from(state))
}
