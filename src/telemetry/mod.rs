//! How the engine is seen from outside: log lines, metrics, and the ids that tie a request to both.
//! Every name stands here once: metric names in `metrics`, the fields of a log line in `log`, the rules for ids that
//! arrive in headers in `correlation`. Absent: what is measured or logged, which each layer decides where it happens.

pub mod correlation;
pub mod log;
pub mod lossy;
pub mod metrics;
