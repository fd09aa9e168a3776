//! A flush: documents folded to one a subject, new ones inserted, the others replaced where what is stored shows no
//! newer seq.
//! Always holds: each statement is guarded by the seq it finds, so that repeating a flush, or a late one, does no
//! harm; a refusal by the guard is told from a race of two inserts by looking again.
//! Absent: order between documents.

use std::collections::BTreeMap;

use bson::{Bson, RawDocumentBuf, doc, rawdoc};
use domain::ids::{Millis, SubjectId, SubjectKind};

use super::documents::{collection_of, id_of, raw_id, stored};
use super::store::{MongoView, of_call};
use crate::environment::mongodb::{
    DOCUMENT_BYTES_MAX, DUPLICATE_KEY, Fields, Query, Statement, to_date, to_stored,
};
use crate::view::contract::{Columns, Document, ViewError, ViewResult};

/// How often statements are tried that lost a race.
const TRIES_MAX: usize = 4;
/// Deletions whose time is over that one flush with a deletion clears away.
const DELETED_CLEARED_MAX: i64 = 16;

impl MongoView {
    pub(super) async fn flush_all(&self, documents: Vec<Document>) -> ViewResult<()> {
        let mut folded: BTreeMap<SubjectId, Document> = BTreeMap::new();
        for document in documents {
            if let Columns::Job(job) = &document.columns {
                self.saw(job.updated_at);
            }
            let there = folded.get(&document.subject);
            if there.is_none_or(|there| there.seq <= document.seq) {
                folded.insert(document.subject.clone(), document);
            }
        }
        for kind in [SubjectKind::Job, SubjectKind::Environment] {
            let of_kind: Vec<&Document> =
                folded.values().filter(|document| document.subject.kind == kind).collect();
            self.flush_kind(kind, of_kind).await?;
        }
        Ok(())
    }

    async fn flush_kind(&self, kind: SubjectKind, documents: Vec<&Document>) -> ViewResult<()> {
        let collection = collection_of(kind);
        let is_new = |document: &&Document| {
            !self.known.has(&document.subject)
                && !matches!(document.columns, Columns::Deleted { .. })
        };
        let (new, mut open): (Vec<&Document>, Vec<&Document>) =
            documents.iter().copied().partition(is_new);
        open.extend(self.insert(collection, new).await?);
        for _ in 0..TRIES_MAX {
            if open.is_empty() {
                break;
            }
            open = self.replace(collection, open).await?;
        }
        if !open.is_empty() {
            return Err(ViewError::Unavailable(format!(
                "{} documents of {collection} were changed by somebody else again and again",
                open.len()
            )));
        }
        for document in &documents {
            self.known.saw(&document.subject);
        }
        if documents.iter().any(|document| matches!(document.columns, Columns::Deleted { .. })) {
            self.clear_deleted(collection).await?;
        }
        Ok(())
    }

