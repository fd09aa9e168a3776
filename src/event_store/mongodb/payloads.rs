//! Payloads: `_id` = (subject, hash, the nonce of the record that names them), so that each writer has its own and a
//! refused one takes away only what it brought.
//! Always holds: a majority has a payload before the record that names it is sent.
//! Absent: the sweep of payloads whose record was never written (`sweep`).

use bson::raw::{RawDocumentBuf, cstr};
use bson::{Bson, Document, doc};
use domain::ids::SubjectId;

use super::failure::{damaged, of_call};
use super::records::BY_ID;
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    CollectionQuery, DUPLICATE_KEY, DocumentFields, SubjectKey, Undecodable, bytes_bson, bytes_raw,
    to_date,
};
use crate::event_store::contract::{
    AppendItem, EventStoreError, PayloadHash, Payloads, StoreResult,
};

pub(super) const PAYLOADS: &str = "payloads";
/// Payloads asked for at once, so that an answer stays far below what the server sends in one message.
const ASKED_MAX: usize = 100;

impl MongoEventStore {
    pub(super) async fn insert_payloads(
        &self,
        items: impl Iterator<Item = &AppendItem>,
    ) -> StoreResult<()> {
        let written_at = to_date(self.connection.calls().clock().now_ms());
        let documents: Vec<RawDocumentBuf> = items
            .flat_map(|item| item.payloads.iter().map(move |payload| (item, payload)))
            .map(|(item, payload)| {
                let mut id = SubjectKey(&item.subject).raw();
                id.append(cstr!("h"), bytes_raw(&payload.hash));
                id.append(cstr!("w"), bytes_raw(&item.record.nonce.to_be_bytes()));
                let mut stored = RawDocumentBuf::new();
                stored.append(cstr!("_id"), id);
                stored.append(cstr!("at"), written_at);
                match std::str::from_utf8(&payload.bytes) {
                    Ok(text) => stored.append(cstr!("body"), text),
                    Err(_) => stored.append(cstr!("body"), bytes_raw(&payload.bytes)),
                }
                stored
            })
            .collect();
        if documents.is_empty() {
            return Ok(());
        }
        let inserted = self.connection.insert("payloads", PAYLOADS, &documents).await;
        let inserted = inserted.map_err(of_call)?;
        // The same payload of the same record again is no error.
        let refused = inserted.failed.values().find(|code| **code != DUPLICATE_KEY);
        if inserted.unconfirmed || refused.is_some() {
            return Err(EventStoreError::Unavailable(format!(
                "payloads were not confirmed (code {})",
                refused.copied().unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// Takes away what refused records brought; what stays because of a failure is for the sweep.
    pub(super) async fn remove_payloads(&self, items: impl Iterator<Item = &AppendItem>) {
        let ids: Vec<Bson> = items
            .flat_map(|item| {
                item.payloads.iter().map(|payload| {
                    let mut id = of_hash(&item.subject, &payload.hash);
                    id.insert("w", bytes_bson(&item.record.nonce.to_be_bytes()));
                    Bson::Document(id)
                })
            })
            .collect();
        if ids.is_empty() {
            return;
        }
        let payloads = self.payloads.clone();
        let removed = self.connection.calls().make("the end of refused payloads", async move {
            payloads.delete_many(doc! { "_id": { "$in": ids } }).await.map(drop)
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "payloads of refused records stay");
        }
    }

    pub(super) async fn find_payloads(
        &self,
        subject: &SubjectId,
        hashes: &[PayloadHash],
    ) -> StoreResult<Payloads> {
        let mut found: Payloads = vec![None; hashes.len()];
        for (part, asked) in hashes.chunks(ASKED_MAX).enumerate() {
            let each = |hash: &PayloadHash| {
                let mut end = of_hash(subject, hash);
                end.insert("w", Bson::MaxKey);
                doc! { "_id": { "$gte": of_hash(subject, hash), "$lt": end } }
            };
            let any: Vec<Document> = asked.iter().map(each).collect();
            let query = CollectionQuery {
                filter: doc! { "$or": any },
                index: BY_ID,
                ..CollectionQuery::default()
            };
            for document in self.documents("payloads of a subject", &self.payloads, query).await? {
                let fields = DocumentFields(&document);
                let read = || -> Result<_, Undecodable> {
                    let hash: PayloadHash = fields.inner("_id")?.array("h")?;
                    Ok((hash, fields.shared_bytes("body")?))
                };
                let (hash, body) = read().map_err(|reason| damaged(subject, &reason))?;
                for (place, _) in asked.iter().enumerate().filter(|(_, asked)| **asked == hash) {
                    if let Some(payload) = found.get_mut(part * ASKED_MAX + place) {
                        *payload = Some(body.clone());
                    }
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn delete_payloads(&self, subject: &SubjectId) -> Result<(), EventStoreError> {
        let (key, mut end) = (SubjectKey(subject).document(), SubjectKey(subject).document());
        end.insert("h", Bson::MaxKey);
        let payloads = self.payloads.clone();
        let deleted = self.connection.calls().make("the end of payloads", async move {
            payloads.delete_many(doc! { "_id": { "$gte": key, "$lt": end } }).await.map(drop)
        });
        deleted.await.map_err(of_call)
    }
}

fn of_hash(subject: &SubjectId, hash: &PayloadHash) -> Document {
    let mut id = SubjectKey(subject).document();
    id.insert("h", bytes_bson(hash));
    id
}
