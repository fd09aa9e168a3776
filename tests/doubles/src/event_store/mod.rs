//! The event store of tests and simulation: everything in ordered maps behind one lock, shared by several engines
//! through an `Arc`, with faults that follow from a seed and are all off by default.
//! Always holds: equal seeds and equal calls give equal answers; nothing here reads a clock or waits for real time.
//! Absent: durability. What a crash of an engine loses is the engine; the store goes on.

mod faults;
mod store;
mod streams;

pub use self::faults::{AppendFault, Faults};
pub use self::store::{MemoryEventStore, Rival};
pub use self::streams::Streams;
