//! The view of tests and simulation: documents in an ordered map behind one lock, with faults that follow from a
//! seed and are all off by default.
//! Always holds: the seq guard, also for what a failed flush wrote; nothing here reads a clock.
//! Absent: indexes. A list walks the namespace, which tests can afford.

mod documents;
mod faults;
mod store;

use domain::ids::Namespace;
use orrery::view::contract::{JobQuery, JobSort, PageStart};

pub use self::faults::Faults;
pub use self::store::MemoryView;

/// Every job of a namespace, the oldest first, a hundred a page: what a test's query differs from.
pub fn every_job(namespace: Namespace) -> JobQuery {
    JobQuery {
        namespace,
        statuses: Vec::new(),
        job_type: None,
        tag: None,
        name_prefix: None,
        environment: None,
        parent_job_id: None,
        triggered_by: None,
        error_class: None,
        created_after: None,
        created_before: None,
        sort: JobSort::CreatedAt,
        descending: false,
        start: PageStart::Page(1),
        page_size: 100,
    }
}
