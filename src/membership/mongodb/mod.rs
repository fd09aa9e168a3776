//! The membership of several engines on one database: collections `engines` (a document a start) and `groups` (a
//! document a group), each changed by single conditional updates.
//! Always holds: every time is the server's ($$NOW); whether a tenure is over is judged by the update that evicts.
//! Absent: transactions, change streams (a look at some dozens of documents is simpler, and soon enough).

mod engines;
mod groups;
mod store;

pub use self::store::MongoMembership;
