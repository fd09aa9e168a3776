//! The way to MongoDB that both stores share: what the engine sets on every connection, how a call is made, what an
//! error means, and how ids look in BSON.
//! Always holds: every call runs on a task of its own and is waited for at most its deadline (dropping the driver's
//! futures is unsafe); a majority acknowledged every write and every read shows what a majority has; the URI's
//! password is in no log and no error.
//! Absent: what is stored (`event_store::mongodb`, `view::mongodb`), and transactions.

mod bulk;
mod calls;
mod checks;
mod codec;
mod connection;
mod elections;
mod failure;
mod lock;
pub mod migrations;
mod quarantine;
mod query;
mod uri;

pub use self::bulk::BulkAnswer;
pub use self::bulk::{BULK_BYTES_MAX, BULK_STATEMENTS_MAX, BulkStatement, Inserted};
pub use self::calls::Calls;
pub use self::codec::{
    DOCUMENT_BYTES_MAX, DocumentFields, SubjectKey, Undecodable, bytes_bson, bytes_raw, millis_of,
    to_date, to_stored, uuid_bson, uuid_raw,
};
pub use self::connection::{MongoConnection, StartError};
pub use self::failure::{CallError, Cause, DUPLICATE_KEY};
pub use self::lock::Lock;
pub use self::quarantine::Quarantine;
pub use self::query::CollectionQuery;
