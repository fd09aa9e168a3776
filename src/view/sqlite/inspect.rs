//! A look at the view's file without opening it as one: what it shows, whose it is, what SQLite says of its pages.
//! Only for proving a stored folder; an engine never needs it.
//! Always holds: nothing is written, and nothing is made anew. Absent: any judgement.

use std::path::Path;

use domain::ids::{Namespace, SubjectId, SubjectKind};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{ids, lists, schema};
use crate::environment::Unfiled;
use crate::view::contract::{Document, ViewError, ViewResult};

/// What SQLite names of a damaged file at most.
const PAGE_FAULTS_MAX: u32 = 100;
/// Subjects listed at once.
const SUBJECTS_PAGE: u32 = 2_000;

/// The view's file of a stopped engine.
#[derive(Debug)]
pub struct ShownDocuments {
    file: Connection,
    /// What the index in the file does not say yet.
    unfiled: Unfiled,
}

impl ShownDocuments {
    /// Opens the file for reading; none where there is none in this version's format.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> ViewResult<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let file = schema::open_beside(path).map_err(|error| schema::view_error(&error))?;
        let Some(file) = file else { return Ok(None) };
        let (unfiled, _) = ids::load(&file).map_err(wrong)?;
        Ok(Some(Self { file, unfiled }))
    }

    /// Whether it is the whole view of this store. Where it is not, the next engine makes it anew.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_whole_for(&self, view_id: &str) -> ViewResult<bool> {
        let meta = |key: &str| -> ViewResult<Option<String>> {
            let mut value =
                self.file.prepare_cached("SELECT value FROM meta WHERE key = ?1").map_err(wrong)?;
            value.query_row([key], |row| row.get(0)).optional().map_err(wrong)
        };
        Ok(meta("store_id")?.as_deref() == Some(view_id)
            && meta("complete")?.as_deref() == Some("yes"))
    }

    /// What SQLite says of damaged pages and indexes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn page_faults(&self) -> ViewResult<Vec<String>> {
        let said = || -> rusqlite::Result<Vec<String>> {
            let mut said =
                self.file.prepare(&format!("PRAGMA integrity_check({PAGE_FAULTS_MAX})"))?;
            let said = said.query_map([], |row| row.get::<_, String>(0))?;
            said.filter(|line| !matches!(line.as_deref(), Ok("ok"))).collect()
        };
        said().map_err(wrong)
    }

    /// The document of a subject.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self, subject: &SubjectId) -> ViewResult<Option<Document>> {
        lists::get(&self.file, &self.unfiled, subject).map_err(wrong)
    }

    /// Calls `each` with every subject that has a document.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn subjects(&self, mut each: impl FnMut(SubjectId)) -> ViewResult<()> {
        for (table, kind) in [("jobs", "0"), ("named", "kind")] {
            let mut after = -1_i64;
            loop {
                let page = self.page(table, kind, after).map_err(wrong)?;
                let Some((last, _)) = page.last() else { break };
                after = *last;
                for (_, subject) in page {
                    each(subject);
                }
            }
        }
        Ok(())
    }

    fn page(&self, table: &str, kind: &str, after: i64) -> rusqlite::Result<Vec<(i64, SubjectId)>> {
        let sql = format!(
            "SELECT row, name_of.name, id, {kind} FROM {table} JOIN namespaces AS name_of USING (ns)
             WHERE row > ?1 ORDER BY row LIMIT ?2"
        );
        let invalid = || rusqlite::Error::InvalidQuery;
        self.file
            .prepare_cached(&sql)?
            .query_and_then(params![after, SUBJECTS_PAGE], |row| {
                let namespace =
                    Namespace::parse(row.get_ref(1)?.as_str()?).map_err(|_| invalid())?;
                let id = Uuid::from_slice(row.get_ref(2)?.as_blob()?).map_err(|_| invalid())?;
                let kind = SubjectKind::of_code(row.get(3)?).ok_or_else(invalid)?;
                Ok((row.get(0)?, SubjectId { kind, namespace, id }))
            })?
            .collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn wrong(error: rusqlite::Error) -> ViewError {
    schema::view_error(&error)
}
