//! The sweep: payloads whose record never came, because a process ended between the two writes or a removal failed.
//! A payload names the nonce of the record that brought it, so its subject's stream tells, and nothing else is asked.
//! Always holds: each payload is looked at once, in the order of the times at which they were written; how far that
//! has gone is kept in `meta`, and a place that is lost or kept by two engines at once costs looks, never a payload.
//! Absent: the view, and what events say.

use std::collections::{BTreeMap, BTreeSet};

use bson::raw::cstr;
use bson::{Bson, Document, RawDocumentBuf, doc};
use domain::ids::{Millis, SubjectId};
use futures_util::future::BoxFuture;
use mongodb::Collection;

use super::failure::of_call;
use super::payloads::PAYLOADS;
use super::reads::SEQ_END;
use super::records::{BY_ID, nonce_of, range};
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    BulkStatement, CollectionQuery, DocumentFields, Undecodable, bytes_bson, millis_of, to_date,
};
use crate::event_store::contract::{PayloadSweep, StoreResult, Swept};

/// The index of payloads by the time at which they were written.
const BY_WRITTEN: &str = "by_written";
/// The document in `meta` that says how far it has gone.
const PLACE: &str = "payload_sweep";

/// How far a sweep has gone: the last payload that was looked at.
#[derive(Debug, Clone, PartialEq)]
struct SweepCursor {
    at: Millis,
    id: Bson,
}

/// A payload as the sweep sees it.
#[derive(Debug)]
struct Written {
    subject: SubjectId,
    nonce: u128,
    id: RawDocumentBuf,
}

impl MongoEventStore {
    async fn sweep_some(&self, before: Millis, max: u32) -> StoreResult<Swept> {
        let place = self.swept_up_to().await?;
        let found = self.written_next(place.as_ref(), before, max).await?;
        let (mut of_subjects, mut unreadable): (BTreeMap<SubjectId, Vec<Written>>, Vec<_>) =
            Default::default();
        let mut last = None;
        for document in &found {
            let fields = DocumentFields(document);
            let id = document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
            if let (Ok(at), Some(id)) = (fields.millis("at"), id.clone()) {
                last = Some(SweepCursor { at, id });
            }
            match written(fields) {
                Ok(one) => of_subjects.entry(one.subject.clone()).or_default().push(one),
                Err(reason) => unreadable.push((id.unwrap_or(Bson::Null), reason)),
            }
        }
        let mut removed = 0;
        for (subject, payloads) in of_subjects {
            removed += self.remove_unnamed(&subject, payloads).await?;
        }
        for (id, reason) in unreadable {
            let calls = self.connection.calls();
            self.connection.quarantine().note(calls, PAYLOADS, id, &reason).await;
        }
        if let Some(last) = last {
            self.keep_place(last).await?;
        }
        let looked_at = found.len() as u64;
        Ok(Swept { looked_at, removed, through: looked_at < u64::from(max) })
    }

    async fn written_next(
        &self,
        place: Option<&SweepCursor>,
        before: Millis,
        max: u32,
    ) -> StoreResult<Vec<RawDocumentBuf>> {
        let mut query = CollectionQuery {
            filter: doc! { "at": { "$lt": to_date(before) } },
            sort: doc! { "at": 1, "_id": 1 },
            index: BY_WRITTEN,
            fields: doc! { "_id": 1, "at": 1 },
            limit: i64::from(max),
            ..CollectionQuery::default()
        };
        if let Some(place) = place {
            query.from = doc! { "at": to_date(place.at), "_id": place.id.clone() };
            query.to = doc! { "at": to_date(before.max(place.at)), "_id": Bson::MaxKey };
            // The walk begins with the last one itself.
            query.limit += 1;
        }
        let mut found = self.documents("payloads to sweep", &self.payloads, query).await?;
        let is_last = |document: &RawDocumentBuf| {
            let id = document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
            place.is_some_and(|place| id.as_ref() == Some(&place.id))
        };
        if found.first().is_some_and(is_last) {
            found.remove(0);
        }
        found.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Removes those whose record is not in the stream; answers how many.
    async fn remove_unnamed(
        &self,
        subject: &SubjectId,
        payloads: Vec<Written>,
    ) -> StoreResult<u64> {
        let nonces: BTreeSet<u128> = payloads.iter().map(|one| one.nonce).collect();
        let any: Vec<Bson> = nonces.iter().map(|nonce| bytes_bson(&nonce.to_be_bytes())).collect();
        let query = CollectionQuery {
            filter: doc! { "_id": range(subject, 1, SEQ_END), "nonce": { "$in": any } },
            index: BY_ID,
            fields: doc! { "nonce": 1 },
            ..CollectionQuery::default()
        };
        let records = self.documents("records that brought payloads", &self.events, query).await?;
        let there: BTreeSet<u128> =
            records.iter().filter_map(|record| nonce_of(DocumentFields(record)).ok()).collect();
        let unnamed: Vec<BulkStatement> = payloads
            .into_iter()
            .filter(|one| !there.contains(&one.nonce))
            .map(|one| {
                let mut which = RawDocumentBuf::new();
                which.append(cstr!("_id"), one.id);
                BulkStatement::Delete(which)
            })
            .collect();
        let removed = unnamed.len() as u64;
        self.connection
            .bulk("payloads that nothing names", PAYLOADS, &unnamed)
            .await
            .map_err(of_call)?;
        Ok(removed)
    }

    async fn swept_up_to(&self) -> StoreResult<Option<SweepCursor>> {
        let meta: Collection<Document> = self.connection.database().collection("meta");
        let found = self.connection.calls().make("how far the sweep is", async move {
            meta.find_one(doc! { "_id": PLACE }).await
        });
        let found = found.await.map_err(of_call)?.unwrap_or_default();
        // A place that cannot be read is as good as none: the sweep begins again.
        let at = found.get_datetime("at").ok().map(|at| millis_of(*at));
        let id = found.get("payload").cloned();
        Ok(at.zip(id).map(|(at, id)| SweepCursor { at, id }))
    }

    async fn keep_place(&self, place: SweepCursor) -> StoreResult<()> {
        let meta: Collection<Document> = self.connection.database().collection("meta");
        let now = doc! { "$set": { "at": to_date(place.at), "payload": place.id } };
        let kept = self.connection.calls().make("the sweep's place", async move {
            meta.update_one(doc! { "_id": PLACE }, now).upsert(true).await.map(drop)
        });
        kept.await.map_err(of_call)
    }
}

fn written(fields: DocumentFields<'_>) -> Result<Written, Undecodable> {
    let id = fields.inner("_id")?;
    let nonce = id.array("w").map(u128::from_be_bytes)?;
    Ok(Written { subject: id.subject()?, nonce, id: id.0.to_owned() })
}

impl PayloadSweep for MongoEventStore {
    fn sweep(&self, before: Millis, max: u32) -> BoxFuture<'_, StoreResult<Swept>> {
        Box::pin(self.sweep_some(before, max))
    }
}
