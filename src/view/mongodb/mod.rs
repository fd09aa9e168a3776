//! The view of several engines: a collection for each kind of document, readable with mongosh (dates, UUIDs, words),
//! each document with the seq it shows.
//! Always holds: a document never goes back to an older seq, nor comes back while its deletion is remembered; every
//! query names the index that finds and orders it; what callers named never becomes a field's name (their JSON is one
//! text, `body`).
//! Absent: transactions, collection scans, sorts on the server.

mod documents;
mod flush;
mod known;
mod lists;
mod query;
mod store;

pub use self::store::MongoView;
