//! The API over a whole engine in memory, one file a resource: good input and bad input of every kind, where bad
//! input is never a 500 and nothing is stored. The clock is simulated; nothing sleeps.

mod catalog;
mod circuit_breakers;
mod clock;
mod described;
mod details;
mod environments;
mod examples;
mod explain;
mod expressions;
mod jobs;
mod leases;
mod lists;
mod named_policies;
mod next_attempt;
mod node_changes;
mod overload;
mod pages;
mod pauses;
mod quotas;
mod retention;
mod retry_counts;
mod retry_policies;
pub(crate) mod service;
mod submissions;
mod surroundings;
mod times;
mod waiting;
