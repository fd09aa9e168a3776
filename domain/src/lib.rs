//! The rules of Orrery: every decision the engine can make, as pure functions over one subject.
//! `decide` reads a state and a command and gives events; `apply` assigns what events say and cannot refuse.
//! This crate may never contain: IO, a clock, randomness, async, iteration over a hashed map.

// A new state, fact, request or answer must visit every match. Tests and benches may pass over what they do not mean.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod bounds;
pub mod catalog;
pub mod dice;
pub mod environment;
pub mod exact_json;
pub mod expression;
pub mod history;
pub mod ids;
pub mod job;
pub mod node;
pub mod payload;
pub mod planted;
pub mod refusal;
pub mod retry;
pub mod subject;
#[cfg(feature = "proof")]
pub mod tally;
pub mod time_text;
