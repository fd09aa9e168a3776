//! What every event store guarantees. The streams are the truth: a record that `append` called committed is
//! durable (fsynced, or majority-journaled) and is read back byte for byte. The store knows subjects, sequence
//! numbers and bytes, never rules. Held to by one conformance suite (`tests/engine/storage/event_store.rs`).
//! Absent on purpose: locks, leases on subjects, conditional updates; an append that expects a version is enough.

use std::fmt::Debug;
use std::sync::Arc;

use domain::ids::{GroupId, Millis, SubjectId};
use futures_util::future::BoxFuture;

use crate::config::Secret;

/// The sha-256 chain value of a stream after some event.
pub type ChainHash = [u8; 32];
/// sha-256 of a payload's bytes.
pub type PayloadHash = [u8; 32];

/// What a store says of itself at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Drawn when the store was made; the view carries it to know whose view it is.
    pub store_id: String,
    /// Raised by a restore; the upper half of every lease epoch.
    pub incarnation: u32,
    /// Milliseconds of the newest committed record's `at`, 0 in an empty store.
    pub newest_at: Millis,
    /// Drawn once for the deployment: the leases that are handed out are authenticated under it. Empty in a store that
    /// was opened for reading only, which hands out none.
    pub lease_key: Secret,
}

impl StoreInfo {
    /// Whose view a view must be: one of an earlier incarnation may show what the restored streams never held.
    pub fn view_id(&self) -> String {
        format!("{}/{}", self.store_id, self.incarnation)
    }
}

/// Bytes that an event names by their hash. They belong to one subject.
#[derive(Debug, Clone)]
pub struct HashedPayload {
    /// sha-256 of `bytes`.
    pub hash: PayloadHash,
    /// Raw JSON text.
    pub bytes: Arc<[u8]>,
}

/// A payload as it lies in a store, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptPayload {
    /// Under which hash.
    pub hash: PayloadHash,
    /// How many bytes.
    pub bytes: u64,
    /// Whether the bytes have this hash.
    pub intact: bool,
}

/// One record: the events of one append to one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Sequence number of the first event in it. Records of a stream are dense: the next one's is `first + count`.
    pub first: u64,
    /// How many events it holds; at least 1.
    pub count: u32,
    /// Drawn by the writer; the same record written again has the same nonce.
    pub nonce: u128,
    /// The newest event's time.
    pub at: Millis,
    /// The events, one JSON text a line, kept as written.
    pub body: Arc<[u8]>,
    /// The chain after the last event in it.
    pub hash: ChainHash,
}

impl Record {
    /// Sequence number of the last event in it.
    pub fn last(&self) -> u64 {
        self.first - 1 + u64::from(self.count)
    }
}

/// One subject's part of a batch.
#[derive(Debug, Clone)]
pub struct AppendItem {
    pub subject: SubjectId,
    /// The record; it expects the stream's head to be `record.first - 1`.
    pub record: Record,
    /// Payloads that the record names: durable no later than the record.
    pub payloads: Vec<HashedPayload>,
    /// With the first record of a stream (`record.first == 1`): the wake-up's due time. It gets number 1.
    pub wake: Option<Millis>,
    /// Whether the append may use the reserve kept for finishing work when space runs out. Submissions may not.
    pub may_use_reserve: bool,
}

/// What each asked hash stands for; none where there is no such payload.
pub type Payloads = Vec<Option<Arc<[u8]>>>;

/// What became of one item. One item's outcome never changes another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Durable, now or earlier under the same nonce.
    Committed,
    /// The stream's head is not the expected one (or it is deleted, or a tombstone): nothing was written.
    Conflict,
    /// No room: nothing was written, the store serves on.
    Full,
    /// It is not known whether the record is durable. Write the same record again until one of the others comes.
    Unknown,
}

/// What is left of a deleted stream for 24 h, so that nothing late brings it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Events the stream had.
    pub count: u64,
    /// Its last chain value.
    pub hash: ChainHash,
    /// The first record's answer, for late repeats of the submission.
    pub first_answer: Vec<u8>,
}

/// A part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPart {
    /// In order, dense. The first may start before the asked seq when it contains it.
    pub records: Vec<Record>,
    /// Whether the stream's head is in it; otherwise read on from the last record.
    pub complete: bool,
    /// Set when the stream is deleted; there are no records then.
    pub tombstone: Option<Tombstone>,
}

/// The record by which the driver of a group finds what must be in memory. May be too early, never too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUp {
    pub subject: SubjectId,
    /// When it must be looked at.
    pub due: Millis,
    /// Grows by one with each move.
    pub number: u64,
}

/// A move of a wake-up, conditional on its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUpMove {
    pub subject: SubjectId,
    /// The number it must have (0: there must be none, after a retirement); otherwise nothing happens.
    pub expected: u64,
    /// The new due time; none takes the mark away (the stream is retired).
    pub due: Option<Millis>,
}

