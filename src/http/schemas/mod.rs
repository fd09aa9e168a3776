//! The shapes on the wire, one file a resource: requests with the way into the domain's words, answers with the
//! way out. Always holds: requests refuse unknown fields, times are RFC 3339 UTC with milliseconds, durations are
//! integers in `_ms`, what is absent in an answer is null.

pub mod complete_when;
pub mod driving;
pub mod engine;
pub mod environment;
pub mod explain;
pub mod expression;
pub mod job;
pub mod job_answer;
pub mod job_details;
pub mod job_query;
pub mod later;
pub mod lease;
pub mod lease_answer;
pub mod node;
pub mod patch;
pub mod payload;
pub mod queue;
pub mod report;
pub mod retry;
pub mod service;
pub mod time;

use domain::payload::given;
