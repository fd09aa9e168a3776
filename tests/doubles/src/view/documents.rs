//! The documents of the in-memory view as a plain value: the seq guard, the filters, the order and the pages.
//! Always holds: this is the naive model that the indexed views must agree with.
//! Absent: faults and locks.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{Millis, Namespace, SubjectId, SubjectKind};
use domain::planted::{self, Planted};
use uuid::Uuid;

use orrery::view::contract::{
    Columns, Document, JobColumns, JobQuery, JobSort, Page, PageStart, TOTAL_COUNTED_MAX, Total,
};

/// All documents, with what a loss of power would take away.
#[derive(Debug, Default)]
pub(super) struct Documents {
    all: BTreeMap<SubjectId, Document>,
    /// What each document changed since the last sync was before.
    unsynced: BTreeMap<SubjectId, Option<Document>>,
    adopted: Option<(String, bool)>,
    /// The newest `updated_at` written, by which remembered deletions grow old.
    newest_at: Millis,
}

impl Documents {
    pub(super) fn put(&mut self, document: Document) {
        if let Columns::Job(job) = &document.columns {
            self.newest_at = self.newest_at.max(job.updated_at);
        }
        let there = self.all.get(&document.subject);
        let guarded = there.is_some_and(|there| match there.columns {
            Columns::Deleted { keep_until } if keep_until <= self.newest_at => false,
            Columns::Deleted { .. } | Columns::Job(_) | Columns::Named { .. } => {
                there.seq > document.seq
            }
        });
        if guarded && !planted::on(Planted::LateFlushResurrects) {
            return;
        }
        self.unsynced.entry(document.subject.clone()).or_insert_with(|| there.cloned());
        self.all.insert(document.subject.clone(), document);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn lose_unsynced(&mut self) {
        for (subject, before) in std::mem::take(&mut self.unsynced) {
            match before {
                Some(before) => self.all.insert(subject, before),
                None => self.all.remove(&subject),
            };
        }
    }

    pub(super) fn get(&self, subject: &SubjectId) -> Option<Document> {
        self.all
            .get(subject)
            .filter(|document| !matches!(document.columns, Columns::Deleted { .. }))
            .cloned()
    }

    pub(super) fn jobs(&self, query: &JobQuery) -> Page {
        let mut found: Vec<(i64, Uuid, &Arc<str>)> = self
            .all
            .values()
            .filter(|document| {
                document.subject.kind == SubjectKind::Job
                    && document.subject.namespace == query.namespace
            })
            .filter_map(|document| match &document.columns {
                Columns::Job(job) if matches(query, job) => {
                    Some((sort_value(query.sort, job), document.subject.id, &document.body))
                }
                Columns::Job(_) | Columns::Named { .. } | Columns::Deleted { .. } => None,
            })
            .collect();
        found.sort_by_key(|(value, id, _)| (*value, *id));
        if query.descending {
            found.reverse();
        }
        let total = total(found.len());
        let size = as_usize(query.page_size);
        let skipped = match query.start {
            PageStart::Page(page) => as_usize(page.saturating_sub(1)).saturating_mul(size),
            PageStart::After { value, id } => found.partition_point(|(there, there_id, _)| {
                let (there, last) = ((*there, *there_id), (value, id));
                if query.descending { there >= last } else { there <= last }
            }),
        };
        let rest = found.get(skipped..).unwrap_or_default();
        let shown = rest.get(..size).unwrap_or(rest);
        let next =
            shown.last().filter(|_| rest.len() > shown.len()).map(|(value, id, _)| (*value, *id));
        Page { items: shown.iter().map(|(_, _, body)| Arc::clone(body)).collect(), total, next }
    }

    pub(super) fn named(
        &self,
        namespace: &Namespace,
        kind: SubjectKind,
        page: u32,
        page_size: u32,
    ) -> Page {
        let mut found: Vec<(&str, &Arc<str>)> = self
            .all
            .values()
            .filter(|document| {
                document.subject.kind == kind && document.subject.namespace == *namespace
            })
            .filter_map(|document| match &document.columns {
                Columns::Named { name } => Some((name.as_str(), &document.body)),
                Columns::Job(_) | Columns::Deleted { .. } => None,
            })
            .collect();
        found.sort();
        let skipped = as_usize(page.saturating_sub(1)).saturating_mul(as_usize(page_size));
        let items = found.iter().skip(skipped).take(as_usize(page_size));
        Page {
            items: items.map(|(_, body)| Arc::clone(body)).collect(),
            total: total(found.len()),
            next: None,
        }
    }

    pub(super) fn adopt(&mut self, store_id: &str, complete: bool) -> bool {
        let (same, was_complete) = match &self.adopted {
            Some((there, was_complete)) => (there == store_id, *was_complete),
            None => (false, false),
        };
        let was = same && was_complete;
        let stays = was || (same && complete);
        if !stays {
            self.all.clear();
            self.unsynced.clear();
        }
        self.adopted = Some((store_id.to_owned(), stays));
        was
    }
}

fn matches(query: &JobQuery, job: &JobColumns) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, there: Option<&T>) -> bool {
        wanted.is_none() || wanted == there
    }
    (query.statuses.is_empty() || query.statuses.contains(&job.status))
        && is(query.job_type.as_ref(), job.job_type.as_ref())
        && query.tag.as_ref().is_none_or(|tag| job.tags.contains(tag))
        && query.name_prefix.as_ref().is_none_or(|prefix| job.name.starts_with(prefix))
        && is(query.environment.as_ref(), Some(&job.environment))
        && is(query.parent_job_id.as_ref(), job.parent_job_id.as_ref())
        && is(query.triggered_by.as_ref(), job.triggered_by.as_ref())
        && is(query.error_class.as_ref(), job.error_class.as_ref())
        && query.created_after.is_none_or(|after| job.created_at >= after)
        && query.created_before.is_none_or(|before| job.created_at < before)
}

fn sort_value(sort: JobSort, job: &JobColumns) -> i64 {
    match sort {
        JobSort::CreatedAt => job.created_at,
        JobSort::UpdatedAt => job.updated_at,
        JobSort::Priority => i64::from(job.priority),
    }
}

fn total(found: usize) -> Total {
    let found = u64::try_from(found).unwrap_or(u64::MAX);
    if found > TOTAL_COUNTED_MAX { Total::AtLeast(TOTAL_COUNTED_MAX) } else { Total::Exact(found) }
}

fn as_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
