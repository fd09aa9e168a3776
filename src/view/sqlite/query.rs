//! How a job list becomes SQL: which index finds the jobs, which one gives the order.
//! A filter's index also gives the default order (created_at). For another order the jobs found are sorted while
//! they are few; once they pass `TOTAL_COUNTED_MAX` the sort's own index is walked instead and the filters are
//! checked on the way, which with so many matches soon fills a page.
//! Always holds: each statement names its index, so that SQLite refuses it rather than scan; values are bound, never
//! written into the text. Absent: running it (`lists`).

use rusqlite::types::Value;

use crate::view::contract::{JobQuery, JobSort, PageStart, TOTAL_COUNTED_MAX, Total};
use crate::view::prefix::after_prefix;

/// In the value of a cursor by priority the time of creation lies below the priority, in milliseconds: enough until the
/// year 10889.
const CREATED_BITS: u32 = 48;

/// A statement and what is bound to it, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BoundStatement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// Where a statement looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexChoice {
    /// An index of `jobs`; `ordered` when it yields jobs in the order of created_at.
    Index { name: &'static str, ordered: bool },
    /// The table of tags, in the order of created_at.
    Tags,
}

/// Counts the matching jobs, as far as anybody wants to know.
pub(super) fn count(query: &JobQuery, ns: i64) -> BoundStatement {
    let through = finder(query).unwrap_or_else(|| walker(JobSort::CreatedAt));
    let (mut from, wheres, mut values) = from_where(query, ns, through);
    if through == IndexChoice::Tags && !wheres.contains("j.") {
        // The tag is all that is asked for: the jobs themselves need not be visited.
        "tags AS t".clone_into(&mut from);
    }
    values.push(Value::Integer(i64::try_from(TOTAL_COUNTED_MAX).unwrap_or(i64::MAX) + 1));
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {wheres} LIMIT ?)");
    BoundStatement { sql, values }
}

/// The rows of one page and one more, to know whether there is a next: row, sort value, id.
pub(super) fn page(query: &JobQuery, ns: i64, total: Total) -> BoundStatement {
    let through = match (finder(query), total) {
        (Some(finder), _) if query.sort == JobSort::CreatedAt && gives_order(finder) => finder,
        (Some(finder), Total::Exact(_)) => finder,
        (None, _) | (Some(_), Total::AtLeast(_)) => walker(query.sort),
    };
    let (from, mut wheres, mut values) = from_where(query, ns, through);
    let order = order(query.sort, through);
    let (direction, beyond) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
    let mut offset = 0;
    match &query.start {
        PageStart::Page(number) => {
            offset = i64::from(number.saturating_sub(1)) * i64::from(query.page_size);
        }
        PageStart::After { value, id: last } => {
            let marks = vec!["?"; order.len()].join(", ");
            wheres = format!("{wheres} AND ({}) {beyond} ({marks})", order.join(", "));
            if query.sort == JobSort::Priority {
                values.push(Value::Integer(value >> CREATED_BITS));
                values.push(Value::Integer(value & ((1 << CREATED_BITS) - 1)));
            } else {
                values.push(Value::Integer(*value));
            }
            values.push(Value::Blob(last.as_bytes().to_vec()));
        }
    }
    values.push(Value::Integer(i64::from(query.page_size) + 1));
    values.push(Value::Integer(offset));
    let value = match query.sort {
        JobSort::CreatedAt | JobSort::UpdatedAt => order[0].to_owned(),
        JobSort::Priority => format!("(j.priority << {CREATED_BITS}) | j.created_at"),
    };
    let (id, order) = (order[order.len() - 1], order.join(&format!(" {direction}, ")));
    let sql = format!(
        "SELECT j.row, {value}, {id} FROM {from} WHERE {wheres} \
         ORDER BY {order} {direction} LIMIT ? OFFSET ?"
    );
    BoundStatement { sql, values }
}

/// By what a page is ordered: the sort's field, and what breaks ties. Jobs of one priority come by age: by id alone the
/// index would have a page of its own for each new job whose id follows from a key.
fn order(sort: JobSort, through: IndexChoice) -> &'static [&'static str] {
    match (sort, through) {
        (JobSort::CreatedAt, IndexChoice::Tags) => &["t.created_at", "t.id"],
        (JobSort::CreatedAt, IndexChoice::Index { .. }) => &["j.created_at", "j.id"],
        (JobSort::UpdatedAt, IndexChoice::Tags) => &["j.updated_at", "t.id"],
        (JobSort::UpdatedAt, IndexChoice::Index { .. }) => &["j.updated_at", "j.id"],
        (JobSort::Priority, IndexChoice::Tags) => &["j.priority", "j.created_at", "t.id"],
        (JobSort::Priority, IndexChoice::Index { .. }) => &["j.priority", "j.created_at", "j.id"],
    }
}

