//! Requests from one engine to another: their JSON, the way there and back, and what clients notice of it: nothing.

mod as_of;
mod codec;
mod endpoint;
mod explains;
mod faulty_peers;
mod next_attempt;
mod policies;
mod polls;
mod rejoined;
mod same_answers;
mod silent_peer;
mod two_services;
mod values;
