//! How a job list becomes a query: which index finds the jobs, which one gives the order.
//! A filter's index also gives the default order (created_at). For another order the jobs found are put in order here
//! while they are few; once they pass `TOTAL_COUNTED_MAX` the sort's own index is walked instead and the filters are
//! checked on the way, which with so many matches soon fills a page.
//! Always holds: each query names its index; filters are made of typed values and fields of a closed list. Absent:
//! running it (`lists`).

use bson::{Bson, Document, doc};
use domain::ids::Namespace;

use crate::environment::mongodb::{CollectionQuery, to_date, uuid_bson};
use crate::view::contract::{JobQuery, JobSort, PageStart, TOTAL_COUNTED_MAX, Total};
use crate::view::prefix::after_prefix;

/// An index of `jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobsIndex {
    name: &'static str,
    /// Whether it yields jobs in the order of created_at.
    by_created: bool,
}

/// How a page is found.
#[derive(Debug, Clone)]
pub(super) enum PageQuery {
    /// The documents of the page, and one more, in order. With a cursor that begins at the last page's last job
    /// itself, that one comes first.
    InOrder(CollectionQuery),
    /// All matching jobs' sort values and ids, few enough to be put in order here.
    ToOrder(CollectionQuery),
}

/// The field a list is sorted by.
pub(super) fn sort_field(sort: JobSort) -> &'static str {
    match sort {
        JobSort::CreatedAt => "created_at",
        JobSort::UpdatedAt => "updated_at",
        JobSort::Priority => "priority",
    }
}

/// Counts the matching jobs: filter and index.
pub(super) fn count(query: &JobQuery) -> (Document, &'static str) {
    let through = finder(query).unwrap_or_else(|| walker(JobSort::CreatedAt));
    (filter(query), through.name)
}

/// Finds a page.
pub(super) fn page(query: &JobQuery, total: Total) -> PageQuery {
    let by_created = query.sort == JobSort::CreatedAt;
    let through = match (finder(query), total) {
        (Some(finder), _) if by_created && finder.by_created => finder,
        (Some(finder), Total::Exact(_)) => {
            return PageQuery::ToOrder(CollectionQuery {
                filter: filter(query),
                index: finder.name,
                fields: doc! { sort_field(query.sort): 1, "id": 1 },
                limit: i64::try_from(TOTAL_COUNTED_MAX).unwrap_or(i64::MAX),
                ..CollectionQuery::default()
            });
        }
        (None, _) | (Some(_), Total::AtLeast(_)) => walker(query.sort),
    };
    PageQuery::InOrder(in_order(query, through))
}

fn in_order(query: &JobQuery, through: JobsIndex) -> CollectionQuery {
    let direction = if query.descending { -1 } else { 1 };
    let field = sort_field(query.sort);
    let mut found = CollectionQuery {
        filter: filter(query),
        sort: doc! { field: direction, "id": direction },
        index: through.name,
        fields: doc! { field: 1, "id": 1, "body": 1 },
        limit: i64::from(query.page_size) + 1,
        ..CollectionQuery::default()
    };
    match &query.start {
        PageStart::Page(number) => {
            found.skip = u64::from(number.saturating_sub(1)) * u64::from(query.page_size);
        }
        PageStart::After { value, id } if query.sort == JobSort::Priority => {
            // Thousands of jobs share a priority: the walk begins right at the cursor. It needs the whole index in
            // the sort, and gives the cursor's own job again when it goes upward.
            let namespace = query.namespace.as_str();
            let cursor =
                doc! { "namespace": namespace, field: priority(*value), "id": uuid_bson(*id) };
            found.sort = doc! { "namespace": direction, field: direction, "id": direction };
            if query.descending {
                found.from =
                    doc! { "namespace": namespace, field: Bson::MinKey, "id": Bson::MinKey };
                found.to = cursor;
            } else {
                found.from = cursor;
                found.to = doc! { "namespace": namespace, field: Bson::MaxKey, "id": Bson::MaxKey };
                found.limit += 1;
            }
        }
        PageStart::After { value, id } => {
            // Few jobs share a millisecond: the walk begins with it, and those seen are left out.
            let (onward, seen) = if query.descending { ("$lte", "$gte") } else { ("$gte", "$lte") };
            let at = to_date(*value);
            bound(&mut found.filter, field, onward, at.into());
            found.filter.insert("$nor", vec![doc! { field: at, "id": { seen: uuid_bson(*id) } }]);
        }
    }
    found
}