/// The index of the filter that leaves the fewest jobs, by what such filters usually leave.
fn finder(query: &JobQuery) -> Option<IndexChoice> {
    let index = |name, ordered| Some(IndexChoice::Index { name, ordered });
    if query.parent_job_id.is_some() {
        index("jobs_parent", true)
    } else if query.tag.is_some() {
        Some(IndexChoice::Tags)
    } else if query.error_class.is_some() {
        index("jobs_error", true)
    } else if query.triggered_by.is_some() {
        index("jobs_triggered", true)
    } else if query.name_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
        index("jobs_name", false)
    } else if query.job_type.is_some() {
        index("jobs_type", true)
    } else if query.environment.as_ref().is_some_and(|name| name != "default") {
        index("jobs_environment", true)
    } else if !query.statuses.is_empty() {
        index("jobs_status", query.statuses.len() == 1)
    } else if query.created_after.is_some() || query.created_before.is_some() {
        index("jobs_created", true)
    } else {
        None
    }
}

fn walker(sort: JobSort) -> IndexChoice {
    let name = match sort {
        JobSort::CreatedAt => "jobs_created",
        JobSort::UpdatedAt => "jobs_updated",
        JobSort::Priority => "jobs_priority",
    };
    IndexChoice::Index { name, ordered: sort == JobSort::CreatedAt }
}

fn gives_order(through: IndexChoice) -> bool {
    match through {
        IndexChoice::Index { ordered, .. } => ordered,
        IndexChoice::Tags => true,
    }
}

fn from_where(query: &JobQuery, ns: i64, through: IndexChoice) -> (String, String, Vec<Value>) {
    let mut conditions = Conditions::default();
    let from = match through {
        // CROSS JOIN keeps the tags in front.
        IndexChoice::Tags => "tags AS t CROSS JOIN jobs AS j ON j.row = t.row".to_owned(),
        IndexChoice::Index { name, .. } => format!("jobs AS j INDEXED BY {name}"),
    };
    let (owner, created) = if through == IndexChoice::Tags {
        ("t.ns = ?", "t.created_at")
    } else {
        ("j.ns = ?", "j.created_at")
    };
    conditions.add(owner, [Value::Integer(ns)]);
    if let Some(tag) = &query.tag {
        let condition = if through == IndexChoice::Tags {
            "t.tag = ?"
        } else {
            "EXISTS (SELECT 1 FROM tags AS t WHERE t.ns = j.ns AND t.tag = ? AND t.created_at = j.created_at \
             AND t.id = j.id)"
        };
        conditions.add(condition, [Value::Text(tag.clone())]);
    }
    if !query.statuses.is_empty() {
        let marks = vec!["?"; query.statuses.len()].join(", ");
        let words = query.statuses.iter().map(|word| Value::Text((*word).to_owned()));
        conditions.add(&format!("j.status IN ({marks})"), words);
    }
    // The conditions of the partial indexes stand beside the values, or SQLite could not use them.
    for (condition, value) in [
        ("j.job_type IS NOT NULL AND j.job_type = ?", &query.job_type),
        ("j.triggered_by IS NOT NULL AND j.triggered_by = ?", &query.triggered_by),
        ("j.error_class IS NOT NULL AND j.error_class = ?", &query.error_class),
    ] {
        if let Some(value) = value {
            conditions.add(condition, [Value::Text(value.clone())]);
        }
    }
    if let Some(name) = &query.environment {
        let partial = if name == "default" { "" } else { "j.environment <> 'default' AND " };
        conditions.add(&format!("{partial}j.environment = ?"), [Value::Text(name.clone())]);
    }
    if let Some(parent) = &query.parent_job_id {
        let value = Value::Blob(parent.as_bytes().to_vec());
        conditions.add("j.parent IS NOT NULL AND j.parent = ?", [value]);
    }
    if let Some(prefix) = query.name_prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
        conditions.add("j.name >= ?", [Value::Text(prefix.clone())]);
        if let Some(end) = after_prefix(prefix) {
            conditions.add("j.name < ?", [Value::Text(end)]);
        }
    }
    if let Some(after) = query.created_after {
        conditions.add(&format!("{created} >= ?"), [Value::Integer(after)]);
    }
    if let Some(before) = query.created_before {
        conditions.add(&format!("{created} < ?"), [Value::Integer(before)]);
    }
    (from, conditions.text, conditions.values)
}

