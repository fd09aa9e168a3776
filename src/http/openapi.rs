//! The OpenAPI document: what the handlers declare, completed by what holds for all of them (headers, problems), with
//! answers that may grow.
//! Always holds (tests below): every operation has a unique camelCase id, one tag and a summary, every response a
//! description, every error the one problem component, every request body an example, every reference a target.
//! Absent: the docs page.

mod defaults;
mod enum_names;
mod every_operation;
mod open_answers;
mod schemas;
mod shared;

use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;
use utoipa::OpenApi;

use self::defaults::DefaultsInWords;
use self::enum_names::EnumNames;
use self::every_operation::Completed;
use self::open_answers::OpenAnswers;
use super::problem::{FieldErrorBody, ProblemBody};
use super::routes::{
    circuit_breakers, engines, environments, explain, expressions, health, history, jobs, leases,
    nodes, pauses, queues, retry_policies, services, start, submissions, workers,
};

/// The document of this version.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orrery",
        description = "Runs jobs made of DAG nodes, retries what fails, recovers what is stuck, and proves it.\n\n\
                       Every error is problem+json with a stable `code`; `/docs/errors/<code>` explains it. Lists \
                       page with `page` and `page_size`, deeper with `cursor`. Answers may grow: fields, and the words of `x-extensible-enum`. The \
                       header `Orrery-Engine` of every answer names the engine that gave it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers(
        (url = "/", description = "The engine that serves this document"),
        (url = "http://127.0.0.1:8080", description = "An engine with default settings"),
    ),
    tags(
        (name = "jobs", description = "Submitting, watching and steering jobs"),
        (name = "nodes", description = "The steps of a job"),
        (name = "leases", description = "Work for workers"),
        (name = "queues", description = "What waits for workers, and who they are"),
        (name = "pauses", description = "Holding back a queue, an action type or a job type"),
        (name = "retry policies", description = "When and how failed attempts are repeated"),
        (name = "environments", description = "Pools of resources that jobs are admitted into"),
        (name = "circuit breakers", description = "What holds calls to a failing target back"),
        (name = "services", description = "The parts of the engine"),
        (name = "engines", description = "The engines that serve the same jobs"),
        (name = "health", description = "For whoever keeps the engine running"),
    ),
    paths(
        submissions::create, submissions::create_many,
        jobs::list, jobs::get, jobs::patch, jobs::delete,
        jobs::start, jobs::pause, jobs::resume, jobs::cancel,
        history::progress, nodes::graph, history::list, explain::job, nodes::list, nodes::get,
        nodes::patch, pauses::list, pauses::pause_queue, pauses::resume_queue, pauses::pause_action_type,
        pauses::resume_action_type, pauses::pause_job_type, pauses::resume_job_type,
        explain::node,
        leases::lease, leases::heartbeat, leases::complete, leases::fail, leases::release,
        queues::list, workers::list,
        environments::list, environments::create, environments::get, environments::replace,
        environments::delete, expressions::evaluate,
        retry_policies::list, retry_policies::create, retry_policies::get, retry_policies::replace,
        retry_policies::delete, retry_policies::preview, circuit_breakers::preview,
        services::list, engines::list, start::start, health::livez, health::readyz, health::metrics),
    components(schemas(ProblemBody<'static>, FieldErrorBody<'static>)),
    modifiers(&Completed, &OpenAnswers, &DefaultsInWords, &EnumNames),
)]
struct Document;

/// The OpenAPI document of this engine, made once.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as JSON text, as it is served, and checked in with a line break at its end.
pub fn text() -> String {
    let mut text = Vec::new();
    // One space a level: two make the file a quarter larger.
    let layout = PrettyFormatter::with_indent(b" ");
    // Serializing plain data into memory has no way to fail.
    let written = document().serialize(&mut Serializer::with_formatter(&mut text, layout));
    written.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
