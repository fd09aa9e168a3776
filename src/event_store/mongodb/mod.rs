//! The event store of several engines: MongoDB, a replica set or more. Collection `events` holds a document a stream
//! append, `_id` = (subject, seq); its uniqueness is what makes a seq written at most once.
//! Always holds: what was answered `Committed` is in the journals of a majority; a batch is one unordered insertMany,
//! judged document by document; an append changes no document.
//! Absent: transactions, and update statements on the way of an append.

mod append;
mod deletion;
mod failure;
mod heads;
mod identity;
mod marks;
mod payloads;
mod reads;
mod records;
mod snapshots;
mod store;
mod sweep;

pub use self::store::MongoEventStore;
