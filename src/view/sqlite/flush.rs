//! What a flush writes, inside one transaction.
//! Always holds: a document never goes back to an older seq, nor comes back while its deletion is remembered; an
//! index is touched only when one of its columns changed.
//! Absent: begin and commit (`store`).

use domain::ids::{FoundBy, Millis, Namespace};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids;
use super::rows::{
    Body, as_stored, insert_job, insert_tags, remove_tags, replace_job, stored, stored_job,
    tags_text,
};
use crate::environment::{Filing, Unfiled, UnfiledEntry};
use crate::view::contract::{Columns, Document, JobColumns};

/// Deletions whose time is over that one deletion clears away, so that none costs much.
const DELETED_CLEARED_MAX: u32 = 16;

/// What goes with the writer's connection.
#[derive(Debug)]
pub(super) struct FlushSession {
    unfiled: Arc<Unfiled>,
    filing: Filing,
    /// Entries of the rows that the open transaction makes, and of those that it deletes.
    made: Vec<UnfiledEntry>,
    deleted: Vec<UnfiledEntry>,
    last_row: i64,
    /// The open transaction has emptied the file.
    emptied: bool,
    namespaces: BTreeMap<Namespace, i64>,
    /// The newest `updated_at` written, by which remembered deletions grow old.
    newest_at: Millis,
    /// Whether any deletion is remembered; none: nobody has looked.
    deletions: Option<bool>,
}

impl FlushSession {
    pub(super) fn load(file: &Connection) -> rusqlite::Result<Self> {
        let newest: Option<Millis> = file.query_row(
            "SELECT max((SELECT max(updated_at) FROM jobs WHERE jobs.ns = namespaces.ns)) FROM namespaces",
            [],
            |row| row.get(0),
        )?;
        let (unfiled, last_row) = ids::load(file)?;
        Ok(Self {
            unfiled: Arc::new(unfiled),
            filing: ids::filing(file)?,
            made: Vec::new(),
            deleted: Vec::new(),
            last_row,
            emptied: false,
            namespaces: BTreeMap::new(),
            newest_at: newest.unwrap_or(0),
            deletions: None,
        })
    }

    /// What the file's index does not say, for readers too.
    pub(super) fn unfiled(&self) -> Arc<Unfiled> {
        Arc::clone(&self.unfiled)
    }

    /// The last of a transaction: files some of what is to be filed.
    pub(super) fn file_some(&mut self, file: &Connection) -> rusqlite::Result<()> {
        if self.emptied {
            return Ok(());
        }
        let (entries, filed_to) = self.filing.next(&self.unfiled, self.last_row);
        if entries.is_empty() && filed_to.is_none() {
            return Ok(());
        }
        ids::file_entries(file, entries, filed_to)
    }

    pub(super) fn committed(&mut self) {
        self.made.clear();
        self.deleted.clear();
        self.filing.committed(&self.unfiled);
        if std::mem::take(&mut self.emptied) {
            self.unfiled.clear();
            self.filing = ids::filing_of(0);
        }
    }

    /// Nothing is in the file any more, once the open transaction is committed. It makes no rows itself.
    pub(super) fn emptied(&mut self) {
        self.emptied = true;
    }

    pub(super) fn rolled_back(&mut self) {
        self.unfiled.take(&self.made);
        self.made.clear();
        self.deleted.drain(..).for_each(|entry| self.unfiled.put(entry));
        self.filing.rolled_back();
        self.emptied = false;
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
        let id = document.subject.id;
        let Some(row) = ids::find(file, &self.unfiled, ns, id)? else {
            if self.is_deleted(file, ns, document)? {
                return Ok(());
            }
            self.last_row += 1;
            insert_job(file, ns, self.last_row, document, job)?;
            let entry = ids::entry(id, self.last_row);
            self.unfiled.put(entry);
            self.made.push(entry);
            return Ok(());
        };
        let there = stored_job(file, row, job)?;
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
            .execute(params![there.row, seq, job.updated_at, Body::of(document)])?;
        } else if there.error_class == job.error_class {
            file.prepare_cached(
                "UPDATE jobs SET seq = ?2, updated_at = ?3, body = ?4, status = ?5 WHERE row = ?1",
            )?
            .execute(params![
                there.row,
                seq,
                job.updated_at,
                Body::of(document),
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
                Body::of(document),
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
        let (kind, id) = (document.subject.kind.code(), document.subject.id);
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
            Body::of(document)
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
        let (kind, id) = (subject.kind.code(), &subject.id.as_bytes()[..]);
        let seq = as_stored(document.seq);
        self.deletions = Some(true);
        let there = match subject.kind.found_by() {
            FoundBy::Id => ids::find(file, &self.unfiled, ns, subject.id)?,
            FoundBy::Name => None,
        };
        if let Some(row) = there {
            let there = file
                .prepare_cached(
                    "SELECT row, seq, status, error_class, tags, created_at FROM jobs WHERE row = ?1",
                )?
                .query_row([row], |row| stored(row, false))?;
            if there.seq > document.seq {
                return Ok(());
            }
            remove_tags(file, ns, &there, subject)?;
            file.prepare_cached("DELETE FROM jobs WHERE row = ?1")?.execute([row])?;
            let entry = ids::entry(subject.id, row);
            ids::remove(file, entry)?;
            if self.unfiled.take(&[entry]) {
                self.deleted.push(entry);
            }
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
                    document.subject.kind.code(),
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