fn priority(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Adds a bound to a field that may have others.
fn bound(filter: &mut Document, field: &str, operator: &str, value: Bson) {
    match filter.get_document_mut(field) {
        Ok(bounds) => {
            // Of two bounds of one kind the caller's filter and the cursor's both hold.
            let tighter = match (bounds.get_datetime(operator).ok(), value.as_datetime()) {
                (Some(there), Some(new)) if operator == "$gte" => (*there).max(*new).into(),
                (Some(there), Some(new)) => (*there).min(*new).into(),
                _ => value,
            };
            bounds.insert(operator, tighter);
        }
        Err(_) => {
            filter.insert(field, doc! { operator: value });
        }
    }
}

/// The index of the filter that leaves the fewest jobs, by what such filters usually leave.
fn finder(query: &JobQuery) -> Option<JobsIndex> {
    let index = |name, by_created| Some(JobsIndex { name, by_created });
    if query.parent_job_id.is_some() {
        index("by_parent", true)
    } else if query.tag.is_some() {
        index("by_tag", true)
    } else if query.error_class.is_some() {
        index("by_error", true)
    } else if query.triggered_by.is_some() {
        index("by_trigger", true)
    } else if query.name_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
        index("by_name", false)
    } else if query.job_type.is_some() {
        index("by_type", true)
    } else if query.environment.is_some() {
        index("by_environment", true)
    } else if !query.statuses.is_empty() {
        index("by_status", query.statuses.len() == 1)
    } else if query.created_after.is_some() || query.created_before.is_some() {
        index("by_created", true)
    } else {
        None
    }
}

fn walker(sort: JobSort) -> JobsIndex {
    let name = match sort {
        JobSort::CreatedAt => "by_created",
        JobSort::UpdatedAt => "by_updated",
        JobSort::Priority => "by_priority",
    };
    JobsIndex { name, by_created: sort == JobSort::CreatedAt }
}

fn filter(query: &JobQuery) -> Document {
    let mut filter = doc! { "namespace": query.namespace.as_str() };
    for (field, value) in [
        ("job_type", &query.job_type),
        ("tags", &query.tag),
        ("environment", &query.environment),
        ("triggered_by", &query.triggered_by),
        ("error_class", &query.error_class),
    ] {
        if let Some(value) = value {
            filter.insert(field, Bson::String(value.clone()));
        }
    }
    match &query.statuses[..] {
        [] => {}
        [one] => {
            filter.insert("status", *one);
        }
        many => {
            filter.insert("status", doc! { "$in": many.to_vec() });
        }
    }
    if let Some(parent) = query.parent_job_id {
        filter.insert("parent_job_id", uuid_bson(parent));
    }
    if let Some(prefix) = query.name_prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
        let mut bounds = doc! { "$gte": prefix.as_str() };
        if let Some(end) = after_prefix(prefix) {
            bounds.insert("$lt", end);
        }
        filter.insert("name", bounds);
    }
    if let Some(after) = query.created_after {
        bound(&mut filter, "created_at", "$gte", to_date(after).into());
    }
    if let Some(before) = query.created_before {
        bound(&mut filter, "created_at", "$lt", to_date(before).into());
    }
    filter
}

/// Finds named documents in name order.
pub(super) fn named(namespace: &Namespace, page: u32, page_size: u32) -> CollectionQuery {
    CollectionQuery {
        filter: doc! { "namespace": namespace.as_str() },
        sort: doc! { "name": 1 },
        index: "by_name",
        fields: doc! { "body": 1 },
        skip: u64::from(page.saturating_sub(1)) * u64::from(page_size),
        limit: i64::from(page_size),
        ..CollectionQuery::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_never_widens_what_was_asked_for() {
        let mut filter = doc! { "created_at": { "$gte": to_date(5), "$lt": to_date(9) } };
        bound(&mut filter, "created_at", "$gte", to_date(3).into());
        assert_eq!(filter, doc! { "created_at": { "$gte": to_date(5), "$lt": to_date(9) } });
        bound(&mut filter, "created_at", "$gte", to_date(7).into());
        assert_eq!(filter, doc! { "created_at": { "$gte": to_date(7), "$lt": to_date(9) } });
    }
}
