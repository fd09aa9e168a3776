//! The truth: streams of events, one a subject. `contract` says what every store guarantees; the implementations
//! never name each other.

pub mod contract;
pub mod mongodb;
pub mod sqlite;
