//! What every kind of subject shares: the envelope of its events, what a decision may look at beside the state, what it
//! comes to, what a command's sender is told, which commands are remembered, and the bounds of what people call things.
//! Always holds: nothing here names a kind of subject, so that kinds need not know each other.

pub mod answer;
pub mod context;
pub mod decision;
pub(crate) mod double_option;
pub mod envelope;
pub(crate) mod labels;
pub mod pairs;
pub mod remembered;
pub mod undo_log;
