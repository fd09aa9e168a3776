//! How ids and times look in BSON, and how fields are read back.
//! A subject is `{k: kind, n: namespace, i: UUID}`, in that order, so that MongoDB's order of the documents is the
//! order of `SubjectId`. Seqs and numbers are 64-bit integers, times dates, UUIDs binary of subtype 4.
//! Always holds: what cannot be read is an error that names the field, never a default.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else the driver can hold is not what a field should be"
)]

use std::sync::Arc;

use bson::raw::{RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use domain::ids::{Millis, Namespace, SubjectId, SubjectKind};
use uuid::Uuid;

/// Bytes of a document that are sent at most: the server takes 16 MiB, some of which a command around it needs.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1_024 * 1_024 - 16 * 1_024;

/// Why a stored document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {problem}")]
pub struct Undecodable {
    pub field: &'static str,
    /// What is wrong with it, without its value.
    pub problem: &'static str,
}

/// A seq or number as it is stored. They stay far below 2^63.
pub fn to_stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time as it is stored.
pub fn to_date(at: Millis) -> DateTime {
    DateTime::from_millis(at)
}

/// A stored time.
pub fn millis_of(date: DateTime) -> Millis {
    date.timestamp_millis()
}

/// A subject as a document's id, or as the beginning of one.
#[derive(Debug, Clone, Copy)]
pub struct SubjectKey<'a>(pub &'a SubjectId);

impl SubjectKey<'_> {
    /// `{k, n, i}`.
    pub fn document(self) -> Document {
        let Self(subject) = self;
        doc! {
            "k": i32::from(subject.kind.code()),
            "n": subject.namespace.as_str(),
            "i": uuid_bson(subject.id),
        }
    }

    /// `{k, n, i, q}`: one record of its stream.
    pub fn record(self, seq: u64) -> Document {
        let mut id = self.document();
        id.insert("q", to_stored(seq));
        id
    }

    /// The same as bytes, for what is written often.
    pub fn raw(self) -> RawDocumentBuf {
        let Self(subject) = self;
        let mut id = RawDocumentBuf::new();
        id.append(cstr!("k"), i32::from(subject.kind.code()));
        id.append(cstr!("n"), subject.namespace.as_str());
        id.append(cstr!("i"), uuid_raw(subject.id.as_bytes()));
        id
    }

    /// `{k, n, i, q}` as bytes.
    pub fn raw_record(self, seq: u64) -> RawDocumentBuf {
        let mut id = self.raw();
        id.append(cstr!("q"), to_stored(seq));
        id
    }
}

/// A UUID of subtype 4.
pub fn uuid_bson(id: Uuid) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

/// Bytes without a meaning to the server.
pub fn bytes_bson(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

/// Bytes without a meaning to the server, not copied.
pub fn bytes_raw(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Generic, bytes }
}

/// A UUID of subtype 4, not copied.
pub fn uuid_raw(bytes: &[u8; 16]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Uuid, bytes }
}

/// Reads the fields of a stored document.
#[derive(Debug, Clone, Copy)]
pub struct DocumentFields<'a>(pub &'a RawDocument);

type Read<T> = Result<T, Undecodable>;

