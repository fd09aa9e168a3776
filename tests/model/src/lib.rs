//! A naive model of a job: a tree of nodes, told by its events alone, in which everything that the rules count is found by
//! reading every node anew. No ranges, no counters, and nothing of the rules but words, tables and the plan: slow, and
//! short enough to be right by reading. `random_trees` draws jobs to hold against it.
//! Always holds: whoever breaks a rule of flow is told by the first event that shows it.

mod agrees;
mod changed;
mod ends;
mod groups;
mod outcome;
mod places;
pub mod random_trees;
mod stands;
mod steps;
mod told;
mod tree;

pub use self::outcome::{Outcome, Says};
pub use self::told::Model;
pub use self::tree::Node;

/// What is wrong, in words.
pub type Wrong = String;