#[derive(Debug, Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
        self.values.extend(values);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

    use domain::ids::Namespace;
    use rusqlite::{Connection, params_from_iter};
    use uuid::Uuid;

    use super::super::schema::TABLES;
    use super::*;

    const MANY: Total = Total::AtLeast(TOTAL_COUNTED_MAX);

    fn plain() -> JobQuery {
        JobQuery {
            namespace: Namespace::default_namespace(),
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
            page_size: 20,
        }
    }

    /// Each filter alone, some together, and none.
    fn filtered() -> Vec<(&'static str, JobQuery)> {
        let text = || Some("x".to_owned());
        let id = Some(Uuid::from_u128(1));
        vec![
            ("jobs_status", JobQuery { statuses: vec!["failed"], ..plain() }),
            ("jobs_status", JobQuery { statuses: vec!["failed", "timeout"], ..plain() }),
            ("jobs_type", JobQuery { job_type: text(), ..plain() }),
            ("tags", JobQuery { tag: text(), ..plain() }),
            ("jobs_name", JobQuery { name_prefix: text(), ..plain() }),
            ("jobs_environment", JobQuery { environment: text(), ..plain() }),
            ("jobs_parent", JobQuery { parent_job_id: id, ..plain() }),
            ("jobs_triggered", JobQuery { triggered_by: text(), ..plain() }),
            ("jobs_error", JobQuery { error_class: text(), ..plain() }),
            (
                "jobs_created",
                JobQuery { created_after: Some(5), created_before: Some(9), ..plain() },
            ),
            (
                "jobs_parent",
                JobQuery { parent_job_id: id, tag: text(), statuses: vec!["failed"], ..plain() },
            ),
            (
                "tags",
                JobQuery { tag: text(), job_type: text(), created_before: Some(9), ..plain() },
            ),
            ("jobs_created", JobQuery { environment: Some("default".to_owned()), ..plain() }),
            ("jobs_created", plain()),
        ]
    }

    fn plan(file: &Connection, statement: BoundStatement) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let mut explained = file.prepare(&sql).expect("a statement that its index can serve");
        explained
            .query_map(params_from_iter(statement.values), |row| row.get::<_, String>(3))
            .and_then(Iterator::collect)
            .expect("a plan")
    }

    #[test]
    fn every_filter_with_every_sort_goes_through_an_index() {
        let file = Connection::open_in_memory().expect("a file");
        file.execute_batch(TABLES).expect("tables");
        let starts = [PageStart::Page(3), PageStart::After { value: 5, id: Uuid::from_u128(2) }];
        for (index, query) in filtered() {
            let counted = plan(&file, count(&query, 1)).join("; ");
            let used = if index == "tags" { "SEARCH t USING PRIMARY KEY" } else { index };
            assert!(counted.contains(used), "{query:?}: {counted}");
            for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
                for (descending, start) in [false, true].into_iter().zip(starts.clone()) {
                    let query = JobQuery { sort, descending, start, ..query.clone() };
                    for total in [Total::Exact(9), MANY] {
                        let steps = plan(&file, page(&query, 1, total));
                        let shown = steps.join("; ");
                        assert!(!shown.contains("SCAN"), "{query:?}: {shown}");
                        let sorted = shown.contains("TEMP B-TREE");
                        assert!(
                            !sorted || total == Total::Exact(9),
                            "only few are sorted: {query:?}: {shown}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_default_sort_comes_out_of_the_filters_own_index() {
        let file = Connection::open_in_memory().expect("a file");
        file.execute_batch(TABLES).expect("tables");
        for (index, query) in filtered() {
            let sorted = index == "jobs_name" || query.statuses.len() == 2;
            let shown = plan(&file, page(&query, 1, Total::Exact(9))).join("; ");
            assert_eq!(shown.contains("TEMP B-TREE"), sorted, "{query:?}: {shown}");
        }
    }
}
