//! What each read of the view does on a reader's connection.
//! Always holds: one answer shows one committed state; bodies are read only for the jobs of the page.
//! Absent: the making of SQL (`query`).

use std::sync::Arc;

use domain::ids::{FoundBy, Namespace, SubjectId, SubjectKind};
use domain::job::status::JobStatus;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::rows::tags_of;
use super::{ids, query, rows};
use crate::environment::Unfiled;
use crate::view::contract::{
    Columns, Document, JobColumns, JobQuery, Page, TOTAL_COUNTED_MAX, Total,
};

/// One document, when it is there and not deleted.
pub(super) fn get(
    file: &Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
) -> rusqlite::Result<Option<Document>> {
    match subject.kind.found_by() {
        FoundBy::Id => job(file, unfiled, subject),
        FoundBy::Name => named_one(file, subject),
    }
}

/// A page of jobs.
pub(super) fn jobs(file: &mut Connection, query: &JobQuery) -> rusqlite::Result<Page> {
    let file = file.transaction()?;
    let Some(ns) = number_of(&file, &query.namespace)? else { return Ok(empty()) };
    let counted = query::count(query, ns);
    let count: i64 = file
        .prepare_cached(&counted.sql)?
        .query_row(params_from_iter(counted.values), |row| row.get(0))?;
    let total = total(count);
    let wanted = query::page(query, ns, total);
    let mut found: Vec<(i64, i64, Uuid)> = file
        .prepare_cached(&wanted.sql)?
        .query_and_then(params_from_iter(wanted.values), |row| {
            Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, ids::uuid_at(row, 2)?))
        })?
        .collect::<Result<_, _>>()?;
    let size = usize::try_from(query.page_size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let mut body = file.prepare_cached("SELECT body FROM jobs WHERE row = ?1")?;
    let items = found
        .iter()
        .map(|(row, _, _)| body.query_row([row], |row| rows::body(row, 0)))
        .collect::<Result<_, _>>()?;
    let next = found.last().filter(|_| more).map(|(_, value, id)| (*value, *id));
    Ok(Page { items, total, next })
}

/// A page of named subjects in name order.
pub(super) fn named(
    file: &mut Connection,
    namespace: &Namespace,
    kind: SubjectKind,
    page: u32,
    page_size: u32,
) -> rusqlite::Result<Page> {
    let file = file.transaction()?;
    let Some(ns) = number_of(&file, namespace)? else { return Ok(empty()) };
    let kind = kind.code();
    let counted = i64::try_from(TOTAL_COUNTED_MAX).unwrap_or(i64::MAX) + 1;
    let found: i64 = file
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM named WHERE ns = ?1 AND kind = ?2 LIMIT ?3)",
        )?
        .query_row(params![ns, kind, counted], |row| row.get(0))?;
    let offset = i64::from(page.saturating_sub(1)) * i64::from(page_size);
    let items = file
        .prepare_cached(
            "SELECT body FROM named INDEXED BY named_name WHERE ns = ?1 AND kind = ?2
             ORDER BY name LIMIT ?3 OFFSET ?4",
        )?
        .query_and_then(params![ns, kind, page_size, offset], |row| rows::body(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(Page { items, total: total(found), next: None })
}

fn job(
    file: &Connection,
    unfiled: &Unfiled,
    subject: &SubjectId,
) -> rusqlite::Result<Option<Document>> {
    let Some(ns) = number_of(file, &subject.namespace)? else { return Ok(None) };
    let Some(row) = ids::find(file, unfiled, ns, subject.id)? else { return Ok(None) };
    file.prepare_cached(
        "SELECT seq, status, priority, name, job_type, environment, parent, triggered_by, error_class, tags,
                created_at, updated_at, body
         FROM jobs WHERE row = ?1",
    )?
    .query_row([row], |row| {
        let status: String = row.get(1)?;
        let status = JobStatus::parse(&status).ok_or(rusqlite::Error::InvalidQuery)?;
        let parent = row.get_ref(6)?.as_blob_or_null()?.map(Uuid::from_slice).transpose();
        let columns = JobColumns {
            status: status.as_str(),
            priority: row.get(2)?,
            name: row.get(3)?,
            job_type: row.get(4)?,
            environment: row.get(5)?,
            parent_job_id: parent.map_err(|_| rusqlite::Error::InvalidQuery)?,
            triggered_by: row.get(7)?,
            error_class: row.get(8)?,
            tags: tags_of(row.get_ref(9)?.as_str_or_null()?),
            created_at: row.get(10)?,
            updated_at: row.get(11)?,
        };
        document(subject, row.get(0)?, Columns::Job(Box::new(columns)), rows::body(row, 12)?)
    })
    .optional()
}

fn named_one(file: &Connection, subject: &SubjectId) -> rusqlite::Result<Option<Document>> {
    file.prepare_cached(
        "SELECT seq, name, body FROM named
         WHERE ns = (SELECT ns FROM namespaces WHERE name = ?1) AND kind = ?2 AND id = ?3",
    )?
    .query_row(
        params![subject.namespace.as_str(), subject.kind.code(), &subject.id.as_bytes()[..]],
        |row| {
            document(
                subject,
                row.get(0)?,
                Columns::Named { name: row.get(1)? },
                rows::body(row, 2)?,
            )
        },
    )
    .optional()
}

fn document(
    subject: &SubjectId,
    seq: i64,
    columns: Columns,
    body: Arc<str>,
) -> rusqlite::Result<Document> {
    let seq = u64::try_from(seq).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, seq))?;
    Ok(Document { subject: subject.clone(), seq, columns, body, nodes: Vec::new() })
}

fn number_of(file: &Connection, namespace: &Namespace) -> rusqlite::Result<Option<i64>> {
    file.prepare_cached("SELECT ns FROM namespaces WHERE name = ?1")?
        .query_row([namespace.as_str()], |row| row.get(0))
        .optional()
}

fn empty() -> Page {
    Page { items: Vec::new(), total: Total::Exact(0), next: None }
}

fn total(found: i64) -> Total {
    let found = u64::try_from(found).unwrap_or(0);
    if found > TOTAL_COUNTED_MAX { Total::AtLeast(TOTAL_COUNTED_MAX) } else { Total::Exact(found) }
}
