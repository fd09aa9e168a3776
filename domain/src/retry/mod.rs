//! When a failed attempt is followed by another, and after which wait (binding: `retry-and-failures.md`).

pub mod backoff;
pub mod breaker;
pub mod check;
pub mod classify;
pub mod policy;
pub mod verdict;
