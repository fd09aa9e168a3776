//! Proving one stored stream: it replays under its own rules, its chain holds, what lies beside it (snapshot, payloads,
//! wake-up) agrees with it, and the view shows what replay gives.
//! Always holds: nothing is written or repaired; one wrong thing does not hide those of other streams, and what was
//! found of a stream before it could not be read on is reported. Absent: files and their pages (the stores' own look).

use std::collections::BTreeMap;

use domain::ids::{Millis, SubjectId};
use domain::payload::{Hash, StoredPayload};

use crate::engine::core::kinds::{Entity, EntityEvent};
use crate::engine::core::shown;
use crate::engine::records::{self, BrokenRecord};
use crate::event_store::contract::{
    ChainHash, EventStore, KeptPayload, PayloadHash, Record, Snapshot, StoreResult, WakeUp,
};
use crate::view::contract::Document;

/// Bytes asked for at once.
const PART_BYTES: usize = 2 * 1_024 * 1_024;

/// What is wrong with stored data.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Whose stream; where the file has no such name, the place in it.
    pub subject: String,
    /// At which event, where it is about one.
    pub seq: Option<u64>,
    /// A stable word.
    pub what: &'static str,
    /// The reason in words, for people.
    pub detail: String,
}

/// What is known beside a stream.
#[derive(Debug)]
pub struct Beside<'a> {
    /// All payloads of the subject.
    pub payloads: &'a [KeptPayload],
    /// Its document, where there is a whole view; none inside: the view has none of it.
    pub shown: Option<Option<&'a Document>>,
    /// The store's incarnation.
    pub incarnation: u32,
}

/// Proves one stream. Answers how many events it has, and appends what is wrong to `findings`.
///
/// # Errors
/// The store's own, when it cannot be read.
pub async fn check_stream(
    store: &dyn EventStore,
    subject: &SubjectId,
    beside: &Beside<'_>,
    findings: &mut Vec<Finding>,
) -> StoreResult<u64> {
    let mark = store.mark(subject).await?;
    let snapshot = store.snapshot(subject).await?;
    let mut replay = Replay {
        subject,
        beside,
        snapshot: snapshot.as_ref(),
        seq: 0,
        at: Millis::MIN,
        chain: domain::history::genesis(subject),
        entity: None,
        named: BTreeMap::new(),
        findings,
    };
    let mut whole = true;
    loop {
        let part = store.read(subject, replay.seq + 1, PART_BYTES).await?;
        whole = whole && part.records.iter().all(|record| replay.record(record));
        if part.complete || part.records.is_empty() || !whole {
            break;
        }
    }
    if whole {
        replay.at_rest(mark.as_ref());
    }
    replay.payloads(whole);
    Ok(replay.seq)
}

/// A replay under way.
struct Replay<'a> {
    subject: &'a SubjectId,
    beside: &'a Beside<'a>,
    snapshot: Option<&'a Snapshot>,
    seq: u64,
    at: Millis,
    chain: ChainHash,
    entity: Option<Entity>,
    named: BTreeMap<PayloadHash, (u64, u64)>,
    findings: &'a mut Vec<Finding>,
}

