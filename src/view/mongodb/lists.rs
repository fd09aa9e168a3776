//! What each read of the view does.
//! Always holds: bodies are read only for the jobs of the page; a document that cannot be read is noted and left out.
//! Absent: the making of queries (`query`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bson::{Bson, RawDocumentBuf, doc};
use domain::ids::{Namespace, SubjectId, SubjectKind};
use uuid::Uuid;

use super::documents::{body, document, id_of, noted_id, raw_id};
use super::query::{self, PageQuery, sort_field};
use super::store::{MongoView, of_call};
use crate::environment::mongodb::{CollectionQuery, DocumentFields, Undecodable, uuid_bson};
use crate::view::contract::{
    Document, JobQuery, JobSort, Page, PageStart, TOTAL_COUNTED_MAX, Total, ViewError, ViewResult,
};

/// Where jobs are.
const JOBS: &str = "jobs";

impl MongoView {
    /// All documents that a query finds.
    pub(super) async fn find(
        &self,
        what: &'static str,
        collection: &'static str,
        query: CollectionQuery,
    ) -> ViewResult<Vec<RawDocumentBuf>> {
        let target = self.connection.collection(collection);
        self.connection.find(what, &target, query).await.map_err(of_call)
    }

    pub(super) async fn documents_of(
        &self,
        subjects: &[SubjectId],
    ) -> ViewResult<Vec<Option<Document>>> {
        let kinds: BTreeSet<SubjectKind> = subjects.iter().map(|subject| subject.kind).collect();
        let mut found: BTreeMap<Vec<u8>, RawDocumentBuf> = BTreeMap::new();
        for kind in kinds {
            let of_kind = subjects.iter().filter(|subject| subject.kind == kind);
            let ids: Vec<Bson> = of_kind.map(|subject| Bson::Document(id_of(subject))).collect();
            let query = CollectionQuery {
                filter: doc! { "_id": { "$in": ids } },
                index: "_id_",
                ..CollectionQuery::default()
            };
            for document in self.find("documents", kind.plural(), query).await? {
                if let Ok(id) =
                    DocumentFields(&document).inner("_id").map(|id| id.0.as_bytes().to_vec())
                {
                    found.insert(id, document);
                }
            }
        }
        let each = subjects.iter().map(|subject| {
            let Some(found) = found.get(raw_id(subject).as_bytes()) else { return Ok(None) };
            document(subject, DocumentFields(found))
                .map_err(|reason| ViewError::Damaged(format!("{subject}: {reason}")))
        });
        each.collect()
    }

    pub(super) async fn page_of_jobs(&self, query: JobQuery) -> ViewResult<Page> {
        let (filter, index) = query::count(&query);
        let total = self.count(JOBS, filter, index).await?;
        match query::page(&query, total) {
            PageQuery::InOrder(found) => self.page_in_order(&query, found, total).await,
            PageQuery::ToOrder(found) => self.page_to_order(&query, found, total).await,
        }
    }

