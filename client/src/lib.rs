//! The commands that are clients of an engine's public HTTP API and nothing else: `orrery worker`, `submit`, `watch`,
//! `jobs`, `policies` and `healthcheck`, with what every command of the program shares (its console, its exit codes, its signals).
//!
//! Always: what passes between a command and the engine is what any other program could send and read (`api`). Absent:
//! anything of the engine's inside. This package does not know the engine's, so the two are compiled side by side.

pub mod api;
pub mod bar;
pub mod console;
pub mod failure;
pub mod healthcheck;
pub mod jobs;
pub mod policies;
pub mod random;
pub mod signals;
pub mod submit;
pub mod watch;
pub mod worker;
