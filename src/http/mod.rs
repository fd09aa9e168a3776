//! The REST service: `router` is its contents page, `extract` reads requests, `schemas` are the shapes on the
//! wire, `routes` extract, send and map, `problem` is the only place that gives errors their status.

pub mod bodies;
pub mod commands;
pub mod delivery;
mod engine_header;
pub mod extract;
pub mod hosts;
pub mod idempotency;
pub mod layers;
pub mod lease_tokens;
pub mod openapi;
pub mod page;
pub mod parked;
pub mod peers;
pub mod problem;
mod queue_metrics;
pub mod router;
pub mod routes;
pub mod schemas;
pub mod shedding;
pub mod state;
pub mod waiters;
