//! Subjects, records and items that the storage cases are made of; everything follows from small numbers.

use std::sync::Arc;

use domain::ids::{JobId, Millis, Namespace, SubjectId};
use orrery::event_store::contract::{AppendItem, Appended, EventStore, HashedPayload, Record};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The time of the records of these cases, in milliseconds.
pub(crate) const NOW: Millis = 1_800_000_000_000;

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).expect("a namespace")
}

/// Jobs with ascending ids.
pub(crate) fn job(number: u128) -> SubjectId {
    job_in("default", number)
}

pub(crate) fn job_in(name: &str, number: u128) -> SubjectId {
    SubjectId::job(namespace(name), JobId(Uuid::from_u128(number)))
}

/// Jobs that all belong to the group of `job(1)`, with ascending ids.
pub(crate) fn jobs_of_one_group(count: usize) -> Vec<SubjectId> {
    let group = job(1).group();
    (1..).map(job).filter(|subject| subject.group() == group).take(count).collect()
}

/// A record of `count` events from `first` on, its body `bytes` long.
pub(crate) fn record(first: u64, count: u32, nonce: u128, bytes: usize) -> Record {
    let mut body = format!("{first}+{count}#{nonce}").into_bytes();
    // Filled with what cannot be stored in less room.
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64 ^ first;
    while body.len() < bytes {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        let taken = (bytes - body.len()).min(8);
        body.extend_from_slice(&noise.to_le_bytes()[..taken]);
    }
    let hash = Sha256::digest(&body).into();
    Record { first, count, nonce, at: NOW, body: Arc::from(body), hash }
}

pub(crate) fn payload(text: &str) -> HashedPayload {
    HashedPayload { hash: Sha256::digest(text).into(), bytes: Arc::from(text.as_bytes()) }
}

/// An item with one event whose nonce follows from its place.
pub(crate) fn item(subject: &SubjectId, first: u64) -> AppendItem {
    item_of(subject, record(first, 1, u128::from(first) * 1_000, 0))
}

pub(crate) fn item_of(subject: &SubjectId, record: Record) -> AppendItem {
    let wake = (record.first == 1).then_some(NOW);
    AppendItem {
        subject: subject.clone(),
        record,
        payloads: Vec::new(),
        wake,
        may_use_reserve: true,
    }
}

/// Appends one item and answers what became of it.
pub(crate) async fn append(store: &dyn EventStore, item: AppendItem) -> Appended {
    let answers = store.append(vec![item]).await.expect("an answer");
    assert_eq!(answers.len(), 1);
    answers[0]
}

/// Appends `records` one-event records to a new stream.
pub(crate) async fn fill(store: &dyn EventStore, subject: &SubjectId, records: u64) {
    for first in 1..=records {
        assert_eq!(append(store, item(subject, first)).await, Appended::Committed);
    }
}
