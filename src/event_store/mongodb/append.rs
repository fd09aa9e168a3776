//! An append: what may be tried, one unordered insertMany, and what became of each item.
//! Always holds: a record goes in only behind the one before it (known from this engine's own appends and reads, or
//! looked up); a seq goes to whoever inserts its document; a duplicate is settled by what a majority has there, and
//! when that shows nothing the outcome is unknown. A mark is in before its stream's first record.
//! Absent: update statements, but for a mark that an earlier try left too late.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, doc, rawdoc};
use domain::ids::{Millis, SubjectId};
use futures_util::future::try_join_all;

use super::failure::{damaged, of_call};
use super::records::{
    BY_ID, EVENTS, count_of, first_of, is_gone, mark_document, nonce_of, range, record_document,
};
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    BulkStatement, CollectionQuery, DOCUMENT_BYTES_MAX, DUPLICATE_KEY, DocumentFields, Inserted,
    SubjectKey, to_date,
};
use crate::event_store::contract::{AppendItem, Appended, StoreResult};

/// What one try says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemVerdict {
    Is(Appended),
    /// Only a tombstone stands in the way, and its time is over.
    TombstoneOver,
}

/// Where an item's documents stand in the insertMany.
#[derive(Debug, Clone, Copy)]
struct DocumentSpan {
    item: usize,
    mark: Option<usize>,
    record: usize,
}

impl MongoEventStore {
    pub(super) async fn append_batch(&self, batch: Vec<AppendItem>) -> StoreResult<Vec<Appended>> {
        let mut verdicts = self.try_append(&batch).await?;
        let over: Vec<usize> = (0..batch.len())
            .filter(|item| verdicts.get(*item) == Some(&ItemVerdict::TombstoneOver))
            .collect();
        if !over.is_empty() {
            let again: Vec<AppendItem> =
                over.iter().filter_map(|item| batch.get(*item)).cloned().collect();
            for item in &again {
                self.purge(&item.subject).await?;
            }
            for (item, verdict) in over.into_iter().zip(self.try_append(&again).await?) {
                if let Some(there) = verdicts.get_mut(item) {
                    *there = verdict;
                }
            }
        }
        let answers: Vec<Appended> = verdicts
            .into_iter()
            .map(|verdict| match verdict {
                ItemVerdict::Is(appended) => appended,
                // Somebody else's deletion came between: the caller reads and sees it.
                ItemVerdict::TombstoneOver => Appended::Conflict,
            })
            .collect();
        self.take_note(&batch, &answers).await;
        Ok(answers)
    }