impl<'a> DocumentFields<'a> {
    /// The field, if it is there and not null.
    pub fn find(self, field: &'static str) -> Read<Option<RawBsonRef<'a>>> {
        match self.0.get(field) {
            Ok(Some(RawBsonRef::Null) | None) => Ok(None),
            Ok(found) => Ok(found),
            Err(_) => Err(Undecodable { field, problem: "is not BSON" }),
        }
    }

    fn need<T>(
        self,
        field: &'static str,
        problem: &'static str,
        read: impl FnOnce(RawBsonRef<'a>) -> Option<T>,
    ) -> Read<T> {
        let found = self.find(field)?.ok_or(Undecodable { field, problem: "is missing" })?;
        read(found).ok_or(Undecodable { field, problem })
    }

    /// A number that is never negative.
    pub fn number(self, field: &'static str) -> Read<u64> {
        self.need(field, "is not a number of 0 or more", |found| {
            let number = match found {
                RawBsonRef::Int64(number) => number,
                RawBsonRef::Int32(number) => i64::from(number),
                _ => return None,
            };
            u64::try_from(number).ok()
        })
    }

    pub fn millis(self, field: &'static str) -> Read<Millis> {
        self.need(field, "is not a date", |found| found.as_datetime().map(millis_of))
    }

    pub fn text(self, field: &'static str) -> Read<&'a str> {
        self.need(field, "is not a text", RawBsonRef::as_str)
    }

    /// A text that may be missing.
    pub fn text_or_none(self, field: &'static str) -> Read<Option<&'a str>> {
        match self.find(field)? {
            Some(_) => self.text(field).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes; a text counts as its bytes.
    pub fn bytes(self, field: &'static str) -> Read<&'a [u8]> {
        self.need(field, "is neither bytes nor a text", |found| match found {
            RawBsonRef::Binary(binary) => Some(binary.bytes),
            RawBsonRef::String(text) => Some(text.as_bytes()),
            _ => None,
        })
    }

    /// Bytes that are kept.
    pub fn shared_bytes(self, field: &'static str) -> Read<Arc<[u8]>> {
        self.bytes(field).map(Arc::from)
    }

    /// So many bytes.
    pub fn array<const N: usize>(self, field: &'static str) -> Read<[u8; N]> {
        let bytes = self.bytes(field)?;
        bytes.try_into().map_err(|_| Undecodable { field, problem: "has the wrong length" })
    }

    pub fn uuid(self, field: &'static str) -> Read<Uuid> {
        self.need(field, "is not a UUID", |found| {
            found.as_binary().and_then(|binary| Uuid::from_slice(binary.bytes).ok())
        })
    }

    /// A document inside.
    pub fn inner(self, field: &'static str) -> Read<DocumentFields<'a>> {
        self.need(field, "is not a document", |found| found.as_document().map(DocumentFields))
    }

    pub fn texts(self, field: &'static str) -> Read<Vec<String>> {
        let wrong = Undecodable { field, problem: "is not a list of texts" };
        let list = self.need(field, wrong.problem, RawBsonRef::as_array)?;
        list.into_iter()
            .map(|item| {
                item.ok()
                    .and_then(|item| item.as_str().map(str::to_owned))
                    .ok_or_else(|| wrong.clone())
            })
            .collect()
    }

    /// The subject that `SubjectKey` wrote, from this document's own fields.
    pub fn subject(self) -> Read<SubjectId> {
        let wrong = |field, problem| Undecodable { field, problem };
        let kind = self
            .need("k", "is not a kind", |found| SubjectKind::of_code(i64::from(found.as_i32()?)))?;
        let namespace =
            Namespace::parse(self.text("n")?).map_err(|_| wrong("n", "is not a namespace"))?;
        Ok(SubjectId { kind, namespace, id: self.uuid("i")? })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

    use domain::ids::JobId;

    use super::*;

    #[test]
    fn a_subject_comes_back_from_both_forms() {
        let namespace = Namespace::parse("team.a").expect("a namespace");
        let subject = SubjectId::job(namespace, JobId(Uuid::from_u128(7)));
        let key = SubjectKey(&subject);
        let raw = key.raw_record(9);
        assert_eq!(DocumentFields(&raw).subject(), Ok(subject.clone()));
        assert_eq!(DocumentFields(&raw).number("q"), Ok(9));
        assert_eq!(Document::try_from(raw.as_ref()).expect("a document"), key.record(9));
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        let mut stored = RawDocumentBuf::new();
        stored.append(cstr!("n"), -1_i64);
        let fields = DocumentFields(&stored);
        assert_eq!(fields.number("n").expect_err("negative").field, "n");
        assert_eq!(fields.text("n").expect_err("no text").problem, "is not a text");
        assert_eq!(fields.text("missing").expect_err("missing").problem, "is missing");
        assert_eq!(fields.text_or_none("missing"), Ok(None));
    }
}
