//! Snapshots: one document a stream, guarded by the seq it shows.
//! Always holds: an older one never replaces a newer one; one that no document can hold is passed over, since a
//! snapshot is an optimisation. Absent: snapshots of streams that do not exist.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other failure of the driver is no duplicate"
)]

use bson::{Bson, doc};
use domain::ids::SubjectId;
use mongodb::error::{ErrorKind, WriteFailure};

use super::failure::{damaged, of_call};
use super::records::BY_ID;
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    CollectionQuery, DOCUMENT_BYTES_MAX, DUPLICATE_KEY, DocumentFields, SubjectKey, Undecodable,
    bytes_bson, to_stored,
};
use crate::event_store::contract::{Snapshot, StoreResult};

pub(super) const SNAPSHOTS: &str = "snapshots";
/// What the fields beside the body take at most.
const OTHER_FIELDS_BYTES: usize = 1_024;

impl MongoEventStore {
    pub(super) async fn keep_snapshot(
        &self,
        subject: &SubjectId,
        snapshot: Snapshot,
    ) -> StoreResult<()> {
        if snapshot.body.len() > DOCUMENT_BYTES_MAX - OTHER_FIELDS_BYTES {
            tracing::info!(%subject, bytes = snapshot.body.len(), "a snapshot too large for a document is not kept");
            return Ok(());
        }
        if !self.is_there(subject).await? {
            return Ok(());
        }
        let seq = to_stored(snapshot.seq);
        let filter = doc! { "_id": SubjectKey(subject).document(), "seq": { "$lte": seq } };
        let change = doc! { "$set": {
            "seq": seq,
            "hash": bytes_bson(&snapshot.hash),
            "body": bytes_bson(&snapshot.body),
        } };
        let snapshots = self.snapshots.clone();
        let kept = self.connection.calls().make("a snapshot", async move {
            match snapshots.update_one(filter, change).upsert(true).await {
                Ok(_) => Ok(()),
                // The one that is there shows more.
                Err(error) if is_duplicate(&error) => Ok(()),
                Err(error) => Err(error),
            }
        });
        kept.await.map_err(of_call)
    }

    pub(super) async fn find_snapshot(&self, subject: &SubjectId) -> StoreResult<Option<Snapshot>> {
        let query = CollectionQuery {
            filter: doc! { "_id": SubjectKey(subject).document() },
            index: BY_ID,
            limit: 1,
            ..CollectionQuery::default()
        };
        let found = self.documents("a snapshot", &self.snapshots, query).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let read = || -> Result<_, Undecodable> {
            let fields = DocumentFields(found);
            let (seq, hash) = (fields.number("seq")?, fields.array("hash")?);
            Ok(Snapshot { seq, hash, body: fields.shared_bytes("body")? })
        };
        read().map(Some).map_err(|reason| damaged(subject, &reason))
    }

    pub(super) async fn delete_snapshot(&self, subject: &SubjectId) -> StoreResult<()> {
        let (snapshots, id) = (self.snapshots.clone(), SubjectKey(subject).document());
        let deleted = self.connection.calls().make("the end of a snapshot", async move {
            snapshots.delete_one(doc! { "_id": Bson::Document(id) }).await.map(drop)
        });
        deleted.await.map_err(of_call)
    }
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE_KEY,
        _ => false,
    }
}
