//! The engine: `core` decides without IO; `executor` runs it with stores, clock and tasks; `handle` is what everything
//! above asks.

pub mod check;
pub mod cluster_queries;
pub mod core;
pub mod deletion;
mod driving;
mod environments;
pub mod executor;
pub mod forwarding;
pub mod gauges;
pub mod handle;
pub mod json_text;
pub mod loader;
mod peers;
pub mod reads;
pub mod rebuild;
pub mod submissions;
mod undelivered;
mod view_watermark;
pub mod watch;
pub mod work;
