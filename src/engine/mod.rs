//! The engine: `core` decides without IO; `executor` runs it with stores, clock and tasks; `handle` is what everything
//! above asks, by its faces: `jobs`, `environments`, `catalogs`, `leases`, `cluster`, `views`, `streams`.

mod catalog_copies;
pub mod catalogs;
pub mod check;
pub mod cluster;
pub mod cluster_queries;
pub mod core;
pub mod deletion;
pub mod environments;
pub mod error;
pub mod evaluation;
pub mod executor;
pub mod forward;
pub mod forwarding;
pub mod gauges;
pub mod handle;
pub mod jobs;
pub mod json_text;
pub mod leases;
pub mod loader;
mod mailbox;
pub mod rebuild;
mod records;
mod shared;
pub mod streams;
mod undelivered;
pub mod views;
pub mod watch;
