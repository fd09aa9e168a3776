//! Reading streams back into states: whole, in parts for a fold, or the tail after some seq. The chain is checked on
//! the way: bytes that do not fit it make the subject damaged, never a state.

use std::sync::Arc;

use domain::catalog::state::CatalogState;
use domain::ids::{Namespace, SubjectId};
use tokio::sync::Semaphore;

use crate::engine::core::kinds::{Entity, EntityEvent, InTable as _};
use crate::engine::core::message::{LoadedStream, LoadedTail};
use crate::engine::records::{self, BrokenRecord};
use crate::event_store::contract::{
    ChainHash, EventStore, EventStoreError, Record, Snapshot, StoreResult, StreamPart, Tombstone,
};

/// Bytes asked for at once; streams that fit are replayed without a look for a snapshot.
const PART_BYTES: usize = 2 * 1_024 * 1_024;
/// A part above this takes long to replay: about a millisecond of a thread, and what else that thread has to do waits.
const LONG_BYTES: usize = 64 * 1_024;

/// How far a part of a stream led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartEnd {
    /// Events up to there; a record ends there.
    pub seq: u64,
    /// The chain there.
    pub chain: ChainHash,
    /// Whether that is the stream's head.
    pub complete: bool,
    /// Whether the stream is deleted.
    pub deleted: bool,
}

/// A namespace's catalog as its stream has it now; none where nothing was ever kept.
///
/// # Errors
/// The store's own, and `Damaged`.
pub async fn catalog(
    store: &dyn EventStore,
    namespace: &Namespace,
) -> StoreResult<Option<Arc<CatalogState>>> {
    let stream = load(store, &SubjectId::catalog(namespace.clone())).await?;
    Ok(stream.entity.and_then(CatalogState::from_entity).map(Arc::new))
}

/// As [`fold`], one read only. `after` must be where a record ends.
///
/// # Errors
/// As [`fold`].
pub async fn fold_part(
    store: &dyn EventStore,
    subject: &SubjectId,
    after: u64,
    chain: ChainHash,
    mut each: impl FnMut(u64, &[u8], &EntityEvent, ChainHash),
) -> StoreResult<PartEnd> {
    let part = store.read(subject, after + 1, PART_BYTES).await?;
    let (mut seq, mut chain) = (after, chain);
    take_part(subject, &part, &mut seq, &mut chain, &mut each)?;
    Ok(PartEnd { seq, chain, complete: part.complete, deleted: part.tombstone.is_some() })
}

/// Calls `each` with every event after `after`, in order, with its seq and its JSON as written.
///
/// # Errors
/// The store's own, and `Damaged` where records are not dense, events cannot be read or the chain does not hold.
pub async fn fold(
    store: &dyn EventStore,
    subject: &SubjectId,
    after: u64,
    chain: ChainHash,
    each: impl FnMut(u64, &[u8], &EntityEvent, ChainHash),
) -> StoreResult<(u64, ChainHash, Option<Tombstone>)> {
    let first = store.read(subject, after + 1, PART_BYTES).await?;
    fold_on(store, subject, (after, chain, None), first, each).await
}

/// As [`fold`], with the first part at hand.
async fn fold_on(
    store: &dyn EventStore,
    subject: &SubjectId,
    (mut seq, mut chain, replays): (u64, ChainHash, Option<&Semaphore>),
    first: StreamPart,
    mut each: impl FnMut(u64, &[u8], &EntityEvent, ChainHash),
) -> StoreResult<(u64, ChainHash, Option<Tombstone>)> {
    let mut part = first;
    loop {
        if part.tombstone.is_some() {
            return Ok((seq, chain, part.tombstone));
        }
        let long = part.records.iter().map(|record| record.body.len()).sum::<usize>() > LONG_BYTES;
        let place = match replays.filter(|_| long) {
            // It is never closed; without a place it is replayed all the same.
            Some(replays) => replays.acquire().await.ok(),
            None => None,
        };
        take_part(subject, &part, &mut seq, &mut chain, &mut each)?;
        drop(place);
        if part.complete {
            return Ok((seq, chain, None));
        }
        part = store.read(subject, seq + 1, PART_BYTES).await?;
    }
}

fn take_part(
    subject: &SubjectId,
    part: &StreamPart,
    seq: &mut u64,
    chain: &mut ChainHash,
    each: &mut impl FnMut(u64, &[u8], &EntityEvent, ChainHash),
) -> StoreResult<()> {
    for record in &part.records {
        take_record(subject, record, seq, chain, each)?;
    }
    if part.records.is_empty() && !part.complete && part.tombstone.is_none() {
        return Err(damaged(subject, "a part without records that is not the last"));
    }
    Ok(())
}

