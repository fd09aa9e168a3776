//! The environment: a named pool of resources that jobs are admitted into. Its use is the set of its grants, each
//! owed to a job's run until that job's own stream takes or declines it; it is never a number that could leak.
//! `default` has no stream: it exists always, is unlimited, and asks nobody.

pub mod apply;
pub mod command;
pub mod decide;
pub mod event;
pub mod state;
pub mod undo;

#[cfg(test)]
mod tests;
