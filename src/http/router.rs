//! Every route, in one table that reads like the API's contents page. A test
//! (`tests/engine/api/surroundings.rs`) holds it to the OpenAPI document.
//! Absent: what surrounds the routes (`layers`).

use axum::Router;
use axum::routing::{get, post};

use super::layers;
use super::parked::Served;
use super::problem::{Code, Problem};
use super::routes::{
    circuit_breakers, document, engines, environments, explain, expressions, forward, health,
    history, jobs, leases, nodes, pauses, queues, retry_policies, services, start, submissions,
    workers,
};
use super::state::Api;
use crate::engine::forwarding;

/// The whole service.
pub fn router(api: Api) -> Served {
    let routes = Router::new()
        .route("/api/v1/jobs", get(jobs::list).post(submissions::create))
        .route("/api/v1/jobs/batch", post(submissions::create_many))
        .route("/api/v1/jobs/{id}", get(jobs::get).patch(jobs::patch).delete(jobs::delete))
        .route("/api/v1/jobs/{id}/start", post(jobs::start))
        .route("/api/v1/jobs/{id}/pause", post(jobs::pause))
        .route("/api/v1/jobs/{id}/resume", post(jobs::resume))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{id}/progress", get(history::progress))
        .route("/api/v1/jobs/{id}/graph", get(nodes::graph))
        .route("/api/v1/jobs/{id}/history", get(history::list))
        .route("/api/v1/jobs/{id}/explain", get(explain::job))
        .route("/api/v1/jobs/{id}/nodes", get(nodes::list))
        .route("/api/v1/jobs/{id}/nodes/{key}", get(nodes::get).patch(nodes::patch))
        .route("/api/v1/jobs/{id}/nodes/{key}/explain", get(explain::node))
        .route("/api/v1/queues", get(queues::list))
        .route("/api/v1/queues/{queue}/lease", post(leases::lease))
        .route("/api/v1/queues/{queue}/pause", post(pauses::pause_queue))
        .route("/api/v1/queues/{queue}/resume", post(pauses::resume_queue))
        .route("/api/v1/action-types/{type}/pause", post(pauses::pause_action_type))
        .route("/api/v1/action-types/{type}/resume", post(pauses::resume_action_type))
        .route("/api/v1/job-types/{type}/pause", post(pauses::pause_job_type))
        .route("/api/v1/job-types/{type}/resume", post(pauses::resume_job_type))
        .route("/api/v1/pauses", get(pauses::list))
        .route("/api/v1/leases/heartbeat", post(leases::heartbeat))
        .route("/api/v1/leases/complete", post(leases::complete))
        .route("/api/v1/leases/fail", post(leases::fail))
        .route("/api/v1/leases/release", post(leases::release))
        .route("/api/v1/workers", get(workers::list))
        .route("/api/v1/environments", get(environments::list).post(environments::create))
        .route(
            "/api/v1/environments/{id}",
            get(environments::get).put(environments::replace).delete(environments::delete),
        )
        .route("/api/v1/retry-policies", get(retry_policies::list).post(retry_policies::create))
        .route("/api/v1/retry-policies/preview", post(retry_policies::preview))
        .route(
            "/api/v1/retry-policies/{id}",
            get(retry_policies::get).put(retry_policies::replace).delete(retry_policies::delete),
        )
        .route("/api/v1/expressions/evaluate", post(expressions::evaluate))
        .route("/api/v1/circuit-breakers/preview", post(circuit_breakers::preview))
        .route("/api/v1/services", get(services::list))
        .route("/api/v1/engines", get(engines::list))
        .route("/", get(start::start))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(document::openapi))
        .route("/docs", get(document::page))
        .route("/docs/", get(document::index))
        .route("/docs/{file}", get(document::asset))
        .route("/docs/errors/{code}", get(document::error_page));
    let routes = match api.others() {
        Some(_) => routes.route(forwarding::PATH, post(forward::forward)),
        None => routes,
    };
    let routes = routes.fallback(unknown_route).method_not_allowed_fallback(method_not_allowed);
    Served::of(layers::surround(routes, &api).with_state(api.clone()), api)
}

async fn unknown_route() -> Problem {
    Problem::new(Code::UnknownRoute, "nothing is served at this path; /openapi.json lists all")
}

/// axum adds Allow.
async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the header Allow lists the methods of this path")
}
