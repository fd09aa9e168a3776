//! What the documents of `events` look like. Four kinds share the collection, told apart by `_id.q` and `gone`:
//! a record (q: seq of its first event), a stream's mark (q: 0), and what a deletion leaves, which has `gone`: the
//! tombstone (q: 1), the blank records behind it and the closing one at the head's next seq.
//! Always holds: a body that is text is stored as text, so that mongosh shows it; it comes back byte for byte.
//! Absent: reading and writing (`reads`, `append`).

use bson::raw::{RawDocumentBuf, cstr};
use bson::{Document, doc};
use domain::ids::{Millis, SubjectId};

use crate::environment::mongodb::{
    DocumentFields, SubjectKey, Undecodable, bytes_bson, bytes_raw, to_date, to_stored,
};
use crate::event_store::contract::{Record, Tombstone, WakeUp};

pub(super) const EVENTS: &str = "events";
/// The index of what is due, over the marks that have a time.
pub(super) const BY_DUE: &str = "by_due";
/// The index of all streams, over the marks.
pub(super) const BY_GROUP: &str = "by_group";
/// The index of tombstones by their end.
pub(super) const BY_KEEP: &str = "by_keep_until";
/// The index of `_id`.
pub(super) const BY_ID: &str = "_id_";

/// A record as it is inserted.
pub(super) fn record_document(subject: &SubjectId, record: &Record) -> RawDocumentBuf {
    let mut stored = RawDocumentBuf::new();
    stored.append(cstr!("_id"), SubjectKey(subject).raw_record(record.first));
    stored.append(cstr!("count"), i64::from(record.count));
    stored.append(cstr!("nonce"), bytes_raw(&record.nonce.to_be_bytes()));
    stored.append(cstr!("at"), to_date(record.at));
    stored.append(cstr!("hash"), bytes_raw(&record.hash));
    match std::str::from_utf8(&record.body) {
        Ok(text) => stored.append(cstr!("body"), text),
        Err(_) => stored.append(cstr!("body"), bytes_raw(&record.body)),
    }
    stored
}

/// A record as it was inserted.
pub(super) fn record(fields: DocumentFields<'_>) -> Result<Record, Undecodable> {
    Ok(Record {
        first: first_of(fields)?,
        count: count_of(fields)?,
        nonce: nonce_of(fields)?,
        at: fields.millis("at")?,
        body: fields.shared_bytes("body")?,
        hash: fields.array("hash")?,
    })
}

/// The seq in a document's id.
pub(super) fn first_of(fields: DocumentFields<'_>) -> Result<u64, Undecodable> {
    fields.inner("_id")?.number("q")
}

/// How many events a record holds.
pub(super) fn count_of(fields: DocumentFields<'_>) -> Result<u32, Undecodable> {
    let wrong = Undecodable { field: "count", problem: "is not a count of events" };
    let count = u32::try_from(fields.number("count")?).map_err(|_| wrong.clone())?;
    if count == 0 { Err(wrong) } else { Ok(count) }
}

/// Who wrote a record.
pub(super) fn nonce_of(fields: DocumentFields<'_>) -> Result<u128, Undecodable> {
    fields.array("nonce").map(u128::from_be_bytes)
}

/// Whether a deletion left this document.
pub(super) fn is_gone(fields: DocumentFields<'_>) -> Result<bool, Undecodable> {
    Ok(fields.find("gone")?.is_some())
}

/// A new stream's mark as it is inserted.
pub(super) fn mark_document(subject: &SubjectId, due: Option<Millis>) -> RawDocumentBuf {
    let mut stored = RawDocumentBuf::new();
    stored.append(cstr!("_id"), SubjectKey(subject).raw_record(0));
    stored.append(cstr!("group"), i32::from(subject.group().index()));
    if let Some(due) = due {
        stored.append(cstr!("due"), to_date(due));
    }
    stored.append(cstr!("number"), i64::from(due.is_some()));
    stored
}

/// A mark; none when the stream is retired or deleted.
pub(super) fn mark(fields: DocumentFields<'_>) -> Result<Option<WakeUp>, Undecodable> {
    if fields.find("due")?.is_none() {
        return Ok(None);
    }
    let subject = fields.inner("_id")?.subject()?;
    Ok(Some(WakeUp { subject, due: fields.millis("due")?, number: fields.number("number")? }))
}

/// A tombstone with the time until which it counts.
pub(super) fn tombstone(fields: DocumentFields<'_>) -> Result<(Tombstone, Millis), Undecodable> {
    let tombstone = Tombstone {
        count: fields.number("events")?,
        hash: fields.array("hash")?,
        first_answer: fields.bytes("first_answer")?.to_vec(),
    };
    Ok((tombstone, fields.millis("keep_until")?))
}

/// What takes the first record's place.
pub(super) fn tombstone_document(
    subject: &SubjectId,
    tombstone: &Tombstone,
    keep_until: Millis,
    deletion: bson::oid::ObjectId,
) -> Document {
    doc! {
        "_id": SubjectKey(subject).record(1),
        "gone": deletion,
        "keep_until": to_date(keep_until),
        "events": to_stored(tombstone.count),
        "hash": bytes_bson(&tombstone.hash),
        "first_answer": bytes_bson(&tombstone.first_answer),
    }
}

/// The ids of a stream's records from `first` on, below `end`.
pub(super) fn range(subject: &SubjectId, first: u64, end: u64) -> Document {
    let key = SubjectKey(subject);
    doc! { "$gte": key.record(first), "$lt": key.record(end) }
}
