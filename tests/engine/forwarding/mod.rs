//! Requests from one engine to another: their JSON, the way there and back, and what clients notice of it: nothing.

mod as_of;
mod broken;
mod codec;
mod endpoint;
mod explains;
mod pair;
mod polls;
mod rejoined;
mod same_answers;
mod silence;
mod values;
