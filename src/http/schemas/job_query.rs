//! Which jobs a list is asked for: the filters and sorts that have an index, and nothing else. Absent: running the
//! query, which is the view's.

use domain::ids::{JobId, Namespace};
use domain::job::status::JobStatus;
use utoipa::IntoParams;

use crate::http::extract::query::Query;
use crate::http::page::{Cursor, PAGE_SIZE_MAX, PageRequest};
use crate::http::problem::Problem;
use crate::view::contract::{JobQuery, JobSort, PageStart};
use crate::view::resources::words::JobStatusWord;

/// What a list of jobs can be asked for, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobListParameters {
    /// Any of these states; with commas, or repeated.
    #[param(nullable = false, style = Form, explode = false)]
    pub status: Option<Vec<JobStatusWord>>,
    /// Exactly this type.
    #[param(nullable = false, max_length = 100)]
    pub job_type: Option<String>,
    /// Has this tag.
    #[param(nullable = false, max_length = 50)]
    pub tag: Option<String>,
    /// The name starts so, upper and lower case told apart.
    #[param(nullable = false, max_length = 255)]
    pub name_prefix: Option<String>,
    /// In this environment.
    #[param(nullable = false)]
    pub environment: Option<String>,
    /// Child of this job.
    #[param(nullable = false, format = "uuid")]
    pub parent_job_id: Option<String>,
    /// Asked for by.
    #[param(nullable = false, max_length = 255)]
    pub triggered_by: Option<String>,
    /// Ended with this class of error.
    #[param(nullable = false, max_length = 100)]
    pub error_class: Option<String>,
    /// Submitted at this time or later.
    #[param(nullable = false, format = "date-time")]
    pub created_after: Option<String>,
    /// Submitted before this time.
    #[param(nullable = false, format = "date-time")]
    pub created_before: Option<String>,
    /// created_at, updated_at or priority; with `-` the largest first.
    #[param(
        nullable = false,
        pattern = "^-?(created_at|updated_at|priority)$",
        default = "-created_at"
    )]
    pub sort: Option<String>,
    /// Wait, at most 2 s, until everything acknowledged so far is shown.
    #[param(nullable = false, default = false)]
    pub consistent: Option<bool>,
}

/// A list request, read.
#[derive(Debug)]
pub struct JobListRequest {
    /// For the view.
    pub query: JobQuery,
    /// For the answer.
    pub page: PageRequest,
    /// Wait until the view shows what was acknowledged before.
    pub consistent: bool,
    kind: char,
}

impl JobListRequest {
    /// Reads the whole query.
    pub fn read(namespace: Namespace, mut query: Query) -> Result<Self, Problem> {
        let (sort, descending) = query
            .one("sort", "created_at, updated_at or priority, with - for descending", sorted)
            .unwrap_or((JobSort::CreatedAt, true));
        let kind = kind_of(sort, descending);
        let page = PageRequest::take(&mut query, kind, PAGE_SIZE_MAX);
        let start = page.after.map_or(PageStart::Page(page.page), |cursor| PageStart::After {
            value: cursor.value,
            id: cursor.id,
        });
        let states = JobStatus::ALL.map(JobStatus::as_str).join(", ");
        let parent = query.one("parent_job_id", "a job id", |text| JobId::parse(text).ok());
        let asked = JobQuery {
            namespace,
            statuses: query
                .many("status", &states, |word| JobStatus::parse(word).map(JobStatus::as_str)),
            job_type: query.text("job_type"),
            tag: query.text("tag"),
            name_prefix: query.text("name_prefix"),
            environment: query.text("environment"),
            parent_job_id: parent.map(|id| id.0),
            triggered_by: query.text("triggered_by"),
            error_class: query.text("error_class"),
            created_after: query.time("created_after"),
            created_before: query.time("created_before"),
            sort,
            descending,
            start,
            page_size: page.page_size,
        };
        let consistent = query.flag("consistent");
        query.finish().map(|()| Self { query: asked, page, consistent, kind })
    }

    /// The cursor after an item of this list.
    pub fn cursor(&self, value: i64, id: uuid::Uuid) -> Cursor {
        Cursor { kind: self.kind, value, id }
    }
}

fn sorted(text: &str) -> Option<(JobSort, bool)> {
    let (descending, field) = text.strip_prefix('-').map_or((false, text), |field| (true, field));
    let sort = match field {
        "created_at" => JobSort::CreatedAt,
        "updated_at" => JobSort::UpdatedAt,
        "priority" => JobSort::Priority,
        _ => return None,
    };
    Some((sort, descending))
}

/// A cursor of one order means nothing in another.
fn kind_of(sort: JobSort, descending: bool) -> char {
    match (sort, descending) {
        (JobSort::CreatedAt, false) => 'c',
        (JobSort::CreatedAt, true) => 'C',
        (JobSort::UpdatedAt, false) => 'u',
        (JobSort::UpdatedAt, true) => 'U',
        (JobSort::Priority, false) => 'p',
        (JobSort::Priority, true) => 'P',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<JobListRequest, Problem> {
        JobListRequest::read(Namespace::default_namespace(), Query::read(text)?)
    }

    #[test]
    fn filters_and_sort_are_read() -> Result<(), Problem> {
        let asked = read("status=running,failed&status=paused&sort=-priority&tag=a%20b")?;
        assert_eq!(asked.query.statuses, ["running", "failed", "paused"]);
        assert_eq!(asked.query.tag.as_deref(), Some("a b"));
        assert_eq!((asked.query.sort, asked.query.descending), (JobSort::Priority, true));
        Ok(())
    }

    #[test]
    fn what_has_no_index_or_no_meaning_is_refused() {
        for wrong in [
            "sort=name",
            "sort=--priority",
            "status=",
            "status=done",
            "status=running,",
            "parent_job_id=x",
            "created_after=now",
            "consistent=1",
            "limit=10",
            "page_size=0",
            "tag=a&tag=b",
            "name_prefix=",
        ] {
            let code = read(wrong).map(|_| ()).map_err(|problem| problem.code().as_str());
            assert_eq!(code, Err("validation_failed"), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() -> Result<(), Problem> {
        let cursor = read("sort=priority")?.cursor(3, uuid::Uuid::nil()).text();
        assert!(read(&format!("sort=priority&cursor={cursor}")).is_ok());
        assert!(read(&format!("sort=-priority&cursor={cursor}")).is_err());
        Ok(())
    }
}