fn take_record(
    subject: &SubjectId,
    record: &Record,
    seq: &mut u64,
    chain: &mut ChainHash,
    each: &mut impl FnMut(u64, &[u8], &EntityEvent, ChainHash),
) -> StoreResult<()> {
    let events = records::events_of(record, *seq, *chain).map_err(|broken| match broken {
        BrokenRecord::Gap => damaged(subject, "records are not dense"),
        BrokenRecord::Count(_) => {
            damaged(subject, "a record has another number of events than it says")
        }
        BrokenRecord::Chain => {
            let last = record.last();
            damaged(subject, &format!("the hash chain does not hold at event {last}"))
        }
    })?;
    for (line, hash) in events {
        let event = EntityEvent::decode(subject.kind, line).map_err(|error| {
            damaged(subject, &format!("event {} cannot be read: {error}", *seq + 1))
        })?;
        *seq += 1;
        *chain = hash;
        each(*seq, line, &event, hash);
    }
    Ok(())
}

fn damaged(subject: &SubjectId, reason: &str) -> EventStoreError {
    EventStoreError::Damaged { subject: subject.to_string(), reason: reason.to_owned() }
}

/// Reads a stream whole, a long one from its snapshot on.
///
/// # Errors
/// As [`fold`], and `Damaged` where events do not make a state.
pub async fn load(store: &dyn EventStore, subject: &SubjectId) -> StoreResult<LoadedStream> {
    load_in(store, subject, None).await
}

/// As [`load`], beside other work: parts that take long to replay wait for one of `replays`.
///
/// # Errors
/// As [`load`].
pub async fn load_beside(
    store: &dyn EventStore,
    subject: &SubjectId,
    replays: &Semaphore,
) -> StoreResult<LoadedStream> {
    load_in(store, subject, Some(replays)).await
}

async fn load_in(
    store: &dyn EventStore,
    subject: &SubjectId,
    replays: Option<&Semaphore>,
) -> StoreResult<LoadedStream> {
    let mark = store.mark(subject).await?;
    let mut first = store.read(subject, 1, PART_BYTES).await?;
    let (mut entity, mut seq, mut chain) = (None, 0, domain::history::genesis(subject));
    if !first.complete
        && let Some((snapshot, kept)) = kept_state(store, subject).await?
    {
        (entity, seq, chain) = (Some(kept), snapshot.seq, snapshot.hash);
        first = store.read(subject, seq + 1, PART_BYTES).await?;
    }
    let mut fits = true;
    let begin = (seq, chain, replays);
    let (seq, chain, tombstone) =
        fold_on(store, subject, begin, first, |seq, _, event, _| match entity.as_mut() {
            None if seq == 1 => entity = Entity::create(event),
            None => fits = false,
            Some(entity) => fits &= entity.apply(event),
        })
        .await?;
    if !fits || (seq > 0 && entity.is_none()) {
        return Err(damaged(subject, "its events do not make a state"));
    }
    if tombstone.is_some() {
        entity = None;
    }
    Ok(LoadedStream { entity, seq, chain, mark, tombstone })
}

/// The state that is kept beside a stream too long for one read, if it can be read.
async fn kept_state(
    store: &dyn EventStore,
    subject: &SubjectId,
) -> StoreResult<Option<(Snapshot, Entity)>> {
    let Some(snapshot) = store.snapshot(subject).await? else { return Ok(None) };
    let entity = Entity::decode_snapshot(subject.kind, &snapshot.body);
    Ok(entity.map(|entity| (snapshot, entity)))
}

/// Reads a subject as it was after `seq` events.
///
/// # Errors
/// As [`load`].
pub async fn load_at(
    store: &dyn EventStore,
    subject: &SubjectId,
    at: u64,
) -> StoreResult<Option<Entity>> {
    let mut entity: Option<Entity> = None;
    let genesis = domain::history::genesis(subject);
    fold(store, subject, 0, genesis, |seq, _, event, _| match entity.as_mut() {
        None if seq == 1 => entity = Entity::create(event),
        Some(entity) if seq <= at => _ = entity.apply(event),
        _ => {}
    })
    .await?;
    Ok(entity)
}

/// Reads what was appended after some seq.
///
/// # Errors
/// As [`fold`].
pub async fn tail(
    store: &dyn EventStore,
    subject: &SubjectId,
    after: u64,
    chain: ChainHash,
) -> StoreResult<LoadedTail> {
    let mut events = Vec::new();
    let (_, chain, tombstone) =
        fold(store, subject, after, chain, |_, _, event, _| events.push(event.clone())).await?;
    if tombstone.is_some() {
        return Err(damaged(subject, "it was deleted meanwhile"));
    }
    Ok(LoadedTail { events, chain })
}
