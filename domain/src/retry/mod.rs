//! When a failed attempt is followed by another, and after which wait (binding: `retry-and-failures.md`).

pub mod backoff;
pub mod breaker;
pub mod check;
pub mod classify;
pub mod condition;
pub mod derive;
pub mod facts;
pub mod named;
pub mod policy;
pub mod preview;
pub mod rules;
pub mod spec;
pub mod strategy;
pub mod verdict;
pub mod windows;
