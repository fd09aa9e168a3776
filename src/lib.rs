//! Orrery, an orchestration and recovery engine. One line a layer; each names only what stands above it
//! (`tests/architecture.rs` holds the order).

pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod environment;
pub mod event_store;
pub mod http;
pub mod membership;
pub mod services;
pub mod telemetry;
pub mod view;
