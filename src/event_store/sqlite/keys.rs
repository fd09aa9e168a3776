//! How subjects and numbers are keys of the tables: what is bound to a statement, and what is read from a row.
//! Absent: any table; each has its own file.

use domain::ids::{Namespace, SubjectId, SubjectKind};
use rusqlite::Row;
use uuid::Uuid;

use super::row_checksums;

/// A seq as SQLite stores it. Seqs stay far below 2^63.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Binds a subject to the parameters 1 to 4 and the rest behind them.
macro_rules! with_subject {
    ($subject:expr $(, $rest:expr)* $(,)?) => {
        rusqlite::params![
            $subject.group().index(),
            $subject.kind.code(),
            $subject.namespace.as_str(),
            &$subject.id.as_bytes()[..]
            $(, $rest)*
        ]
    };
}
pub(super) use with_subject;

/// Reads kind, namespace and id from three columns, which begin there.
pub(super) fn subject_at(row: &Row<'_>, first: usize) -> rusqlite::Result<SubjectId> {
    let wrong = || row_checksums::not_as_written("the name of a subject");
    let code = row.get(first)?;
    let kind =
        SubjectKind::of_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(first, code))?;
    let namespace = Namespace::parse(row.get_ref(first + 1)?.as_str()?).map_err(|_| wrong())?;
    let id = Uuid::from_slice(row.get_ref(first + 2)?.as_blob()?).map_err(|_| wrong())?;
    Ok(SubjectId { kind, namespace, id })
}

/// A number of rows as a statement takes it.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
