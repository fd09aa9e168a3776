//! The engine: `core` decides without IO; `executor` runs it with stores, clock and tasks; `handle` is what everything
//! above asks.

pub mod check;
pub mod core;
pub mod deletion;
mod driving;
mod environments;
pub mod everywhere;
pub mod executor;
pub mod forwarding;
pub mod gauges;
pub mod handle;
pub mod json_text;
pub mod loader;
mod peers;
pub mod reads;
pub mod rebuild;
mod shown;
pub mod submissions;
mod undelivered;
pub mod watch;
pub mod work;
