//! The view of tests and simulation: documents in an ordered map behind one lock, with faults that follow from a
//! seed and are all off by default.
//! Always holds: the seq guard, also for what a failed flush wrote; nothing here reads a clock.
//! Absent: indexes. A list walks the namespace, which tests can afford.

mod documents;
mod faults;
mod store;

pub use self::faults::Faults;
pub use self::store::MemoryView;
