//! Documents that cannot be read: noted with their reason in the collection `quarantine`, once each, so that a loop
//! that meets one passes it over and goes on, and an operator finds it.
//! Always holds: noting never fails the caller; what is noted is left where it is for an operator to look at.
//! Absent: healing. A stream that cannot be read is parked by the engine with the same reason.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use bson::{Bson, Document, doc};
use mongodb::{Collection, Database};

use super::Calls;

/// Notes remembered, so that one bad document is not written and logged again and again.
const REMEMBERED_MAX: usize = 10_000;

/// Where they are noted.
#[derive(Debug, Clone)]
pub struct Quarantine {
    notes: Collection<Document>,
    noted: Arc<Mutex<BTreeSet<String>>>,
}

impl Quarantine {
    pub(super) fn new(database: &Database) -> Self {
        Self { notes: database.collection("quarantine"), noted: Arc::default() }
    }

    /// Notes a document of `collection` with this id.
    pub async fn note(
        &self,
        calls: &Calls,
        collection: &'static str,
        id: Bson,
        reason: &(dyn Display + Send + Sync),
    ) {
        let name = format!("{collection} {id}");
        {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.len() >= REMEMBERED_MAX || !noted.insert(name.clone()) {
                return;
            }
        }
        tracing::warn!(collection, id = %id, %reason, "a stored document cannot be read and is passed over");
        let notes = self.notes.clone();
        let note = doc! { "$setOnInsert": {
            "collection": collection, "document": id, "reason": reason.to_string(), "at": bson::DateTime::now(),
        } };
        let noted = calls.make("a note of a damaged document", async move {
            notes.update_one(doc! { "_id": &name }, note).upsert(true).await.map(drop)
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the damaged document was not noted");
        }
    }
}
