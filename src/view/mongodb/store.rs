//! The MongoDB view behind the contract.
//! Always holds: a majority has what `flush` answered, so `sync` has nothing left to do.
//! Absent: how it connects (`environment::mongodb`), and the schema (migrations).

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bson::{Document as Bsons, doc};
use domain::ids::{Millis, Namespace, SubjectId, SubjectKind};
use futures_util::future::BoxFuture;
use mongodb::Collection;
use mongodb::options::ReturnDocument;

use super::documents::NODES;
use super::known::Known;
use crate::environment::mongodb::{CallError, MongoConnection};
use crate::view::contract::{Document, JobQuery, Page, View, ViewError, ViewResult};

/// Emptying a view of many millions of documents takes its time.
const EMPTYING_MAX: Duration = Duration::from_hours(1);
/// The document in `meta` that says whose view it is.
const VIEW: &str = "view";

/// The view in a database of MongoDB.
pub struct MongoView {
    pub(super) connection: MongoConnection,
    pub(super) known: Known,
    /// The newest `updated_at` written, by which remembered deletions grow old.
    newest_at: AtomicI64,
}

impl fmt::Debug for MongoView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoView").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// What a failed call means to the engine.
#[expect(clippy::needless_pass_by_value, reason = "what a failed call leaves ends here")]
pub(super) fn of_call(error: CallError) -> ViewError {
    ViewError::Unavailable(error.to_string())
}

impl MongoView {
    /// The view in this database. Its collections and indexes must be there (migrations).
    pub fn new(connection: MongoConnection) -> Self {
        Self { connection, known: Known::default(), newest_at: AtomicI64::new(0) }
    }

    pub(super) fn newest_at(&self) -> Millis {
        self.newest_at.load(Ordering::Acquire)
    }

    pub(super) fn saw(&self, updated_at: Millis) {
        self.newest_at.fetch_max(updated_at, Ordering::AcqRel);
    }

    async fn adopt_by(&self, store_id: &str, complete: bool) -> ViewResult<bool> {
        let meta: Collection<Bsons> = self.connection.database().collection("meta");
        let asked = meta.clone();
        let there = self
            .connection
            .calls()
            .make("whose view it is", async move { asked.find_one(doc! { "_id": VIEW }).await });
        let there = there.await.map_err(of_call)?.unwrap_or_default();
        let same = there.get_str("store_id").is_ok_and(|there| there == store_id);
        let was = same && there.get_bool("complete").unwrap_or(false);
        // An incomplete view of this store becomes its complete one without losing what the rebuild wrote.
        let stays = was || (same && complete);
        if !stays {
            self.empty().await?;
        }
        let now = doc! { "$set": { "store_id": store_id, "complete": stays } };
        let kept = self.connection.calls().make("whose view it is", async move {
            meta.find_one_and_update(doc! { "_id": VIEW }, now)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        });
        kept.await.map_err(of_call)?;
        Ok(was)
    }

    async fn empty(&self) -> ViewResult<()> {
        self.known.clear();
        let calls = self.connection.calls().with_deadline(EMPTYING_MAX);
        for collection in SubjectKind::ALL.iter().map(|kind| kind.plural()).chain([NODES]) {
            let target = self.connection.collection(collection);
            let emptied = calls.make("the emptying of the view", async move {
                target.delete_many(doc! {}).await.map(drop)
            });
            emptied.await.map_err(of_call)?;
        }
        Ok(())
    }
}

impl View for MongoView {
    fn flush(&self, documents: Vec<Document>) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(self.flush_all(documents))
    }

    fn sync(&self) -> BoxFuture<'_, ViewResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn documents<'a>(
        &'a self,
        subjects: &'a [SubjectId],
    ) -> BoxFuture<'a, ViewResult<Vec<Option<Document>>>> {
        Box::pin(self.documents_of(subjects))
    }

    fn jobs(&self, query: JobQuery) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(self.page_of_jobs(query))
    }

    fn named(
        &self,
        namespace: Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> BoxFuture<'_, ViewResult<Page>> {
        Box::pin(async move { self.page_of_named(&namespace, kind, page, page_size).await })
    }

    fn adopt<'a>(&'a self, store_id: &'a str, complete: bool) -> BoxFuture<'a, ViewResult<bool>> {
        Box::pin(self.adopt_by(store_id, complete))
    }
}
