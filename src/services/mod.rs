//! The services: what the engine does by itself and on request, each with the shared life of `lifecycle`; and the
//! reads that people ask for (`queries`).
//! Always holds: services never call one another; what one wants of another's subjects it sends as a command.

pub mod driver;
pub mod housekeeping;
pub mod job_scheduler;
pub mod lifecycle;
pub mod queries;
pub mod retry_manager;
pub mod view_writer;