impl Replay<'_> {
    fn find(&mut self, seq: Option<u64>, what: &'static str, detail: impl Into<String>) {
        let subject = self.subject.to_string();
        self.findings.push(Finding { subject, seq, what, detail: detail.into() });
    }

    /// Answers whether the stream can be read on.
    fn record(&mut self, record: &Record) -> bool {
        let first = self.seq + 1;
        let events = match records::events_of(record, self.seq, self.chain) {
            Ok(events) => events,
            Err(broken) => {
                let (what, detail) = match broken {
                    BrokenRecord::Gap => {
                        ("gap", format!("the next record begins at {}", record.first))
                    }
                    BrokenRecord::Count(count) => {
                        ("gap", format!("the record has {count} events and says {}", record.count))
                    }
                    BrokenRecord::Chain => {
                        ("chain", "the hash chain does not hold in the record from here".to_owned())
                    }
                };
                self.find(Some(first), what, detail);
                return false;
            }
        };
        if !events.into_iter().all(|(line, chain)| self.event(line, chain)) {
            return false;
        }
        if self.at != record.at {
            let detail = "the record has another time than its last event";
            self.find(Some(self.seq), "time", detail);
        }
        true
    }

    fn event(&mut self, line: &[u8], chain: ChainHash) -> bool {
        let seq = self.seq + 1;
        let event = match EntityEvent::decode(self.subject.kind, line) {
            Ok(event) => event,
            Err(error) => {
                self.find(Some(seq), "unreadable", error.to_string());
                return false;
            }
        };
        let refused = self.entity.as_ref().and_then(|entity| entity.refuses(&event));
        if let Some(reason) = refused {
            self.find(Some(seq), "replay", reason);
            return false;
        }
        match self.entity.as_mut() {
            Some(entity) => _ = entity.apply(&event),
            None => self.entity = Entity::create(&event),
        }
        let own = self.entity.as_ref().is_some_and(|entity| entity.subject() == *self.subject);
        if !own {
            self.find(Some(seq), "replay", "its first event is not the one of this subject");
            return false;
        }
        self.seq = seq;
        self.at = event.at();
        self.chain = chain;
        for StoredPayload { sha256, bytes } in event.stored_payloads() {
            self.named.entry(sha256.0).or_insert((seq, bytes));
        }
        self.compare_snapshot();
        self.compare_document();
        true
    }

    fn compare_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot.filter(|snapshot| snapshot.seq == self.seq) else {
            return;
        };
        // One of an earlier version is passed over by the engine too.
        let kept = Entity::decode_snapshot(self.subject.kind, &snapshot.body);
        let same = kept.is_none() || kept == self.entity;
        if !same || snapshot.hash != self.chain {
            self.find(Some(self.seq), "snapshot", "the kept state is not what replay gives");
        }
        for detail in kept.iter().flat_map(Entity::contradictions) {
            self.find(Some(self.seq), "counters", format!("in the kept state: {detail}"));
        }
    }

    fn compare_document(&mut self) {
        let Some(Some(shown)) = self.beside.shown else { return };
        if shown.seq != self.seq {
            return;
        }
        let entity = self.entity.as_ref();
        let replayed = entity.and_then(|entity| shown::document(self.subject, entity, self.seq));
        if replayed.as_ref() != Some(shown) {
            self.find(Some(self.seq), "view", "the view shows something else than replay gives");
        }
    }

    /// What must hold at the stream's head.
    fn at_rest(&mut self, mark: Option<&WakeUp>) {
        let Some(entity) = self.entity.take() else {
            return self.find(None, "gap", "the stream has no events");
        };
        for detail in entity.contradictions() {
            self.find(Some(self.seq), "counters", detail);
        }
        if entity.newest_incarnation() > u64::from(self.beside.incarnation) {
            let detail = "a lease of a later incarnation than the store's";
            self.find(Some(self.seq), "lease", detail);
        }
        if let Some(snapshot) = self.snapshot.filter(|snapshot| snapshot.seq > self.seq) {
            let detail = format!("the kept state shows event {}, which is missing", snapshot.seq);
            self.find(Some(self.seq), "snapshot", detail);
        }
        self.mark_in_time(&entity, mark);
        self.shown_in_time(&entity, mark);
    }

    /// A mark may be too early, never too late; only what is over may have none.
    fn mark_in_time(&mut self, entity: &Entity, mark: Option<&WakeUp>) {
        let is_removed = entity.removed_at().is_some();
        let due = entity.next_due().filter(|_| !is_removed).unwrap_or_else(|| entity.newest_at());
        match mark {
            None if entity.is_over() && !is_removed => {}
            None => self.find(Some(self.seq), "wake_up", "it is not over, and nothing wakes it"),
            Some(mark) if mark.due > due => {
                let detail = format!("it is woken at {}, and is due at {due}", mark.due);
                self.find(Some(self.seq), "wake_up", detail);
            }
            Some(_) => {}
        }
    }

    /// The view may be behind a living stream; before one is retired its last event is shown.
    fn shown_in_time(&mut self, entity: &Entity, mark: Option<&WakeUp>) {
        let Some(shown) = self.beside.shown else { return };
        match shown {
            Some(document) if document.seq > self.seq => {
                let detail = format!("the view shows event {}, which is missing", document.seq);
                self.find(Some(self.seq), "view", detail);
            }
            Some(document) if mark.is_none() && document.seq < self.seq => {
                let detail = format!("it is retired, and the view shows event {}", document.seq);
                self.find(Some(self.seq), "view", detail);
            }
            None if mark.is_none() && entity.deleted_at().is_none() => {
                self.find(Some(self.seq), "view", "it is retired, and the view does not show it");
            }
            Some(_) | None => {}
        }
    }

    fn payloads(&mut self, whole: bool) {
        let mut named = std::mem::take(&mut self.named);
        for kept in self.beside.payloads {
            let hash = Hash(kept.hash).hex();
            match named.remove(&kept.hash) {
                Some((seq, _)) if !kept.intact => {
                    self.find(Some(seq), "payload", format!("the bytes of {hash} are others"));
                }
                Some((seq, bytes)) if bytes != kept.bytes => {
                    let detail = format!("{hash} has {} bytes, its event says {bytes}", kept.bytes);
                    self.find(Some(seq), "payload", detail);
                }
                // Of a stream that could not be read to its end nobody knows what it names.
                None if whole => {
                    self.find(None, "payload", format!("no event names {hash}"));
                }
                Some(_) | None => {}
            }
        }
        for (hash, (seq, _)) in named {
            self.find(Some(seq), "payload", format!("{} is missing", Hash(hash).hex()));
        }
    }
}
