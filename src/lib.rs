//! Orrery, an orchestration and recovery engine. One line a layer; each names only what stands above it
//! (`tests/architecture.rs` holds the order).

// A new state, fact, request or answer must visit every match. Tests and benches may pass over what they do not mean.
#![warn(clippy::wildcard_enum_match_arm)]

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