/// Tells a group's driver that somebody else appended to one of its subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppendNotice {
    pub subject: SubjectId,
    /// Up to where it must be read.
    pub seq: u64,
}

/// A stored state of a long stream, an optimisation that replay must agree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The seq it shows.
    pub seq: u64,
    /// The chain value there.
    pub hash: ChainHash,
    pub body: Arc<[u8]>,
}

/// Why a store call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventStoreError {
    /// Cannot be reached or did not answer in time; nothing is known of a write. Try again.
    #[error("the event store is unavailable: {0}")]
    Unavailable(String),
    /// There is no room for more.
    #[error("the event store is full")]
    Full,
    /// What is stored cannot be read: the subject must be parked with this reason.
    #[error("stored data of {subject} is damaged: {reason}")]
    Damaged {
        subject: String,
        /// What is wrong, without payloads.
        reason: String,
    },
    /// The process must stop (a failed fsync).
    #[error("the event store cannot go on: {0}")]
    Fatal(String),
}

/// A store call's result.
pub type StoreResult<T> = Result<T, EventStoreError>;

/// What a step of the sweep came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Payloads looked at.
    pub looked_at: u64,
    /// Payloads without a record that brought them, removed.
    pub removed: u64,
    /// Nothing older is left to look at.
    pub through: bool,
}

/// The housekeeping of a store that writes payloads apart from their records: a crash between the two leaves payloads
/// that nothing names. A store that writes both at once has nothing to sweep and does not have this (decision 0016).
pub trait PayloadSweep: Send + Sync + Debug {
    /// Looks at the next payloads written before `before`, at most `max`, each once, and removes those whose record
    /// is not in their subject's stream. `before` must be so long ago that no append built then is still sent.
    fn sweep(&self, before: Millis, max: u32) -> BoxFuture<'_, StoreResult<Swept>>;
}

/// The truth. Calls may run concurrently; each is atomic an item.
pub trait EventStore: Send + Sync + Debug {
    /// Identity and incarnation.
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>>;

    /// Appends each item whose expected head holds; answers in the items' order. An `Err` says that the outcome of
    /// every item is unknown. Two items of one batch never name the same subject.
    fn append(&self, batch: Vec<AppendItem>) -> BoxFuture<'_, StoreResult<Vec<Appended>>>;

    /// The stream from the record that contains `from` (1 is the first event), at most about `bytes_max` bytes but
    /// at least one record. An unknown subject is an empty, complete part.
    fn read<'a>(
        &'a self,
        subject: &'a SubjectId,
        from: u64,
        bytes_max: usize,
    ) -> BoxFuture<'a, StoreResult<StreamPart>>;

    /// The wake-ups of a group due at or before `until`, after `after` in subject order, at most `max`.
    fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<WakeUp>>>;

    /// All subjects of a group (tombstones excepted) after `after` in subject order, at most `max`.
    fn subjects(
        &self,
        group: GroupId,
        after: Option<SubjectId>,
        max: usize,
    ) -> BoxFuture<'_, StoreResult<Vec<SubjectId>>>;

    /// Moves wake-ups; answers for each whether its number was the expected one. Durable when it returns.
    fn move_wake_ups(&self, moves: Vec<WakeUpMove>) -> BoxFuture<'_, StoreResult<Vec<bool>>>;

    /// The mark of one subject.
    fn mark<'a>(&'a self, subject: &'a SubjectId) -> BoxFuture<'a, StoreResult<Option<WakeUp>>>;

    /// Writes append notices durably; the higher seq of one subject stays.
    fn write_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>>;

    /// The append notices of a group.
    fn notices(&self, group: GroupId) -> BoxFuture<'_, StoreResult<Vec<AppendNotice>>>;

    /// Deletes append notices whose stored seq is not above the given one.
    fn clear_notices(&self, notices: Vec<AppendNotice>) -> BoxFuture<'_, StoreResult<()>>;

    /// Payloads of a subject by hash, in the asked order; none where there is none.
    fn payloads<'a>(
        &'a self,
        subject: &'a SubjectId,
        hashes: &'a [PayloadHash],
    ) -> BoxFuture<'a, StoreResult<Payloads>>;

    /// Keeps a snapshot, replacing an older one.
    fn save_snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// The newest snapshot of a subject.
    fn snapshot<'a>(
        &'a self,
        subject: &'a SubjectId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>>;

    /// Deletes a stream whose head is `expected` with its payloads, snapshot and mark, leaving the tombstone until
    /// `keep_until`. Answers whether the head was the expected one.
    fn delete<'a>(
        &'a self,
        subject: &'a SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> BoxFuture<'a, StoreResult<bool>>;
}
