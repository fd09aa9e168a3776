//! The tally: a sum under a name. A kind of subject that only builds of the tests have, as small as one can be: what it
//! goes through, every kind does (`tests/engine/engine/kinds.rs`).

pub mod apply;
pub mod command;
pub mod decide;
pub mod event;
pub mod state;
