//! Rows of jobs, and of their tags.
//! Always holds: an index is touched only when one of its columns changed. A document is kept as what differs from a
//! usual one, when that is less.
//! Absent: which row is whose (`ids`), and what may be written (`flush`).

use domain::ids::{Millis, SubjectId};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params};
use std::sync::Arc;

use crate::environment::packing;
use crate::view::contract::{Document, JobColumns};

/// What documents are packed with. Another text is another format (`schema`).
static DICTIONARY: &[u8] = include_bytes!("dictionary.json");
/// A document is no longer; a longer one is damage.
const DOCUMENT_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// A document as it is stored: packed as a blob, or the text as it is.
pub(super) enum Body<'a> {
    Packed(Vec<u8>),
    Plain(&'a str),
}

impl<'a> Body<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        match packing::pack(document.body.as_bytes(), DICTIONARY) {
            Some(packed) => Self::Packed(packed),
            None => Self::Plain(&document.body),
        }
    }
}

impl ToSql for Body<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Packed(packed) => ToSqlOutput::Borrowed(ValueRef::Blob(packed)),
            Self::Plain(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// The document in a column.
pub(super) fn body(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    let ValueRef::Blob(packed) = row.get_ref(column)? else {
        return Ok(Arc::from(row.get_ref(column)?.as_str()?));
    };
    let text = packing::unpack(packed, DICTIONARY, DOCUMENT_BYTES_MAX);
    let text = text.and_then(|text| String::from_utf8(text).ok());
    text.map(Arc::from).ok_or(rusqlite::Error::InvalidQuery)
}

/// Tags as they are stored: a JSON list, nothing when there are none.
pub(super) fn tags_text(tags: &[String]) -> Option<String> {
    // A list of texts always has a JSON form.
    if tags.is_empty() { None } else { serde_json::to_string(tags).ok() }
}

/// The tags that `tags_text` wrote.
pub(super) fn tags_of(text: Option<&str>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What of a stored job decides which of its columns must be written.
pub(super) struct Stored {
    pub(super) row: i64,
    pub(super) seq: u64,
    pub(super) status: String,
    pub(super) error_class: Option<String>,
    pub(super) tags: Option<String>,
    created_at: Millis,
    /// Whether all other indexed columns are as in the new document.
    pub(super) same: bool,
}

/// A seq as SQLite stores it. Seqs stay far below 2^63.
pub(super) fn as_stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn stored(row: &Row<'_>, same: bool) -> rusqlite::Result<Stored> {
    Ok(Stored {
        row: row.get(0)?,
        seq: row.get::<_, i64>(1)?.try_into().unwrap_or(0),
        status: row.get(2)?,
        error_class: row.get(3)?,
        tags: row.get(4)?,
        created_at: row.get(5)?,
        same,
    })
}

pub(super) fn stored_job(
    file: &Connection,
    row: i64,
    job: &JobColumns,
) -> rusqlite::Result<Stored> {
    file.prepare_cached(
        "SELECT row, seq, status, error_class, tags, created_at,
             created_at = ?2 AND priority = ?3 AND name = ?4 AND job_type IS ?5 AND environment = ?6
             AND parent IS ?7 AND triggered_by IS ?8
         FROM jobs WHERE row = ?1",
    )?
    .query_row(
        params![
            row,
            job.created_at,
            job.priority,
            job.name,
            job.job_type,
            job.environment,
            job.parent_job_id.as_ref().map(|id| &id.as_bytes()[..]),
            job.triggered_by,
        ],
        |row| stored(row, row.get(6)?),
    )
}

pub(super) fn insert_job(
    file: &Connection,
    ns: i64,
    row: i64,
    document: &Document,
    job: &JobColumns,
) -> rusqlite::Result<()> {
    file.prepare_cached(
        "INSERT INTO jobs (row, ns, id, seq, status, priority, name, job_type, environment, parent, triggered_by,
                           error_class, tags, created_at, updated_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        row,
        ns,
        &document.subject.id.as_bytes()[..],
        as_stored(document.seq),
        job.status,
        job.priority,
        job.name,
        job.job_type,
        job.environment,
        job.parent_job_id.as_ref().map(|id| &id.as_bytes()[..]),
        job.triggered_by,
        job.error_class,
        tags_text(&job.tags),
        job.created_at,
        job.updated_at,
        Body::of(document),
    ])?;
    insert_tags(file, ns, row, &document.subject, job)
}

pub(super) fn replace_job(
    file: &Connection,
    there: &Stored,
    document: &Document,
    job: &JobColumns,
) -> rusqlite::Result<()> {
    file.prepare_cached(
        "UPDATE jobs SET seq = ?2, status = ?3, priority = ?4, name = ?5, job_type = ?6, environment = ?7,
             parent = ?8, triggered_by = ?9, error_class = ?10, tags = ?11, created_at = ?12, updated_at = ?13,
             body = ?14
         WHERE row = ?1",
    )?
    .execute(params![
        there.row,
        as_stored(document.seq),
        job.status,
        job.priority,
        job.name,
        job.job_type,
        job.environment,
        job.parent_job_id.as_ref().map(|id| &id.as_bytes()[..]),
        job.triggered_by,
        job.error_class,
        tags_text(&job.tags),
        job.created_at,
        job.updated_at,
        Body::of(document),
    ])?;
    Ok(())
}

pub(super) fn insert_tags(
    file: &Connection,
    ns: i64,
    row: i64,
    subject: &SubjectId,
    job: &JobColumns,
) -> rusqlite::Result<()> {
    for tag in &job.tags {
        file.prepare_cached(
            "INSERT OR REPLACE INTO tags (ns, tag, created_at, id, row) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![ns, tag, job.created_at, &subject.id.as_bytes()[..], row])?;
    }
    Ok(())
}

pub(super) fn remove_tags(
    file: &Connection,
    ns: i64,
    there: &Stored,
    subject: &SubjectId,
) -> rusqlite::Result<()> {
    for tag in tags_of(there.tags.as_deref()) {
        file.prepare_cached(
            "DELETE FROM tags WHERE ns = ?1 AND tag = ?2 AND created_at = ?3 AND id = ?4",
        )?
        .execute(params![ns, tag, there.created_at, &subject.id.as_bytes()[..]])?;
    }
    Ok(())
}
