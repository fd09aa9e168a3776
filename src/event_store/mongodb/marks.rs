//! Wake-ups and append notices: small documents changed in bulk, a thousand in a statement where they change alike.
//! Always holds: a mark moves only from the expected number; whose move it was is told by who signed it, so that a
//! lost answer or a rival changes nothing about the answer.
//! Absent: marks of streams that do not exist (an append makes them).

use std::collections::{BTreeMap, BTreeSet};

use bson::oid::ObjectId;
use bson::{Bson, doc, rawdoc};
use domain::ids::{GroupId, Millis, SubjectId};

use super::failure::of_call;
use super::records::{BY_ID, EVENTS};
use super::store::MongoEventStore;
use crate::environment::mongodb::{
    BULK_STATEMENTS_MAX, BulkStatement, CollectionQuery, DocumentFields, SubjectKey, to_date,
    to_stored,
};
use crate::event_store::contract::{AppendNotice, StoreResult, WakeUpMove};

/// The collection of append notices.
pub(super) const NOTICES: &str = "append_notices";
/// The index of a group's append notices.
const NOTICES_BY_GROUP: &str = "by_group";

/// Moves that change their marks alike: the expected number and the new due time.
type Alike = (u64, Option<Millis>);

impl MongoEventStore {
    pub(super) async fn move_all(&self, moves: Vec<WakeUpMove>) -> StoreResult<Vec<bool>> {
        let mut moved = vec![false; moves.len()];
        let mut waiting: Vec<usize> = (0..moves.len()).collect();
        // A subject that is named twice is moved twice, one after the other.
        while !waiting.is_empty() {
            let mut seen = BTreeSet::new();
            let (now, later): (Vec<usize>, Vec<usize>) = waiting
                .into_iter()
                .partition(|ix| moves.get(*ix).is_some_and(|wanted| seen.insert(&wanted.subject)));
            for (ix, done) in self.move_once(&moves, &now).await? {
                if let Some(there) = moved.get_mut(ix) {
                    *there = done;
                }
            }
            waiting = later;
        }
        Ok(moved)
    }

    async fn move_once(
        &self,
        moves: &[WakeUpMove],
        which: &[usize],
    ) -> StoreResult<Vec<(usize, bool)>> {
        let mut alike: BTreeMap<Alike, Vec<&SubjectId>> = BTreeMap::new();
        let wanted = || which.iter().filter_map(|ix| moves.get(*ix).map(|wanted| (*ix, wanted)));
        for (_, wanted) in wanted() {
            alike.entry((wanted.expected, wanted.due)).or_default().push(&wanted.subject);
        }
        let mover = ObjectId::new();
        let statements: Vec<BulkStatement> = alike
            .iter()
            .flat_map(|(change, subjects)| {
                subjects
                    .chunks(BULK_STATEMENTS_MAX)
                    .map(move |part| move_statement(*change, part, mover))
            })
            .collect();
        let answers = self.connection.bulk("moves of marks", EVENTS, &statements).await;
        let matched: u64 = answers.map_err(of_call)?.iter().map(|(_, answer)| answer.matched).sum();
        if usize::try_from(matched) == Ok(which.len()) {
            return Ok(which.iter().map(|ix| (*ix, true)).collect());
        }
        let ids: Vec<Bson> = wanted()
            .map(|(_, wanted)| Bson::Document(SubjectKey(&wanted.subject).record(0)))
            .collect();
        let query = CollectionQuery {
            filter: doc! { "_id": { "$in": ids } },
            index: BY_ID,
            fields: doc! { "mover": 1 },
            ..CollectionQuery::default()
        };
        let mut ours = BTreeSet::new();
        for document in self.documents("who moved marks", &self.events, query).await? {
            let fields = DocumentFields(&document);
            let signed =
                fields.find("mover").ok().flatten().and_then(bson::RawBsonRef::as_object_id);
            if signed == Some(mover)
                && let Ok(subject) = fields.inner("_id").and_then(DocumentFields::subject)
            {
                ours.insert(subject);
            }
        }
        Ok(wanted().map(|(ix, wanted)| (ix, ours.contains(&wanted.subject))).collect())
    }

    pub(super) async fn write_notices(&self, notices: Vec<AppendNotice>) -> StoreResult<()> {
        let statements: Vec<BulkStatement> = notices
            .iter()
            .map(|notice| BulkStatement::Update {
                filter: rawdoc! { "_id": SubjectKey(&notice.subject).raw() },
                change: rawdoc! {
                    "$max": { "seq": to_stored(notice.seq) },
                    "$setOnInsert": { "group": i32::from(notice.subject.group().index()) },
                },
                many: false,
                upsert: true,
            })
            .collect();
        let answers =
            self.connection.bulk("append_notices", NOTICES, &statements).await.map_err(of_call)?;
        // Two engines may make the same append notice at once: the second time it is there.
        let again: Vec<BulkStatement> = answers
            .iter()
            .flat_map(|(at, answer)| answer.duplicates.iter().map(move |ix| at + ix))
            .filter_map(|ix| statements.get(ix).cloned())
            .collect();
        self.connection.bulk("append_notices", NOTICES, &again).await.map(drop).map_err(of_call)
    }

    pub(super) async fn notices_of(&self, group: GroupId) -> StoreResult<Vec<AppendNotice>> {
        let query = CollectionQuery {
            filter: doc! { "group": i32::from(group.index()) },
            sort: doc! { "_id": 1 },
            index: NOTICES_BY_GROUP,
            ..CollectionQuery::default()
        };
        let (mut notices, mut unreadable) = (Vec::new(), Vec::new());
        for document in self.documents("append_notices", &self.notices, query).await? {
            let fields = DocumentFields(&document);
            let subject = fields.inner("_id").and_then(DocumentFields::subject);
            match subject
                .and_then(|subject| Ok(AppendNotice { subject, seq: fields.number("seq")? }))
            {
                Ok(notice) => notices.push(notice),
                Err(reason) => unreadable.push((Bson::Null, reason)),
            }
        }
        self.set_aside(unreadable).await;
        Ok(notices)
    }

    pub(super) async fn remove_notices(&self, notices: Vec<AppendNotice>) -> StoreResult<()> {
        let statements: Vec<BulkStatement> = notices
            .iter()
            .map(|notice| {
                BulkStatement::Delete(rawdoc! {
                    "_id": SubjectKey(&notice.subject).raw(),
                    "seq": { "$lte": to_stored(notice.seq) },
                })
            })
            .collect();
        let done = self.connection.bulk("the end of append notices", NOTICES, &statements).await;
        done.map(drop).map_err(of_call)
    }
}

fn move_statement(
    (expected, due): Alike,
    subjects: &[&SubjectId],
    mover: ObjectId,
) -> BulkStatement {
    let ids: bson::raw::RawArrayBuf =
        subjects.iter().map(|subject| SubjectKey(subject).raw_record(0)).collect();
    let filter = rawdoc! { "_id": { "$in": ids }, "number": to_stored(expected) };
    let change = if let Some(due) = due {
        rawdoc! { "$set": { "due": to_date(due), "number": to_stored(expected + 1), "mover": mover } }
    } else {
        rawdoc! { "$set": { "number": 0_i64, "mover": mover }, "$unset": { "due": "" } }
    };
    BulkStatement::Update { filter, change, many: true, upsert: false }
}
