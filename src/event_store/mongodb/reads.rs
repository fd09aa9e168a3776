//! Reads of streams and marks: what a majority has, through an index each.
//! Always holds: a part of a stream is dense, or it is read again; a list passes over what it cannot read, noting it
//! (`quarantine`), while a stream that cannot be read is `Damaged`.
//! Absent: caches. What is read again and again is in the engine's memory.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, doc};
use domain::ids::{GroupId, Millis, SubjectId};
use futures_util::future::try_join;
use mongodb::Collection;

use super::failure::{damaged, of_call};
use super::records::{self, BY_DUE, BY_GROUP, BY_ID, count_of, first_of, is_gone, range};
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    CollectionQuery, DocumentFields, SubjectKey, Undecodable, to_date,
};
use crate::event_store::contract::{
    EventStoreError, Record, StoreResult, StreamPart, Tombstone, WakeUp,
};

/// Above every seq: a stream's records are below it.
pub(super) const SEQ_END: u64 = 1 << 62;
/// How often a part is read again that somebody changed meanwhile.
const READS_MAX: usize = 3;

/// A stretch of documents, read until it held enough.
#[derive(Debug, Default)]
struct Stretch {
    documents: Vec<RawDocumentBuf>,
    /// Whether nothing follows.
    whole: bool,
}

impl MongoEventStore {
    /// All documents that a query finds.
    pub(super) async fn documents(
        &self,
        what: &'static str,
        collection: &Collection<RawDocumentBuf>,
        query: CollectionQuery,
    ) -> StoreResult<Vec<RawDocumentBuf>> {
        self.connection.find(what, collection, query).await.map_err(of_call)
    }

