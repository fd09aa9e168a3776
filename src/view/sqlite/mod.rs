//! The embedded view: documents in a SQLite file of their own, one writer thread, readers beside it.
//! Always holds: losing power loses at most what was flushed since the last `sync`, and never a part of a flush.
//! Absent: anything that cannot be had back from the streams. A file that cannot be read is set aside.

mod flush;
mod ids;
mod inspect;
mod lists;
mod query;
mod rows;
mod schema;
mod store;

pub use self::inspect::ShownDocuments;
pub use self::store::SqliteView;
