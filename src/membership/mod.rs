//! Which engines there are, and which group is driven by whom: `contract` says what every store of it guarantees,
//! `share` what each engine does about it, `peers` what the rest of an engine sees of the others. The implementations
//! never name each other: alone (the embedded engine), MongoDB, and memory for tests.
//! Always holds: nothing that is recorded rests on it. Driving is for speed and liveness; the append decides who wrote.

pub mod alone;
pub mod contract;
pub mod mongodb;
pub mod peers;
pub mod share;
