//! The streams of the in-memory store as a plain value without locks or futures: what an append, a mark or a
//! deletion does. The simulation may use it directly.
//! Always holds: records of a stream are dense, a refused item changes nothing, iteration is in subject order.
//! Absent: faults (`store` draws them) and time; a tombstone is over when the newest record's time says so.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use domain::ids::{GroupId, Millis, SubjectId};
use domain::planted::{self, Planted};

use orrery::event_store::contract::{
    AppendItem, AppendNotice, Appended, HashedPayload, PayloadHash, Record, Snapshot, StreamPart,
    Tombstone, WakeUp, WakeUpMove,
};

#[derive(Debug, Default)]
struct Stream {
    records: BTreeMap<u64, Record>,
    payloads: BTreeMap<PayloadHash, Arc<[u8]>>,
    snapshot: Option<Snapshot>,
    mark: Option<(Millis, u64)>,
}

impl Stream {
    fn head(&self) -> u64 {
        self.records.last_key_value().map_or(0, |(_, last)| last.first + u64::from(last.count) - 1)
    }
}

#[derive(Debug)]
enum Entry {
    Live(Box<Stream>),
    Deleted { tombstone: Tombstone, keep_until: Millis },
}

/// All streams with their marks, append notices, payloads and snapshots.
#[derive(Debug, Default)]
pub struct Streams {
    entries: BTreeMap<SubjectId, Entry>,
    notices: BTreeMap<SubjectId, u64>,
    newest_at: Millis,
}

impl Streams {
    /// The newest committed record's time in milliseconds, 0 when there is none.
    pub fn newest_at(&self) -> Millis {
        self.newest_at
    }

    /// Appends one item if its expected head holds, or answers that it did so before.
    pub fn append(&mut self, item: AppendItem) -> Appended {
        let over = self.newest_at.max(item.record.at);
        let stream = match self.entries.get_mut(&item.subject) {
            Some(Entry::Live(stream)) => stream,
            Some(Entry::Deleted { keep_until, .. }) if *keep_until > over => {
                return Appended::Conflict;
            }
            Some(Entry::Deleted { .. }) | None => {
                if item.record.first != 1 {
                    return Appended::Conflict;
                }
                self.newest_at = over;
                let mut stream =
                    Box::new(Stream { mark: item.wake.map(|due| (due, 1)), ..Stream::default() });
                write(&mut stream, item.record, item.payloads);
                self.entries.insert(item.subject, Entry::Live(stream));
                return Appended::Committed;
            }
        };
        if stream.head() + 1 == item.record.first || planted::on(Planted::SeqIgnored) {
            self.newest_at = over;
            write(stream, item.record, item.payloads);
            return Appended::Committed;
        }
        let same = stream.records.get(&item.record.first).map(|there| there.nonce);
        if same == Some(item.record.nonce) { Appended::Committed } else { Appended::Conflict }
    }

    /// Whether this very record is in its stream.
    pub fn holds(&self, item: &AppendItem) -> bool {
        let there = self.stream(&item.subject).and_then(|s| s.records.get(&item.record.first));
        there.is_some_and(|there| there.nonce == item.record.nonce)
    }

    /// The part of a stream from the record that contains `from`.
    pub fn read(&self, subject: &SubjectId, from: u64, bytes_max: usize) -> StreamPart {
        let whole = StreamPart { complete: true, ..StreamPart::default() };
        let stream = match self.entries.get(subject) {
            None => return whole,
            Some(Entry::Live(stream)) => stream,
            Some(Entry::Deleted { keep_until, .. }) if *keep_until <= self.newest_at => {
                return whole;
            }
            Some(Entry::Deleted { tombstone, .. }) => {
                return StreamPart { tombstone: Some(tombstone.clone()), ..whole };
            }
        };
        if from > stream.head() {
            return whole;
        }
        let start = stream.records.range(..=from.max(1)).next_back().map_or(1, |(first, _)| *first);
        let (mut records, mut bytes) = (Vec::new(), 0);
        for record in stream.records.range(start..).map(|(_, record)| record) {
            bytes += record.body.len();
            if bytes > bytes_max && !records.is_empty() {
                return StreamPart { records, complete: false, tombstone: None };
            }
            records.push(record.clone());
        }
        StreamPart { records, ..whole }
    }