    pub(super) async fn read_stream(
        &self,
        subject: &SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> StoreResult<StreamPart> {
        let read = self.read_again(subject, from.max(1), bytes_max).await;
        if let Err(EventStoreError::Damaged { reason, .. }) = &read {
            let (calls, stream) = (self.connection.calls(), SubjectKey(subject).document());
            let notes = self.connection.quarantine();
            notes.note(calls, records::EVENTS, Bson::Document(stream), reason).await;
        }
        read
    }

    async fn read_again(
        &self,
        subject: &SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> StoreResult<StreamPart> {
        for _ in 0..READS_MAX {
            if let Some(part) = self.read_once(subject, from, bytes_max).await? {
                return Ok(part);
            }
        }
        let reason = Undecodable { field: "_id", problem: "leaves out events of the stream" };
        Err(damaged(subject, &reason))
    }

    /// None when the records found are not dense: somebody wrote between the two looks.
    async fn read_once(
        &self,
        subject: &SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> StoreResult<Option<StreamPart>> {
        let wrong = |reason: Undecodable| damaged(subject, &reason);
        let (at, behind) =
            try_join(self.record_at(subject, from), self.stretch(subject, from, bytes_max)).await?;
        let mut documents = Vec::new();
        // The end of what stands before the first record that is shown, when that is known.
        let mut end = (from == 1).then_some(1);
        if let Some(at) = at {
            let fields = DocumentFields(&at);
            if is_gone(fields).map_err(wrong)? {
                return self.deleted(subject).await.map(Some);
            }
            let first = first_of(fields).map_err(wrong)?;
            let next = first + u64::from(count_of(fields).map_err(wrong)?);
            end = Some(next);
            // A record that begins at `from` is the first of those behind.
            if first < from && next > from {
                documents.extend(self.whole_record(subject, first).await?);
                end = Some(first);
            } else if first == from {
                end = Some(first);
            }
        }
        documents.extend(behind.documents);
        let mut records: Vec<Record> = Vec::with_capacity(documents.len());
        let (mut bytes, mut complete) = (0, behind.whole);
        for document in &documents {
            let fields = DocumentFields(document);
            if is_gone(fields).map_err(wrong)? {
                if records.is_empty() && first_of(fields).map_err(wrong)? == 1 {
                    return self.deleted(subject).await.map(Some);
                }
                // A deletion is under way and not decided yet for readers: its tombstone is missing.
                complete = true;
                break;
            }
            let record = records::record(fields).map_err(wrong)?;
            if end.is_some_and(|end| end != record.first) {
                return Ok(None);
            }
            end = Some(record.first + u64::from(record.count));
            bytes += record.body.len();
            if bytes > bytes_max && !records.is_empty() {
                return Ok(Some(StreamPart { records, complete: false, tombstone: None }));
            }
            records.push(record);
        }
        if let Some(head) = end.filter(|end| complete && *end > 1) {
            self.heads.set(subject, head - 1, self.now());
        }
        Ok(Some(StreamPart { records, complete, tombstone: None }))
    }

    /// The last document at or before `from`, without its body; none is asked for when it is the first.
    async fn record_at(
        &self,
        subject: &SubjectId,
        from: u64,
    ) -> StoreResult<Option<RawDocumentBuf>> {
        if from == 1 {
            return Ok(None);
        }
        let query = CollectionQuery {
            filter: doc! { "_id": range(subject, 1, from + 1) },
            sort: doc! { "_id": -1 },
            index: BY_ID,
            fields: doc! { "count": 1, "gone": 1 },
            limit: 1,
            ..CollectionQuery::default()
        };
        Ok(self.documents("where a stream is", &self.events, query).await?.pop())
    }

    async fn whole_record(
        &self,
        subject: &SubjectId,
        first: u64,
    ) -> StoreResult<Vec<RawDocumentBuf>> {
        let query = CollectionQuery {
            filter: doc! { "_id": SubjectKey(subject).record(first) },
            index: BY_ID,
            limit: 1,
            ..CollectionQuery::default()
        };
        self.documents("a record", &self.events, query).await
    }

    /// The records that begin at `from` or behind it, one more than fit into `bytes_max`.
    async fn stretch(
        &self,
        subject: &SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> StoreResult<Stretch> {
        let query = CollectionQuery {
            filter: doc! { "_id": range(subject, from, SEQ_END) },
            sort: doc! { "_id": 1 },
            index: BY_ID,
            ..CollectionQuery::default()
        };
        let (events, deadline) = (self.events.clone(), self.connection.calls().deadline());
        let read = self.connection.calls().make("a stream", async move {
            let mut cursor = query.run(&events, deadline).await?;
            let (mut stretch, mut bytes) = (Stretch::default(), 0_usize);
            while cursor.advance().await? {
                let document = cursor.current();
                bytes = bytes.saturating_add(document.as_bytes().len());
                stretch.documents.push(document.to_owned());
                if bytes > bytes_max && stretch.documents.len() > 1 {
                    // What else fits is smaller than the ids around it.
                    stretch.whole = !cursor.advance().await?;
                    return Ok(stretch);
                }
            }
            stretch.whole = true;
            Ok(stretch)
        });
        read.await.map_err(of_call)
    }

    /// What is left of a deleted stream.
    async fn deleted(&self, subject: &SubjectId) -> StoreResult<StreamPart> {
        self.heads.forget(subject);
        let tombstone = self.tombstone(subject).await?;
        let tombstone = tombstone
            .filter(|(_, keep_until)| *keep_until > self.newest(0))
            .map(|(tombstone, _)| tombstone);
        Ok(StreamPart { records: Vec::new(), complete: true, tombstone })
    }

    /// A stream's tombstone, however old.
    pub(super) async fn tombstone(
        &self,
        subject: &SubjectId,
    ) -> StoreResult<Option<(Tombstone, Millis)>> {
        let found = self.whole_record(subject, 1).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let read = || {
            let fields = DocumentFields(found);
            if is_gone(fields)? { records::tombstone(fields).map(Some) } else { Ok(None) }
        };
        read().map_err(|reason| damaged(subject, &reason))
    }

    pub(super) async fn live_marks(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> StoreResult<Vec<WakeUp>> {
        // The index by due time keeps an idle engine's look cheap however many streams are parked; what is due is
        // put in order here, as many as are asked for.
        let mut filter =
            doc! { "group": i32::from(group.index()), "due": { "$lte": to_date(until) } };
        behind(&mut filter, after.as_ref());
        let query = CollectionQuery { filter, index: BY_DUE, ..CollectionQuery::default() };
        let (events, deadline) = (self.events.clone(), self.connection.calls().deadline());
        let found = self.connection.calls().make("what is due", async move {
            let mut cursor = query.run(&events, deadline).await?;
            let (mut due, mut unreadable) = (BTreeMap::new(), Vec::new());
            while cursor.advance().await? {
                match records::mark(DocumentFields(cursor.current())) {
                    Ok(Some(mark)) => {
                        due.insert(mark.subject.clone(), mark);
                        if due.len() > max {
                            due.pop_last();
                        }
                    }
                    Ok(None) => {}
                    Err(reason) => unreadable.push((id_of(cursor.current()), reason)),
                }
            }
            Ok((due, unreadable))
        });
        let (due, unreadable) = found.await.map_err(of_call)?;
        self.set_aside(unreadable).await;
        Ok(due.into_values().collect())
    }

    pub(super) async fn subjects_of(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> StoreResult<Vec<SubjectId>> {
        let mut filter = doc! { "group": i32::from(group.index()) };
        behind(&mut filter, after.as_ref());
        let query = CollectionQuery {
            filter,
            sort: doc! { "_id": 1 },
            index: BY_GROUP,
            fields: doc! { "_id": 1 },
            limit: i64::try_from(max).unwrap_or(i64::MAX),
            ..CollectionQuery::default()
        };
        let (mut subjects, mut unreadable) = (Vec::new(), Vec::new());
        for document in self.documents("the subjects of a group", &self.events, query).await? {
            match DocumentFields(&document).inner("_id").and_then(DocumentFields::subject) {
                Ok(subject) => subjects.push(subject),
                Err(reason) => unreadable.push((id_of(&document), reason)),
            }
        }
        self.set_aside(unreadable).await;
        Ok(subjects)
    }

    pub(super) async fn mark_of(&self, subject: &SubjectId) -> StoreResult<Option<WakeUp>> {
        let found = self.whole_record(subject, 0).await?;
        let Some(found) = found.first() else { return Ok(None) };
        records::mark(DocumentFields(found)).map_err(|reason| damaged(subject, &reason))
    }

    /// Whether there is such a stream, not deleted.
    pub(super) async fn is_there(&self, subject: &SubjectId) -> StoreResult<bool> {
        let found = self.whole_record(subject, 0).await?;
        let there = found.first().map(|found| is_gone(DocumentFields(found)));
        Ok(there == Some(Ok(false)))
    }

    pub(super) async fn set_aside(&self, unreadable: Vec<(Bson, Undecodable)>) {
        let calls = self.connection.calls();
        for (id, reason) in unreadable {
            self.connection.quarantine().note(calls, records::EVENTS, id, &reason).await;
        }
    }
}

/// Restricts a look at marks to subjects behind `after`.
fn behind(filter: &mut Document, after: Option<&SubjectId>) {
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": SubjectKey(after).record(0) });
    }
}

/// A document's id, whatever it is.
fn id_of(document: &bson::RawDocument) -> Bson {
    document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null)
}
