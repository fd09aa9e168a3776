//! A flush: documents folded to one a subject, pages of nodes to one a page; new ones inserted, the others replaced where
//! what is stored shows no newer seq.
//! Always holds: each statement is guarded by the seq it finds, so that repeating a flush, or a late one, does no
//! harm; a refusal by the guard is told from a race of two inserts by looking again. A flush is through when all of it
//! is, so that whoever waits for a job's document has its pages too.
//! Absent: order between documents.

use std::collections::BTreeMap;

use bson::raw::cstr;
use bson::{Bson, RawDocumentBuf, doc, rawdoc};
use domain::ids::{Millis, SubjectId, SubjectKind};
use futures_util::future::{try_join, try_join_all};

use super::documents::{NODES, raw_id, raw_page_id, stored, stored_page};
use super::store::{MongoView, of_call};
use crate::environment::mongodb::{
    BulkStatement, CollectionQuery, DOCUMENT_BYTES_MAX, DUPLICATE_KEY, DocumentFields, to_date,
    to_stored,
};
use crate::view::contract::{Columns, Document, NodePage, ViewError, ViewResult};

/// How often statements are tried that lost a race.
const TRIES_MAX: usize = 4;
/// Deletions whose time is over that one flush with a deletion clears away.
const DELETED_CLEARED_MAX: i64 = 16;

/// A document on its way.
#[derive(Debug)]
struct FlushItem {
    id: RawDocumentBuf,
    seq: u64,
    stored: RawDocumentBuf,
    /// This engine has not seen it in the database: an insert is tried first.
    is_new: bool,
}

/// What a flush comes down to.
#[derive(Debug, Default)]
struct Folded {
    documents: BTreeMap<SubjectId, Document>,
    pages: BTreeMap<(SubjectId, u32), (u64, NodePage)>,
}

impl Folded {
    fn take(&mut self, mut document: Document) {
        for page in std::mem::take(&mut document.nodes) {
            let which = (document.subject.clone(), page.number);
            let there = self.pages.get(&which);
            if there.is_none_or(|(seq, _)| *seq <= document.seq) {
                self.pages.insert(which, (document.seq, page));
            }
        }
        let there = self.documents.get(&document.subject);
        if there.is_none_or(|there| there.seq <= document.seq) {
            self.documents.insert(document.subject.clone(), document);
        }
    }
}

impl MongoView {
    pub(super) async fn flush_all(&self, documents: Vec<Document>) -> ViewResult<()> {
        let mut folded = Folded::default();
        for document in documents {
            if let Columns::Job(job) = &document.columns {
                self.saw(job.updated_at);
            }
            folded.take(document);
        }
        let Folded { documents, pages } = folded;
        let mut seen: Vec<(SubjectId, Option<u32>)> =
            documents.keys().map(|subject| (subject.clone(), None)).collect();
        let pages = pages.into_iter().map(|((subject, number), (seq, page))| {
            let (id, stored) = (raw_page_id(&subject, number), stored_page(&subject, seq, &page));
            let which = (subject, Some(number));
            let is_new = !self.known.has(&which);
            seen.push(which);
            FlushItem { id, seq, stored, is_new }
        });
        let pages: Vec<FlushItem> = pages.collect();
        let kinds = SubjectKind::ALL.iter().map(|kind| self.flush_kind(*kind, &documents));
        try_join(try_join_all(kinds), self.write(NODES, pages)).await?;
        self.evict_pages(&documents).await?;
        for which in seen {
            self.known.saw(which);
        }
        Ok(())
    }

    async fn flush_kind(
        &self,
        kind: SubjectKind,
        documents: &BTreeMap<SubjectId, Document>,
    ) -> ViewResult<()> {
        let collection = kind.plural();
        let of_kind = documents.values().filter(|document| document.subject.kind == kind);
        let entries: Vec<FlushItem> = of_kind
            .clone()
            .filter(|document| fits(document))
            .map(|document| FlushItem {
                id: raw_id(&document.subject),
                seq: document.seq,
                stored: stored(document),
                is_new: !is_deletion(document)
                    && !self.known.has(&(document.subject.clone(), None)),
            })
            .collect();
        self.write(collection, entries).await?;
        if of_kind.clone().any(is_deletion) {
            self.clear_deleted(collection).await?;
        }
        Ok(())
    }

    async fn write(&self, collection: &'static str, entries: Vec<FlushItem>) -> ViewResult<()> {
        let (new, mut open): (Vec<&FlushItem>, Vec<&FlushItem>) =
            entries.iter().partition(|entry| entry.is_new);
        open.extend(self.insert(collection, new).await?);
        for attempt in 0..TRIES_MAX {
            if open.is_empty() {
                return Ok(());
            }
            // What a deletion left of a job with the same id is nearly never in the way, and the server finds a
            // document by its id and seq alone in half the time.
            open = self.replace(collection, open, attempt > 0).await?;
        }
        if open.is_empty() {
            return Ok(());
        }
        Err(ViewError::Unavailable(format!(
            "{} documents of {collection} were changed by somebody else again and again",
            open.len()
        )))
    }

