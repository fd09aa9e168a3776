//! What a flush writes, inside one transaction.
//! Always holds: a document never goes back to an older seq, nor comes back while its deletion is remembered; an
//! index is touched only when one of its columns changed.
//! Absent: begin and commit (`store`).

use domain::ids::{Millis, Namespace, SubjectId, SubjectKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

use crate::view::contract::{Columns, Document, JobColumns};

/// Deletions whose time is over that one deletion clears away, so that none costs much.
const DELETED_CLEARED_MAX: u32 = 16;

/// What goes with the writer's connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    namespaces: BTreeMap<Namespace, i64>,
    /// The newest `updated_at` written, by which remembered deletions grow old.
    newest_at: Millis,
    /// Whether any deletion is remembered; none: nobody has looked.
    deletions: Option<bool>,
}

/// The number a kind has in the file.
pub(super) fn kind_number(kind: SubjectKind) -> i64 {
    match kind {
        SubjectKind::Job => 0,
        SubjectKind::Environment => 1,
    }
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
struct Stored {
    row: i64,
    seq: u64,
    status: String,
    error_class: Option<String>,
    tags: Option<String>,
    created_at: Millis,
    /// Whether all other indexed columns are as in the new document.
    same: bool,
}

impl Session {
    pub(super) fn load(file: &Connection) -> rusqlite::Result<Self> {
        let newest: Option<Millis> = file.query_row(
            "SELECT max((SELECT max(updated_at) FROM jobs WHERE jobs.ns = namespaces.ns)) FROM namespaces",
            [],
            |row| row.get(0),
        )?;
        Ok(Self { namespaces: BTreeMap::new(), newest_at: newest.unwrap_or(0), deletions: None })
    }

    pub(super) fn rolled_back(&mut self) {
        self.namespaces.clear();
        self.deletions = None;
    }

    pub(super) fn put(&mut self, file: &Connection, document: &Document) -> rusqlite::Result<()> {
        let ns = self.number_of(file, &document.subject.namespace)?;
        match &document.columns {
            Columns::Job(job) => {
                self.newest_at = self.newest_at.max(job.updated_at);
                self.put_job(file, ns, document, job)
            }
            Columns::Named { name } => self.put_named(file, ns, document, name),
            Columns::Deleted { keep_until } => self.delete(file, ns, document, *keep_until),
        }
    }

    fn put_job(
        &mut self,
        file: &Connection,
        ns: i64,
        document: &Document,
        job: &JobColumns,
    ) -> rusqlite::Result<()> {
        let Some(there) = stored_job(file, ns, &document.subject, job)? else {
            if self.is_deleted(file, ns, document)? {
                return Ok(());
            }
            return insert_job(file, ns, document, job);
        };
        if there.seq > document.seq {
            return Ok(());
        }
        let tags = tags_text(&job.tags);
        if !there.same || there.tags != tags {
            replace_job(file, &there, document, job)?;
            remove_tags(file, ns, &there, &document.subject)?;
            return insert_tags(file, ns, there.row, &document.subject, job);
        }
        let seq = as_stored(document.seq);
        if there.status == job.status && there.error_class == job.error_class {
            file.prepare_cached(
                "UPDATE jobs SET seq = ?2, updated_at = ?3, body = ?4 WHERE row = ?1",
            )?
            .execute(params![there.row, seq, job.updated_at, &*document.body])?;
        } else if there.error_class == job.error_class {
            file.prepare_cached(
                "UPDATE jobs SET seq = ?2, updated_at = ?3, body = ?4, status = ?5 WHERE row = ?1",
            )?
            .execute(params![
                there.row,
                seq,
                job.updated_at,
                &*document.body,
                job.status
            ])?;
        } else {
            file.prepare_cached(
                "UPDATE jobs SET seq = ?2, updated_at = ?3, body = ?4, status = ?5, error_class = ?6
                 WHERE row = ?1",
            )?
            .execute(params![
                there.row,
                seq,
                job.updated_at,
                &*document.body,
                job.status,
                job.error_class
            ])?;
        }
        Ok(())
    }

    fn put_named(
        &mut self,
        file: &Connection,
        ns: i64,
        document: &Document,
        name: &str,
    ) -> rusqlite::Result<()> {
        if self.is_deleted(file, ns, document)? {
            return Ok(());
        }
        let (kind, id) = (kind_number(document.subject.kind), document.subject.id);
        file.prepare_cached(
            "INSERT INTO named (ns, kind, id, seq, name, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (ns, kind, id) DO UPDATE
             SET seq = excluded.seq, name = excluded.name, body = excluded.body WHERE excluded.seq >= seq",
        )?
        .execute(params![
            ns,
            kind,
            &id.as_bytes()[..],
            as_stored(document.seq),
            name,
            &*document.body
        ])?;
        Ok(())
    }

    fn delete(
        &mut self,
        file: &Connection,
        ns: i64,
        document: &Document,
        keep_until: Millis,
    ) -> rusqlite::Result<()> {
        let subject = &document.subject;
        let (kind, id) = (kind_number(subject.kind), &subject.id.as_bytes()[..]);
        let seq = as_stored(document.seq);
        self.deletions = Some(true);
        let there: Option<Stored> = file
            .prepare_cached(
                "SELECT row, seq, status, error_class, tags, created_at FROM jobs WHERE ns = ?1 AND id = ?2",
            )?
            .query_row(params![ns, id], |row| stored(row, false))
            .optional()?;
        if let Some(there) = there.filter(|_| subject.kind == SubjectKind::Job) {
            if there.seq > document.seq {
                return Ok(());
            }
            remove_tags(file, ns, &there, subject)?;
            file.prepare_cached("DELETE FROM jobs WHERE row = ?1")?.execute([there.row])?;
        }
        file.prepare_cached(
            "DELETE FROM named WHERE ns = ?1 AND kind = ?2 AND id = ?3 AND seq <= ?4",
        )?
        .execute(params![ns, kind, id, seq])?;
        file.prepare_cached(
            "INSERT INTO deleted (ns, kind, id, seq, keep_until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (ns, kind, id) DO UPDATE SET seq = excluded.seq, keep_until = excluded.keep_until
             WHERE excluded.seq >= seq",
        )?
        .execute(params![ns, kind, id, seq, keep_until])?;
        file.prepare_cached(
            "DELETE FROM deleted WHERE (ns, kind, id) IN
             (SELECT ns, kind, id FROM deleted WHERE keep_until <= ?1 LIMIT ?2)",
        )?
        .execute(params![self.newest_at, DELETED_CLEARED_MAX])?;
        Ok(())
    }

    /// Whether the subject's deletion is remembered and newer than the document.
    fn is_deleted(
        &mut self,
        file: &Connection,
        ns: i64,
        document: &Document,
    ) -> rusqlite::Result<bool> {
        let any = "SELECT EXISTS (SELECT 1 FROM deleted)";
        let any = match self.deletions {
            Some(any) => any,
            None => file.prepare_cached(any)?.query_row([], |row| row.get(0))?,
        };
        self.deletions = Some(any);
        if !any {
            return Ok(false);
        }
        let kept: Option<i64> = file
            .prepare_cached(
                "SELECT seq FROM deleted WHERE ns = ?1 AND kind = ?2 AND id = ?3 AND keep_until > ?4",
            )?
            .query_row(
                params![
                    ns,
                    kind_number(document.subject.kind),
                    &document.subject.id.as_bytes()[..],
                    self.newest_at
                ],
                |row| row.get(0),
            )
            .optional()?;
        Ok(kept.is_some_and(|kept| kept > as_stored(document.seq)))
    }

    /// The namespace's number, given to it with its first document.
    fn number_of(&mut self, file: &Connection, namespace: &Namespace) -> rusqlite::Result<i64> {
        if let Some(ns) = self.namespaces.get(namespace) {
            return Ok(*ns);
        }
        file.execute("INSERT OR IGNORE INTO namespaces (name) VALUES (?1)", [namespace.as_str()])?;
        let ns = file.query_row(
            "SELECT ns FROM namespaces WHERE name = ?1",
            [namespace.as_str()],
            |row| row.get(0),
        )?;
        self.namespaces.insert(namespace.clone(), ns);
        Ok(ns)
    }
}

/// A seq as SQLite stores it. Seqs stay far below 2^63.
pub(super) fn as_stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn stored(row: &Row<'_>, same: bool) -> rusqlite::Result<Stored> {
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

fn stored_job(
    file: &Connection,
    ns: i64,
    subject: &SubjectId,
    job: &JobColumns,
) -> rusqlite::Result<Option<Stored>> {
    file.prepare_cached(
        "SELECT row, seq, status, error_class, tags, created_at,
             created_at = ?3 AND priority = ?4 AND name = ?5 AND job_type IS ?6 AND environment = ?7
             AND parent IS ?8 AND triggered_by IS ?9
         FROM jobs WHERE ns = ?1 AND id = ?2",
    )?
    .query_row(
        params![
            ns,
            &subject.id.as_bytes()[..],
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
    .optional()
}

fn insert_job(
    file: &Connection,
    ns: i64,
    document: &Document,
    job: &JobColumns,
) -> rusqlite::Result<()> {
    file.prepare_cached(
        "INSERT INTO jobs (ns, id, seq, status, priority, name, job_type, environment, parent, triggered_by,
                           error_class, tags, created_at, updated_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
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
        &*document.body,
    ])?;
    insert_tags(file, ns, file.last_insert_rowid(), &document.subject, job)
}

fn replace_job(
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
        &*document.body,
    ])?;
    Ok(())
}

fn insert_tags(
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

fn remove_tags(
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
