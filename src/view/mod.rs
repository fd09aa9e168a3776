//! The documents people query, derived from the streams. `contract` says what every view guarantees; the
//! implementations never name each other.

pub mod contract;
pub mod mongodb;
mod prefix;
pub mod resources;
pub mod sqlite;
