//! What every kind of subject shares: the envelope of its events, what a decision may look at beside the state, what it
//! comes to, what a command's sender is told, and which commands are remembered.
//! Always holds: nothing here names a kind of subject, so that kinds need not know each other.

pub mod answer;
pub mod context;
pub mod decision;
pub mod envelope;
pub mod pairs;
pub mod remembered;
pub mod undo_log;
