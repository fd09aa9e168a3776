//! What every view guarantees: documents for looking, written behind the streams, folded, each with the seq it
//! shows; a flush never takes a document back to an older seq. Nothing is ever decided from it, and it can be
//! thrown away and rebuilt. Held to by one conformance suite (`tests/engine/storage/view.rs`).
//! Absent on purpose: any query without a namespace, and any filter that has no index.

use std::fmt::Debug;
use std::sync::Arc;

use domain::ids::{Millis, Namespace, SubjectId, SubjectKind};
use domain::job::plan::Plan;
use domain::job::state::NodeState;
use futures_util::future::BoxFuture;
use uuid::Uuid;

/// What a job list filters and sorts by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobColumns {
    /// The job's name.
    pub name: String,
    /// One of the 12 status words.
    pub status: &'static str,
    /// The job's type, if it has one.
    pub job_type: Option<String>,
    /// Where it is admitted.
    pub environment: String,
    /// The job whose sub-job it is.
    pub parent_job_id: Option<Uuid>,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// Class of the error it ended with.
    pub error_class: Option<String>,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Unique, at most 20.
    pub tags: Vec<String>,
    /// Counted in milliseconds.
    pub created_at: Millis,
    /// Counted in milliseconds.
    pub updated_at: Millis,
}

/// What kind of document it is and what it can be found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    Job(Box<JobColumns>),
    /// A subject found by kind and name (an environment).
    Named {
        /// Unique by its stream.
        name: String,
    },
    /// The subject is deleted: the document goes, its seq stays for 24 h so that no late flush brings it back.
    Deleted {
        /// Until when, in milliseconds.
        keep_until: Millis,
    },
}

/// A page of a job's nodes as they stand, for people who look into a database. No list and no decision reads it.
#[derive(Debug, Clone)]
pub struct NodePage {
    pub number: u32,
    /// Position of its first node.
    pub first: usize,
    /// What never changes of them.
    pub plan: Arc<Plan>,
    /// Their order is kept.
    pub states: Vec<NodeState>,
}

impl PartialEq for NodePage {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.first, &self.states) == (other.number, other.first, &other.states)
    }
}

impl Eq for NodePage {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub subject: SubjectId,
    /// The seq of the stream that it shows.
    pub seq: u64,
    /// What it can be found by.
    pub columns: Columns,
    /// The JSON text that lists answer with, as it stands.
    pub body: Arc<str>,
    /// Pages of the job's nodes that changed since they were shown. A view in which nobody looks for them leaves them
    /// out; `get` never gives them.
    pub nodes: Vec<NodePage>,
}

/// What jobs are sorted by. Ties are broken by id; jobs of one priority may come by age first, where a view's index has
/// them so. Pages leave none out and show none twice either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSort {
    /// When it was submitted.
    CreatedAt,
    /// When it changed last.
    UpdatedAt,
    /// 1 first when ascending.
    Priority,
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// 1-based; `page * page_size` is at most 10,000.
    Page(u32),
    /// What an earlier answer gave as `next_cursor`: the sort value and the id of its last item.
    After {
        /// The sort field's value, or what else this view calls the place in the order.
        value: i64,
        /// The subject's id.
        id: Uuid,
    },
}

/// Which jobs, in which order. Every filter that is set must hold.
#[derive(Debug, Clone)]
pub struct JobQuery {
    pub namespace: Namespace,
    /// Any of these status words; empty: all.
    pub statuses: Vec<&'static str>,
    /// Exactly this type.
    pub job_type: Option<String>,
    /// Has this tag.
    pub tag: Option<String>,
    /// The name starts so (case-sensitive, no pattern characters).
    pub name_prefix: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// Child of this job.
    pub parent_job_id: Option<Uuid>,
    /// Asked for by.
    pub triggered_by: Option<String>,
    /// Ended with this class of error.
    pub error_class: Option<String>,
    /// Submitted at or after.
    pub created_after: Option<Millis>,
    pub created_before: Option<Millis>,
    pub sort: JobSort,
    pub descending: bool,
    /// Where to start.
    pub start: PageStart,
    /// 1 to 100.
    pub page_size: u32,
}

/// How many there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Exactly so many.
    Exact(u64),
    /// More than were counted.
    AtLeast(u64),
}

/// How far totals are counted.
pub const TOTAL_COUNTED_MAX: u64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Documents' bodies, in order.
    pub items: Vec<Arc<str>>,
    /// How many match in all.
    pub total: Total,
    /// Where the next page starts, when there is one.
    pub next: Option<(i64, Uuid)>,
}

/// Why a view call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Cannot be reached or did not answer; writing again is safe.
    #[error("the view is unavailable: {0}")]
    Unavailable(String),
    /// No room: nothing was written. Writing again is safe.
    #[error("the view has no room")]
    Full,
    /// It cannot be read and must be rebuilt from the streams.
    #[error("the view is damaged and must be rebuilt: {0}")]
    Damaged(String),
}

/// A view call's result.
pub type ViewResult<T> = Result<T, ViewError>;

/// The queryable documents.
pub trait View: Send + Sync + Debug {
    /// Writes documents; one that shows an older seq than the stored is passed over. All are durable no later than
    /// the next `sync`.
    fn flush(&self, documents: Vec<Document>) -> BoxFuture<'_, ViewResult<()>>;

    /// Makes everything flushed so far durable (a stream is retired only after that).
    fn sync(&self) -> BoxFuture<'_, ViewResult<()>>;

    /// The documents of these subjects (some hundreds at most), each in its subject's place.
    fn documents<'a>(
        &'a self,
        subjects: &'a [SubjectId],
    ) -> BoxFuture<'a, ViewResult<Vec<Option<Document>>>>;

    /// A page of jobs.
    fn jobs(&self, query: JobQuery) -> BoxFuture<'_, ViewResult<Page>>;

    /// A page of named subjects of one kind in name order; `next` is not used, `page` is.
    fn named(
        &self,
        namespace: Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> BoxFuture<'_, ViewResult<Page>>;

    /// Makes this view the (complete or still incomplete) view of the given store. Answers whether it was that
    /// store's complete view before; when not, everything in it has been removed and it must be rebuilt.
    /// `complete` is set once a rebuild is through.
    fn adopt<'a>(&'a self, store_id: &'a str, complete: bool) -> BoxFuture<'a, ViewResult<bool>>;
}