    async fn try_append(&self, items: &[AppendItem]) -> StoreResult<Vec<ItemVerdict>> {
        let mut verdicts = self.predecessors(items).await?;
        let tried: Vec<(usize, &AppendItem)> = items
            .iter()
            .enumerate()
            .filter(|(item, _)| verdicts.get(*item) == Some(&None))
            .collect();
        let (mut documents, mut places) = (Vec::new(), Vec::new());
        for (item, wanted) in &tried {
            let record = record_document(&wanted.subject, &wanted.record);
            if record.as_bytes().len() > DOCUMENT_BYTES_MAX {
                tracing::error!(
                    subject = %wanted.subject,
                    bytes = record.as_bytes().len(),
                    bytes_max = DOCUMENT_BYTES_MAX,
                    "a record is larger than a document of MongoDB may be, and was not sent"
                );
                if let Some(verdict) = verdicts.get_mut(*item) {
                    *verdict = Some(ItemVerdict::Is(Appended::Full));
                }
                continue;
            }
            let mark = (wanted.record.first == 1).then(|| {
                documents.push(mark_document(&wanted.subject, wanted.wake));
                documents.len() - 1
            });
            documents.push(record);
            places.push(DocumentSpan { item: *item, mark, record: documents.len() - 1 });
        }
        if !places.is_empty() {
            self.insert_payloads(places.iter().filter_map(|place| items.get(place.item))).await?;
            let inserted = self.connection.insert("an append", EVENTS, &documents).await;
            let inserted = inserted.map_err(of_call)?;
            for (item, verdict) in self.judge(items, &places, &inserted).await? {
                if let Some(there) = verdicts.get_mut(item) {
                    *there = Some(verdict);
                }
            }
        }
        let unknown = ItemVerdict::Is(Appended::Unknown);
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(unknown)).collect())
    }

    /// For each item whether what is before its record decides it: `None` when it is to be tried.
    async fn predecessors(&self, items: &[AppendItem]) -> StoreResult<Vec<Option<ItemVerdict>>> {
        let now = self.now();
        try_join_all(items.iter().map(|item| async move {
            let before = item.record.first.saturating_sub(1);
            if before == 0 || self.heads.get(&item.subject, now) == Some(before) {
                return Ok(None);
            }
            self.predecessor(item).await
        }))
        .await
    }

    async fn predecessor(&self, item: &AppendItem) -> StoreResult<Option<ItemVerdict>> {
        let first = item.record.first;
        let query = CollectionQuery {
            filter: doc! { "_id": range(&item.subject, 1, first.saturating_add(1)) },
            sort: doc! { "_id": -1 },
            index: BY_ID,
            fields: doc! { "count": 1, "nonce": 1, "gone": 1 },
            limit: 1,
            ..CollectionQuery::default()
        };
        let found = self.documents("the record before an append", &self.events, query).await?;
        let conflict = Ok(Some(ItemVerdict::Is(Appended::Conflict)));
        let Some(found) = found.first() else { return conflict };
        let read = || {
            let fields = DocumentFields(found);
            if is_gone(fields)? {
                return Ok(Some(ItemVerdict::Is(Appended::Conflict)));
            }
            let there = first_of(fields)?;
            if there == first {
                let same = nonce_of(fields)? == item.record.nonce;
                let is = if same { Appended::Committed } else { Appended::Conflict };
                return Ok(Some(ItemVerdict::Is(is)));
            }
            let follows = there + u64::from(count_of(fields)?) == first;
            Ok((!follows).then_some(ItemVerdict::Is(Appended::Conflict)))
        };
        read().map_err(|reason| damaged(&item.subject, &reason))
    }

    async fn judge(
        &self,
        items: &[AppendItem],
        places: &[DocumentSpan],
        inserted: &Inserted,
    ) -> StoreResult<Vec<(usize, ItemVerdict)>> {
        let (mut verdicts, mut taken, mut late_marks) = (Vec::new(), Vec::new(), Vec::new());
        for place in places {
            let Some(item) = items.get(place.item) else { continue };
            let mark = place.mark.and_then(|mark| inserted.failed.get(&mark));
            if mark == Some(&DUPLICATE_KEY) {
                late_marks.push(place.item);
            }
            let verdict = match inserted.failed.get(&place.record) {
                Some(&DUPLICATE_KEY) => {
                    taken.push(place.item);
                    continue;
                }
                Some(code) => {
                    tracing::error!(subject = %item.subject, code, "MongoDB refuses a record");
                    Appended::Conflict
                }
                // Without its mark nobody would look for the stream: to be written again.
                None if mark.is_some_and(|code| *code != DUPLICATE_KEY) => Appended::Unknown,
                None if inserted.unconfirmed => Appended::Unknown,
                None => Appended::Committed,
            };
            verdicts.push((place.item, ItemVerdict::Is(verdict)));
        }
        verdicts.extend(self.settle(items, &taken).await?);
        let committed: BTreeSet<usize> = verdicts
            .iter()
            .filter(|(_, verdict)| *verdict == ItemVerdict::Is(Appended::Committed))
            .map(|(item, _)| *item)
            .collect();
        let late = late_marks.into_iter().filter(|item| committed.contains(item));
        self.hurry_marks(late.filter_map(|item| items.get(item))).await?;
        Ok(verdicts)
    }

    /// What a majority has where a document stood already.
    async fn settle(
        &self,
        items: &[AppendItem],
        taken: &[usize],
    ) -> StoreResult<Vec<(usize, ItemVerdict)>> {
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let asked = taken.iter().filter_map(|item| items.get(*item));
        let ids: Vec<Bson> = asked
            .map(|item| Bson::Document(SubjectKey(&item.subject).record(item.record.first)))
            .collect();
        let query = CollectionQuery {
            filter: doc! { "_id": { "$in": ids } },
            index: BY_ID,
            fields: doc! { "nonce": 1, "gone": 1, "keep_until": 1 },
            ..CollectionQuery::default()
        };
        let found = self.documents("who wrote a record", &self.events, query).await?;
        let mut there: BTreeMap<(SubjectId, u64), FoundRecord> = BTreeMap::new();
        for document in &found {
            let fields = DocumentFields(document);
            // What cannot be read is somebody's record all the same; reading it will tell.
            let Ok(id) = fields.inner("_id").and_then(|id| Ok((id.subject()?, id.number("q")?)))
            else {
                continue;
            };
            there.insert(id, FoundRecord::of(fields));
        }
        let verdict = |item: &AppendItem| {
            let key = (item.subject.clone(), item.record.first);
            match there.get(&key) {
                // Not in a majority (yet, or any more).
                None => ItemVerdict::Is(Appended::Unknown),
                Some(FoundRecord::Record(nonce)) if *nonce == Some(item.record.nonce) => {
                    ItemVerdict::Is(Appended::Committed)
                }
                Some(FoundRecord::Gone { keep_until: Some(until) })
                    if item.record.first == 1 && *until <= self.newest(item.record.at) =>
                {
                    ItemVerdict::TombstoneOver
                }
                Some(FoundRecord::Record(_) | FoundRecord::Gone { .. }) => {
                    ItemVerdict::Is(Appended::Conflict)
                }
            }
        };
        Ok(taken
            .iter()
            .filter_map(|item| items.get(*item).map(|wanted| (*item, verdict(wanted))))
            .collect())
    }

    /// A mark that was there before the stream's first record is left of an earlier try, and may be later than what
    /// this one asks for. One that a driver has moved since has another number and is left alone.
    async fn hurry_marks(&self, items: impl Iterator<Item = &AppendItem>) -> StoreResult<()> {
        let statements: Vec<BulkStatement> = items
            .filter_map(|item| {
                let due = to_date(item.wake?);
                let id = SubjectKey(&item.subject).raw_record(0);
                Some(BulkStatement::Update {
                    filter: rawdoc! { "_id": id, "number": 1_i64, "due": { "$gt": due } },
                    change: rawdoc! { "$set": { "due": due } },
                    many: false,
                    upsert: false,
                })
            })
            .collect();
        let moved = self.connection.bulk("an earlier mark", EVENTS, &statements).await;
        moved.map(drop).map_err(of_call)
    }

    async fn take_note(&self, batch: &[AppendItem], answers: &[Appended]) {
        let now = self.now();
        let mut refused = Vec::new();
        for (item, appended) in batch.iter().zip(answers) {
            let record = &item.record;
            match appended {
                Appended::Committed => {
                    let head = record.first + u64::from(record.count) - 1;
                    // Of a record that was there before, others may have followed; that costs a look, no more.
                    self.heads.set(&item.subject, head, now);
                    self.saw(record.at);
                }
                Appended::Conflict => {
                    self.heads.forget(&item.subject);
                    refused.push(item);
                }
                Appended::Full => refused.push(item),
                Appended::Unknown => self.heads.forget(&item.subject),
            }
        }
        self.remove_payloads(refused.into_iter()).await;
        self.keep_newest();
    }
}

/// What stands where a record was to go.
#[derive(Debug)]
enum FoundRecord {
    Record(Option<u128>),
    Gone { keep_until: Option<Millis> },
}

impl FoundRecord {
    fn of(fields: DocumentFields<'_>) -> Self {
        if is_gone(fields).unwrap_or(true) {
            Self::Gone { keep_until: fields.millis("keep_until").ok() }
        } else {
            Self::Record(nonce_of(fields).ok())
        }
    }
}