    /// Inserts documents; answers those that were there already.
    async fn insert<'a>(
        &self,
        collection: &'static str,
        entries: Vec<&'a FlushItem>,
    ) -> ViewResult<Vec<&'a FlushItem>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<RawDocumentBuf> = entries.iter().map(|entry| entry.stored.clone()).collect();
        let inserted = self.connection.insert("new documents of the view", collection, &all).await;
        let inserted = inserted.map_err(of_call)?;
        let refused = inserted.failed.values().find(|code| **code != DUPLICATE_KEY);
        if inserted.unconfirmed || refused.is_some() {
            return Err(ViewError::Unavailable(format!(
                "new documents of {collection} were not confirmed (code {})",
                refused.copied().unwrap_or_default()
            )));
        }
        Ok(inserted.failed.keys().filter_map(|ix| entries.get(*ix).copied()).collect())
    }

    /// Replaces documents that show no newer seq, and (if asked to) deletions whose time is over; answers those that
    /// must be tried again.
    async fn replace<'a>(
        &self,
        collection: &'static str,
        entries: Vec<&'a FlushItem>,
        deletions_too: bool,
    ) -> ViewResult<Vec<&'a FlushItem>> {
        let newest = self.newest_at();
        let statements: Vec<BulkStatement> = entries
            .iter()
            .map(|entry| BulkStatement::Update {
                filter: guard(entry, deletions_too.then_some(newest)),
                change: entry.stored.clone(),
                many: false,
                upsert: true,
            })
            .collect();
        let answers = self
            .connection
            .bulk("documents of the view", collection, &statements)
            .await
            .map_err(of_call)?;
        let passed_over: Vec<&FlushItem> = answers
            .iter()
            .flat_map(|(at, answer)| answer.duplicates.iter().map(move |ix| at + ix))
            .filter_map(|ix| entries.get(ix).copied())
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
        entries: Vec<&'a FlushItem>,
        newest: Millis,
    ) -> ViewResult<Vec<&'a FlushItem>> {
        let ids: Vec<Bson> = entries
            .iter()
            .filter_map(|entry| bson::Document::try_from(entry.id.as_ref()).ok())
            .map(Bson::Document)
            .collect();
        let query = CollectionQuery {
            filter: doc! { "_id": { "$in": ids } },
            index: "_id_",
            fields: doc! { "seq": 1, "keep_until": 1 },
            ..CollectionQuery::default()
        };
        let mut stands: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for found in self.find("what stands in a flush's way", collection, query).await? {
            let fields = DocumentFields(&found);
            let over = fields.millis("keep_until").is_ok_and(|until| until <= newest);
            if let (Ok(id), Ok(seq)) = (fields.inner("_id"), fields.number("seq")) {
                stands.insert(id.0.as_bytes().to_vec(), if over { 0 } else { seq });
            }
        }
        let again = |entry: &&FlushItem| {
            stands.get(entry.id.as_bytes()).is_none_or(|there| *there <= entry.seq)
        };
        Ok(entries.into_iter().filter(again).collect())
    }

    /// The pages of deleted jobs: what is left of each keeps late ones away until its time is over; then the server
    /// removes it by itself.
    async fn evict_pages(&self, documents: &BTreeMap<SubjectId, Document>) -> ViewResult<()> {
        let statements: Vec<BulkStatement> = documents
            .values()
            .filter(|document| document.subject.kind == SubjectKind::Job)
            .filter_map(|document| {
                let Columns::Deleted { keep_until } = &document.columns else { return None };
                let (subject, seq) = (&document.subject, to_stored(document.seq));
                let pages = rawdoc! {
                    "$gte": raw_page_id(subject, 0),
                    "$lte": raw_page_id(subject, u32::MAX),
                };
                let gone = rawdoc! {
                    "$set": { "seq": seq, "keep_until": to_date(*keep_until) },
                    "$unset": { "namespace": "", "job_id": "", "nodes": "" },
                };
                Some(BulkStatement::Update {
                    filter: rawdoc! { "_id": pages, "seq": { "$lte": seq } },
                    change: gone,
                    many: true,
                    upsert: false,
                })
            })
            .collect();
        let evicted = self.connection.bulk("pages of deleted jobs", NODES, &statements).await;
        evicted.map(drop).map_err(of_call)
    }

    async fn clear_deleted(&self, collection: &'static str) -> ViewResult<()> {
        let over = doc! { "keep_until": { "$lte": to_date(self.newest_at()) } };
        let query = CollectionQuery {
            filter: over.clone(),
            index: "by_keep_until",
            fields: doc! { "_id": 1 },
            limit: DELETED_CLEARED_MAX,
            ..CollectionQuery::default()
        };
        let statements: Vec<BulkStatement> = self
            .find("old deletions", collection, query)
            .await?
            .iter()
            .filter_map(|found| {
                let mut filter = RawDocumentBuf::try_from(&over).ok()?;
                filter.append(cstr!("_id"), found.get_document("_id").ok()?);
                Some(BulkStatement::Delete(filter))
            })
            .collect();
        let cleared = self.connection.bulk("old deletions", collection, &statements).await;
        cleared.map(drop).map_err(of_call)
    }
}

fn is_deletion(document: &Document) -> bool {
    matches!(document.columns, Columns::Deleted { .. })
}

/// What may be replaced: an older or equal seq, or a deletion whose time is over by `newest`.
fn guard(entry: &FlushItem, newest: Option<Millis>) -> RawDocumentBuf {
    let older = rawdoc! { "seq": { "$lte": to_stored(entry.seq) } };
    match newest {
        None => rawdoc! { "_id": entry.id.clone(), "seq": { "$lte": to_stored(entry.seq) } },
        Some(newest) => rawdoc! {
            "_id": entry.id.clone(),
            "$or": [older, { "keep_until": { "$lte": to_date(newest) } }],
        },
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