    /// Inserts documents; answers those that were there already.
    async fn insert<'a>(
        &self,
        collection: &'static str,
        documents: Vec<&'a Document>,
    ) -> ViewResult<Vec<&'a Document>> {
        let mut fitting = documents;
        fitting.retain(|document| fits(document));
        if fitting.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<RawDocumentBuf> = fitting.iter().map(|document| stored(document)).collect();
        let inserted = self.connection.insert("new documents of the view", collection, &all).await;
        let inserted = inserted.map_err(of_call)?;
        let refused = inserted.failed.values().find(|code| **code != DUPLICATE_KEY);
        if inserted.unconfirmed || refused.is_some() {
            return Err(ViewError::Unavailable(format!(
                "new documents of {collection} were not confirmed (code {})",
                refused.copied().unwrap_or_default()
            )));
        }
        Ok(inserted.failed.keys().filter_map(|ix| fitting.get(*ix).copied()).collect())
    }

    /// Replaces documents that show no newer seq; answers those that must be tried again.
    async fn replace<'a>(
        &self,
        collection: &'static str,
        documents: Vec<&'a Document>,
    ) -> ViewResult<Vec<&'a Document>> {
        let mut fitting = documents;
        fitting.retain(|document| fits(document));
        let newest = self.newest_at();
        let statements: Vec<Statement> = fitting
            .iter()
            .map(|document| Statement::Update {
                filter: guard(document, newest),
                change: stored(document),
                many: false,
                upsert: true,
            })
            .collect();
        let answers = self
            .connection
            .bulk("documents of the view", collection, &statements)
            .await
            .map_err(of_call)?;
        let passed_over: Vec<&Document> = answers
            .iter()
            .flat_map(|(at, answer)| answer.duplicates.iter().map(move |ix| at + ix))
            .filter_map(|ix| fitting.get(ix).copied())
            .collect();
        if passed_over.is_empty() {
            return Ok(Vec::new());
        }
        self.overtaken(collection, passed_over, newest).await
    }

    /// Which of these were passed over although what is stored does not stand in their way (any more): two inserts
    /// of one document met.
    async fn overtaken<'a>(
        &self,
        collection: &'static str,
        documents: Vec<&'a Document>,
        newest: Millis,
    ) -> ViewResult<Vec<&'a Document>> {
        let ids: Vec<Bson> =
            documents.iter().map(|document| Bson::Document(id_of(&document.subject))).collect();
        let query = Query {
            filter: doc! { "_id": { "$in": ids } },
            index: "_id_",
            fields: doc! { "seq": 1, "keep_until": 1 },
            ..Query::default()
        };
        let mut stands = BTreeMap::new();
        for found in self.find("what stands in a flush's way", collection, query).await? {
            let fields = Fields(&found);
            let over = fields.millis("keep_until").is_ok_and(|until| until <= newest);
            let subject = fields
                .inner("_id")
                .and_then(|id| Ok((id.text("namespace")?.to_owned(), id.uuid("id")?)));
            if let (Ok(subject), Ok(seq)) = (subject, fields.number("seq")) {
                stands.insert(subject, if over { 0 } else { seq });
            }
        }
        let again = |document: &&Document| {
            let subject = &document.subject;
            let there = stands.get(&(subject.namespace.as_str().to_owned(), subject.id));
            there.is_none_or(|seq| *seq <= document.seq)
        };
        Ok(documents.into_iter().filter(again).collect())
    }

    async fn clear_deleted(&self, collection: &'static str) -> ViewResult<()> {
        let over = doc! { "keep_until": { "$lte": to_date(self.newest_at()) } };
        let query = Query {
            filter: over.clone(),
            index: "by_keep_until",
            fields: doc! { "_id": 1 },
            limit: DELETED_CLEARED_MAX,
            ..Query::default()
        };
        let statements: Vec<Statement> = self
            .find("old deletions", collection, query)
            .await?
            .iter()
            .filter_map(|found| {
                let mut filter = RawDocumentBuf::try_from(&over).ok()?;
                filter.append(bson::raw::cstr!("_id"), found.get_document("_id").ok()?);
                Some(Statement::Delete(filter))
            })
            .collect();
        let cleared = self.connection.bulk("old deletions", collection, &statements).await;
        cleared.map(drop).map_err(of_call)
    }
}

/// What may be replaced: an older or equal seq, or a deletion whose time is over.
fn guard(document: &Document, newest: Millis) -> RawDocumentBuf {
    rawdoc! {
        "_id": raw_id(&document.subject),
        "$or": [
            { "seq": { "$lte": to_stored(document.seq) } },
            { "keep_until": { "$lte": to_date(newest) } },
        ],
    }
}

/// A document that MongoDB cannot hold is left out of the view, with a line in the log; one job is read from its
/// stream all the same.
fn fits(document: &Document) -> bool {
    let fits = document.body.len() < DOCUMENT_BYTES_MAX - 64 * 1_024;
    if !fits {
        tracing::error!(subject = %document.subject, bytes = document.body.len(), "too large for a document of the view");
    }
    fits
}
