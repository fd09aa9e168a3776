//! Requests from one engine to another: their JSON, the way there and back, and what clients notice of it: nothing.

mod as_of;
mod broken;
mod codec;
mod endpoint;
mod explains;
mod joined_anew;
mod pair;
mod polls;
mod same_answers;
mod silence;
mod values;
