//! Deleting a stream, in steps that can each be repeated: close it at its head, lay the tombstone, blank what is
//! between, take its mark out of sight, drop payloads and snapshot.
//! Always holds: closing is an insert at the head's next seq, so it and an append there exclude each other; until the
//! tombstone's time is over a document stands at every seq the stream had, so that nothing late gets in; when it is
//! over, the tombstone goes last but for nothing.
//! Absent: deciding what may be deleted (retention).

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Document, RawDocumentBuf, doc};
use domain::ids::{Millis, SubjectId};

use super::failure::{damaged, of_call};
use super::reads::SEQ_END;
use super::records::{
    BY_ID, BY_KEEP, EVENTS, count_of, first_of, is_gone, range, tombstone_document,
};
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    CollectionQuery, DocumentFields, SubjectKey, Undecodable, to_date,
};
use crate::event_store::contract::{StoreResult, Tombstone};

/// Tombstones whose time is over that one deletion clears away, so that none costs much.
const TOMBSTONES_CLEARED_MAX: i64 = 16;

/// Where a stream ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Nothing,
    Head(u64),
    /// Closed behind this head.
    Closed(u64),
}

impl MongoEventStore {
    pub(super) async fn delete_stream(
        &self,
        subject: &SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> StoreResult<bool> {
        let is_expected = match self.end(subject).await? {
            End::Nothing => false,
            End::Head(head) => head == expected && self.close(subject, expected).await?,
            End::Closed(head) => head == expected,
        };
        if !is_expected {
            return Ok(false);
        }
        self.heads.forget(subject);
        let deletion = ObjectId::new();
        let stone = tombstone_document(subject, &tombstone, keep_until, deletion);
        let first = doc! { "_id": SubjectKey(subject).record(1), "gone": { "$exists": false } };
        let events = self.typed_events();
        let laid = self
            .connection
            .calls()
            .make("a tombstone", async move { events.replace_one(first, stone).await.map(drop) });
        laid.await.map_err(of_call)?;
        let blank = doc! {
            "$set": { "gone": deletion },
            "$unset": { "body": "", "nonce": "", "hash": "", "at": "" },
        };
        let between = doc! { "_id": range(subject, 2, expected + 1), "gone": { "$exists": false } };
        self.change("blank records", between, blank).await?;
        let unmarked = doc! {
            "$set": { "gone": deletion },
            "$unset": { "group": "", "due": "", "number": "", "mover": "" },
        };
        let mark = doc! { "_id": SubjectKey(subject).record(0) };
        self.change("the end of a mark", mark, unmarked).await?;
        self.delete_payloads(subject).await?;
        self.delete_snapshot(subject).await?;
        self.clear_tombstones().await?;
        Ok(true)
    }

    /// Removes what a deletion left. The tombstone goes last: as long as it stands, no new stream begins among the
    /// remains of the old one. The mark goes before it, so that a new stream's mark is its own.
    pub(super) async fn purge(&self, subject: &SubjectId) -> StoreResult<()> {
        let gone = doc! { "$exists": true };
        let key = SubjectKey(subject);
        for which in [
            doc! { "_id": range(subject, 2, SEQ_END), "gone": gone.clone() },
            doc! { "_id": key.record(0), "gone": gone.clone() },
            doc! { "_id": key.record(1), "gone": gone },
        ] {
            let events = self.events.clone();
            let removed = self.connection.calls().make("the remains of a stream", async move {
                events.delete_many(which).await.map(drop)
            });
            removed.await.map_err(of_call)?;
        }
        Ok(())
    }

    async fn end(&self, subject: &SubjectId) -> StoreResult<End> {
        let query = CollectionQuery {
            filter: doc! { "_id": range(subject, 1, SEQ_END) },
            sort: doc! { "_id": -1 },
            index: BY_ID,
            fields: doc! { "count": 1, "gone": 1 },
            limit: 1,
            ..CollectionQuery::default()
        };
        let found = self.documents("the end of a stream", &self.events, query).await?;
        let Some(found) = found.first() else { return Ok(End::Nothing) };
        let read = || -> Result<End, Undecodable> {
            let fields = DocumentFields(found);
            let first = first_of(fields)?;
            Ok(if is_gone(fields)? {
                End::Closed(first - 1)
            } else {
                End::Head(first + u64::from(count_of(fields)?) - 1)
            })
        };
        read().map_err(|reason| damaged(subject, &reason))
    }

    /// Closes the stream at this head; false when an append was faster.
    async fn close(&self, subject: &SubjectId, head: u64) -> StoreResult<bool> {
        let mut closing = RawDocumentBuf::new();
        closing.append(cstr!("_id"), SubjectKey(subject).raw_record(head + 1));
        closing.append(cstr!("gone"), ObjectId::new());
        // Whether it went in or stood there already is told by what stands there.
        let closed = self.connection.insert("the closing of a stream", EVENTS, &[closing]).await;
        closed.map_err(of_call)?;
        Ok(self.end(subject).await? == End::Closed(head))
    }

    async fn change(&self, what: &'static str, which: Document, how: Document) -> StoreResult<()> {
        let events = self.events.clone();
        let changed = self
            .connection
            .calls()
            .make(what, async move { events.update_many(which, how).await.map(drop) });
        changed.await.map_err(of_call)
    }

    async fn clear_tombstones(&self) -> StoreResult<()> {
        let query = CollectionQuery {
            filter: doc! { "keep_until": { "$lte": to_date(self.newest(0)) } },
            index: BY_KEEP,
            fields: doc! { "_id": 1 },
            limit: TOMBSTONES_CLEARED_MAX,
            ..CollectionQuery::default()
        };
        for document in self.documents("old tombstones", &self.events, query).await? {
            if let Ok(subject) =
                DocumentFields(&document).inner("_id").and_then(DocumentFields::subject)
            {
                self.purge(&subject).await?;
            }
        }
        Ok(())
    }
}