    async fn page_in_order(
        &self,
        query: &JobQuery,
        find: CollectionQuery,
        total: Total,
    ) -> ViewResult<Page> {
        let found = self.find("a page of jobs", JOBS, find).await?;
        let size = usize::try_from(query.page_size).unwrap_or(usize::MAX);
        let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
        for document in &found {
            let fields = DocumentFields(document);
            match place(query.sort, fields).and_then(|place| Ok((place, body(fields)?))) {
                Ok((place, _)) if is_start(query, place) => {}
                Ok(row) => rows.push(row),
                Err(reason) => unreadable.push((noted_id(fields), reason)),
            }
        }
        self.set_aside(JOBS, unreadable).await;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|(place, _)| *place);
        Ok(Page { items: rows.into_iter().map(|(_, body)| body).collect(), total, next })
    }

    async fn page_to_order(
        &self,
        query: &JobQuery,
        find: CollectionQuery,
        total: Total,
    ) -> ViewResult<Page> {
        let (mut places, mut unreadable) = (Vec::new(), Vec::new());
        for document in &self.find("jobs to put in order", JOBS, find).await? {
            let fields = DocumentFields(document);
            match place(query.sort, fields) {
                Ok(place) => places.push(place),
                Err(reason) => unreadable.push((noted_id(fields), reason)),
            }
        }
        self.set_aside(JOBS, unreadable).await;
        places.sort_unstable();
        if query.descending {
            places.reverse();
        }
        let size = usize::try_from(query.page_size).unwrap_or(usize::MAX);
        let begin = match &query.start {
            PageStart::Page(number) => {
                usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(size)
            }
            PageStart::After { value, id } => places.partition_point(|place| {
                let last = (*value, *id);
                if query.descending { *place >= last } else { *place <= last }
            }),
        };
        let rest = places.get(begin..).unwrap_or_default();
        let shown = rest.get(..size).unwrap_or(rest);
        let next = shown.last().filter(|_| rest.len() > shown.len()).copied();
        let items = self.bodies(&query.namespace, shown).await?;
        Ok(Page { items, total, next })
    }

    /// The bodies of these jobs, in this order.
    async fn bodies(
        &self,
        namespace: &Namespace,
        shown: &[(i64, Uuid)],
    ) -> ViewResult<Vec<Arc<str>>> {
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Bson> = shown
            .iter()
            .map(|(_, id)| {
                Bson::Document(doc! { "namespace": namespace.as_str(), "id": uuid_bson(*id) })
            })
            .collect();
        let query = CollectionQuery {
            filter: doc! { "_id": { "$in": ids } },
            index: "_id_",
            fields: doc! { "id": 1, "body": 1 },
            ..CollectionQuery::default()
        };
        let (mut bodies, mut unreadable) = (BTreeMap::new(), Vec::new());
        for document in &self.find("the jobs of a page", JOBS, query).await? {
            let fields = DocumentFields(document);
            match fields.uuid("id").and_then(|id| Ok((id, body(fields)?))) {
                Ok((id, body)) => {
                    bodies.insert(id, body);
                }
                Err(reason) => unreadable.push((noted_id(fields), reason)),
            }
        }
        self.set_aside(JOBS, unreadable).await;
        // One that was deleted meanwhile is left out.
        Ok(shown.iter().filter_map(|(_, id)| bodies.get(id).cloned()).collect())
    }

    pub(super) async fn page_of_named(
        &self,
        namespace: &Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> ViewResult<Page> {
        let collection = kind.plural();
        let find = query::named(namespace, page, page_size);
        let total = self.count(collection, find.filter.clone(), find.index).await?;
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for document in &self.find("a page of names", collection, find).await? {
            match body(DocumentFields(document)) {
                Ok(body) => items.push(body),
                Err(reason) => unreadable.push((noted_id(DocumentFields(document)), reason)),
            }
        }
        self.set_aside(collection, unreadable).await;
        Ok(Page { items, total, next: None })
    }

    async fn count(
        &self,
        collection: &'static str,
        filter: bson::Document,
        index: &'static str,
    ) -> ViewResult<Total> {
        let target = self.connection.collection(collection);
        let deadline = self.connection.calls().deadline();
        let counted = self.connection.calls().make("a count", async move {
            let hint = mongodb::options::Hint::Name(index.to_owned());
            let counted = target.count_documents(filter).hint(hint).max_time(deadline);
            counted.limit(TOTAL_COUNTED_MAX + 1).await
        });
        let found = counted.await.map_err(of_call)?;
        Ok(if found > TOTAL_COUNTED_MAX {
            Total::AtLeast(TOTAL_COUNTED_MAX)
        } else {
            Total::Exact(found)
        })
    }

    async fn set_aside(&self, collection: &'static str, unreadable: Vec<(Bson, Undecodable)>) {
        for (id, reason) in unreadable {
            let calls = self.connection.calls();
            self.connection.quarantine().note(calls, collection, id, &reason).await;
        }
    }
}

/// Whether this is the job that the page begins behind.
fn is_start(query: &JobQuery, place: (i64, Uuid)) -> bool {
    match &query.start {
        PageStart::Page(_) => false,
        PageStart::After { value, id } => place == (*value, *id),
    }
}

/// Where a job stands in the order.
fn place(sort: JobSort, fields: DocumentFields<'_>) -> Result<(i64, Uuid), Undecodable> {
    let field = sort_field(sort);
    let value = match sort {
        JobSort::CreatedAt | JobSort::UpdatedAt => fields.millis(field)?,
        JobSort::Priority => i64::try_from(fields.number(field)?).unwrap_or(i64::MAX),
    };
    Ok((value, fields.uuid("id")?))
}
