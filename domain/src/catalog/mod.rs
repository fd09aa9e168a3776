//! The catalog: what a namespace keeps by name for its jobs: its retry policies, and what an operator has paused. There is one
//! a namespace, so that a name is unique by construction. A job keeps a copy of what it names, so that nothing that happens here changes it.
//! Hazard: the state may be megabytes, so an event is taken back entry by entry, and entries are shared, never cloned.

pub mod apply;
pub mod command;
pub mod decide;
pub mod event;
pub mod paused;
pub mod policy;
pub mod state;
pub mod undo;

#[cfg(test)]
mod tests;