    /// Wake-ups of a group due at or before `until`, in subject order.
    pub fn live(
        &self,
        group: GroupId,
        until: Millis,
        after: Option<&SubjectId>,
        max: usize,
    ) -> Vec<WakeUp> {
        self.streams_after(group, after)
            .filter_map(|(subject, stream)| {
                let (due, number) = stream.mark.filter(|(due, _)| *due <= until)?;
                Some(WakeUp { subject: subject.clone(), due, number })
            })
            .take(max)
            .collect()
    }

    /// Subjects of a group that are not deleted, in order.
    pub fn subjects(
        &self,
        group: GroupId,
        after: Option<&SubjectId>,
        max: usize,
    ) -> Vec<SubjectId> {
        self.streams_after(group, after).map(|(subject, _)| subject.clone()).take(max).collect()
    }

    /// The mark of one subject.
    pub fn mark(&self, subject: &SubjectId) -> Option<WakeUp> {
        let (due, number) = self.stream(subject)?.mark?;
        Some(WakeUp { subject: subject.clone(), due, number })
    }

    /// Moves one mark when its number is the expected one; false otherwise, also for a subject without a stream.
    pub fn move_mark(&mut self, wanted: &WakeUpMove) -> bool {
        let Some(Entry::Live(stream)) = self.entries.get_mut(&wanted.subject) else { return false };
        if stream.mark.map_or(0, |(_, number)| number) != wanted.expected {
            return false;
        }
        stream.mark = wanted.due.map(|due| (due, wanted.expected + 1));
        true
    }

    /// Keeps the higher seq.
    pub fn write_notices(&mut self, notice: AppendNotice) {
        let seq = self.notices.entry(notice.subject).or_insert(notice.seq);
        *seq = notice.seq.max(*seq);
    }

    /// The append notices of a group, in subject order.
    pub fn notices(&self, group: GroupId) -> Vec<AppendNotice> {
        self.notices
            .iter()
            .filter(|(subject, _)| subject.group() == group)
            .map(|(subject, seq)| AppendNotice { subject: subject.clone(), seq: *seq })
            .collect()
    }

    /// Deletes an append notice unless a newer one has come.
    pub fn clear_notice(&mut self, notice: &AppendNotice) {
        if self.notices.get(&notice.subject).is_some_and(|seq| *seq <= notice.seq) {
            self.notices.remove(&notice.subject);
        }
    }

    /// A payload of a subject.
    pub fn payload(&self, subject: &SubjectId, hash: &PayloadHash) -> Option<Arc<[u8]>> {
        self.stream(subject)?.payloads.get(hash).cloned()
    }

    /// Keeps a snapshot of a stream that exists, unless a newer one is there.
    pub fn save_snapshot(&mut self, subject: &SubjectId, snapshot: Snapshot) {
        if let Some(Entry::Live(stream)) = self.entries.get_mut(subject)
            && stream.snapshot.as_ref().is_none_or(|there| there.seq <= snapshot.seq)
        {
            stream.snapshot = Some(snapshot);
        }
    }

    /// The newest snapshot of a subject.
    pub fn snapshot(&self, subject: &SubjectId) -> Option<Snapshot> {
        self.stream(subject)?.snapshot.clone()
    }

    /// Replaces a stream by its tombstone when its head is `expected`. True again when it is repeated.
    pub fn delete(
        &mut self,
        subject: &SubjectId,
        expected: u64,
        tombstone: Tombstone,
        keep_until: Millis,
    ) -> bool {
        match self.entries.get_mut(subject) {
            Some(Entry::Live(stream)) if stream.head() == expected => {
                self.entries.insert(subject.clone(), Entry::Deleted { tombstone, keep_until });
                true
            }
            Some(Entry::Deleted { tombstone, .. }) => tombstone.count == expected,
            Some(Entry::Live(_)) | None => false,
        }
    }

    fn stream(&self, subject: &SubjectId) -> Option<&Stream> {
        match self.entries.get(subject)? {
            Entry::Live(stream) => Some(stream),
            Entry::Deleted { .. } => None,
        }
    }

    fn streams_after(
        &self,
        group: GroupId,
        after: Option<&SubjectId>,
    ) -> impl Iterator<Item = (&SubjectId, &Stream)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries
            .range::<SubjectId, _>((from, Bound::Unbounded))
            .filter(move |(subject, _)| subject.group() == group)
            .filter_map(|(subject, entry)| match entry {
                Entry::Live(stream) => Some((subject, &**stream)),
                Entry::Deleted { .. } => None,
            })
    }
}

fn write(stream: &mut Stream, record: Record, payloads: Vec<HashedPayload>) {
    for payload in payloads {
        stream.payloads.insert(payload.hash, payload.bytes);
    }
    stream.records.insert(record.first, record);
}
