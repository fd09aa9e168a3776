//! Checksums of rows: what no hash covers (times, nonces, wake-ups, ids, the hash of a record itself) is summed where
//! it is written and compared where it is read, so that a bit which flips on the disk is damage, never another value.
//! Always holds: a sum covers the row's place (its stream, its subject), so that a row that turns up elsewhere does
//! not fit either; every single flipped bit of what it covers changes it. Absent: bodies of records and payloads,
//! whose hashes are compared where they are read, and any protection against somebody who means it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other kind of value is not what was written"
)]

use std::fmt;

use domain::ids::SubjectId;
use rusqlite::types::ValueRef;
use rusqlite::{Error, Row};

/// Something in the file that is not what was written there.
#[derive(Debug)]
struct NotAsWritten(&'static str);

impl fmt::Display for NotAsWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not what was written", self.0)
    }
}

impl std::error::Error for NotAsWritten {}

/// The error that stands for damage (`failure`): it has no code of SQLite's, which sees nothing wrong.
pub(super) fn not_as_written(what: &'static str) -> Error {
    Error::ToSqlConversionFailure(Box::new(NotAsWritten(what)))
}

/// Nothing when both are the same.
pub(super) fn compare(what: &'static str, stored: i64, sum: i64) -> rusqlite::Result<()> {
    if stored == sum { Ok(()) } else { Err(not_as_written(what)) }
}

/// Where a row of a subject lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowPlace<'a> {
    grp: i64,
    kind: i64,
    namespace: &'a [u8],
    id: &'a [u8],
}

impl<'a> RowPlace<'a> {
    pub(super) fn of(subject: &'a SubjectId) -> Self {
        Self {
            grp: i64::from(subject.group().index()),
            kind: i64::from(subject.kind.code()),
            namespace: subject.namespace.as_str().as_bytes(),
            id: subject.id.as_bytes(),
        }
    }

    /// From the first four columns, whatever they say.
    pub(super) fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        let text = |column| match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(not_as_written("the place of a row")),
        };
        Ok(Self { grp: row.get(0)?, kind: row.get(1)?, namespace: text(2)?, id: text(3)? })
    }

    fn sum(self) -> Sum {
        Sum::default().number(self.grp).number(self.kind).bytes(self.namespace).bytes(self.id)
    }
}

/// A sum under way. Each value stands behind its length, or has a fixed one.
#[derive(Default)]
struct Sum(crc32fast::Hasher);

impl Sum {
    fn number(mut self, value: i64) -> Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    fn optional(self, value: Option<i64>) -> Self {
        match value {
            None => self.number(0),
            Some(value) => self.number(1).number(value),
        }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// As SQLite stores it in four bytes.
    fn done(self) -> i64 {
        i64::from(self.0.finalize().cast_signed())
    }
}

/// A row of `records` without its body, which its hash covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordRow<'a> {
    pub(super) stream: i64,
    pub(super) first: i64,
    pub(super) count: i64,
    pub(super) at: i64,
    pub(super) newest: Option<i64>,
    pub(super) nonce: &'a [u8],
    pub(super) hash: &'a [u8],
}

impl<'a> RecordRow<'a> {
    /// What to select for `read`: seven columns.
    pub(super) const COLUMNS: &'static str = "first, count, at, newest, nonce, hash, sum";

    /// From the first columns, which are `COLUMNS`, of a row of this stream; an error when the sum does not fit.
    pub(super) fn read(row: &'a Row<'_>, stream: i64) -> rusqlite::Result<Self> {
        let record = Self {
            stream,
            first: row.get(0)?,
            count: row.get(1)?,
            at: row.get(2)?,
            newest: row.get(3)?,
            nonce: row.get_ref(4)?.as_blob()?,
            hash: row.get_ref(5)?.as_blob()?,
        };
        compare("the row of a record", row.get(6)?, record.sum())?;
        Ok(record)
    }

    pub(super) fn sum(&self) -> i64 {
        Sum::default()
            .number(self.stream)
            .number(self.first)
            .number(self.count)
            .number(self.at)
            .optional(self.newest)
            .bytes(self.nonce)
            .bytes(self.hash)
            .done()
    }
}

/// Whose stream has which number.
pub(super) fn of_stream(place: RowPlace<'_>, stream: i64) -> i64 {
    place.sum().number(stream).done()
}

/// A wake-up of a stream.
pub(super) fn of_wake(place: RowPlace<'_>, stream: i64, due: i64, mark: i64) -> i64 {
    place.sum().number(stream).number(due).number(mark).done()
}

/// A wake-up, or that there is none, as format 2 had it.
pub(super) fn of_wake_in_format_2(place: RowPlace<'_>, due: Option<i64>, mark: Option<i64>) -> i64 {
    place.sum().optional(due).optional(mark).done()
}

/// An append notice.
pub(super) fn of_notice(place: RowPlace<'_>, seq: i64) -> i64 {
    place.sum().number(seq).done()
}

pub(super) fn of_tombstone(
    place: RowPlace<'_>,
    count: i64,
    hash: &[u8],
    first_answer: &[u8],
    keep_until: i64,
) -> i64 {
    place.sum().number(count).bytes(hash).bytes(first_answer).number(keep_until).done()
}

/// A snapshot, its body included: no hash covers that.
pub(super) fn of_snapshot(stream: i64, seq: i64, hash: &[u8], body: &[u8]) -> i64 {
    Sum::default().number(stream).number(seq).bytes(hash).bytes(body).done()
}

/// What the file says of itself under a key.
pub(super) fn of_meta(key: &str, value: ValueRef<'_>) -> i64 {
    let sum = Sum::default().bytes(key.as_bytes());
    match value {
        ValueRef::Integer(value) => sum.number(1).number(value),
        ValueRef::Text(bytes) => sum.number(2).bytes(bytes),
        ValueRef::Blob(bytes) => sum.number(3).bytes(bytes),
        ValueRef::Real(value) => sum.number(4).number(value.to_bits().cast_signed()),
        ValueRef::Null => sum.number(5),
    }
    .done()
}
