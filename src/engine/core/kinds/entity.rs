//! A subject of any kind behind one face: created, decided, applied, undone, encoded, shown.

use std::sync::Arc;

use domain::ids::{Millis, SubjectId, SubjectKind};
use domain::job::fact::JobFact;
use domain::payload::StoredPayload;
use domain::refusal::Refusal;
use domain::subject::answer::{Answer, FirstAnswer};
use domain::subject::context::Context;
use domain::subject::decision::Decision;
use domain::subject::envelope::{CommandMark, Envelope};

use super::table::{Command, Entity, EntityEvent, EntityUndo, InTable, Shown};
use super::{Counted, Growth, Kind};
use crate::engine::core::urgency::Urgency;
use crate::engine::json_text;
use crate::view::contract::Columns;

/// Raised whenever a state's stored form changes: older snapshots are then passed over.
const SNAPSHOT_VERSION: u8 = 6;

impl EntityEvent {
    /// Writes its canonical JSON, one line.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        each_kind!(EntityEvent, self, K, event => encode_event::<K>(event, out))
    }

    /// Reads what `encode_into` wrote.
    pub fn decode(kind: SubjectKind, line: &[u8]) -> Result<Self, serde_json::Error> {
        each_kind!(SubjectKind, kind, K => serde_json::from_slice(line).map(<K as InTable>::event))
    }

    /// Who caused it, when and why.
    pub fn envelope(&self) -> &Envelope {
        each_kind!(EntityEvent, self, K, event => <K as Kind>::envelope(event))
    }

    /// When it was decided.
    pub fn at(&self) -> Millis {
        self.envelope().at
    }

    /// Its payloads that are stored beside the stream.
    pub(in crate::engine) fn stored_payloads(&self) -> Vec<StoredPayload> {
        each_kind!(EntityEvent, self, K, event => <K as Kind>::stored_payloads(event))
    }
}

fn encode_event<K: Kind>(
    event: &<K as Kind>::Event,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    json_text::write(out, event)
}

impl Command {
    /// Whether it may make a subject that does not exist. It is tried without a look whether there is one: the append
    /// says so.
    pub(crate) fn makes_subject(&self) -> bool {
        each_kind!(Command, self, K, command => <K as Kind>::makes_subject(command))
    }

    /// Whether it may be decided twice, without an id, as if it had come once.
    pub(crate) fn is_idempotent(&self) -> bool {
        each_kind!(Command, self, K, command => <K as Kind>::is_idempotent(command))
    }

    pub(crate) fn urgency(&self) -> Urgency {
        each_kind!(Command, self, K, command => <K as Kind>::urgency(command))
    }

    /// Whether who asked is shown the subject with the answer.
    pub(crate) fn shows_subject(&self, answer: &Answer) -> bool {
        each_kind!(Command, self, K, command => <K as Kind>::shows_subject(command, answer))
    }

    /// Whether what it does may use the room that is kept for finishing what runs.
    pub(crate) fn may_use_reserve(&self) -> bool {
        each_kind!(Command, self, K, command => <K as Kind>::may_use_reserve(command))
    }

    /// What it would take up more of its namespace's room, done to this subject or to its absence.
    pub(crate) fn growth(&self, entity: Option<&Entity>) -> Option<Growth<'_>> {
        each_kind!(Command, self, K, command => {
            <K as Kind>::growth(entity.and_then(<K as InTable>::of_entity), command)
        })
    }

    /// What a subject of which only the tombstone is left answers to it; none: it is decided as on any absence.
    pub(crate) fn after_deletion(
        &self,
        first: &Arc<FirstAnswer>,
        mark: Option<&CommandMark>,
    ) -> Option<Result<Answer, Refusal>> {
        each_kind!(Command, self, K, command => <K as Kind>::after_deletion(first, command, mark))
    }
}

impl Entity {
    /// The state after a first event; none where that event cannot be one.
    pub fn create(event: &EntityEvent) -> Option<Self> {
        each_kind!(EntityEvent, event, K, event => {
            <K as Kind>::create(event).map(|state| <K as InTable>::entity(Box::new(state)))
        })
    }

    /// Applies a committed event. Answers whether it is of this kind.
    pub fn apply(&mut self, event: &EntityEvent) -> bool {
        each_kind!(Entity, self, K, state => {
            let event = <K as InTable>::of_event(event);
            event.map(|event| <K as Kind>::apply(state, event, &mut <K as Kind>::no_undo())).is_some()
        })
    }

    /// The state as a snapshot keeps it.
    pub fn encode_snapshot(&self) -> Option<Vec<u8>> {
        each_kind!(Entity, self, K, state => encode_state::<K>(state))
    }

    /// Reads what `encode_snapshot` wrote; none where it was another version: replay is always there.
    pub fn decode_snapshot(kind: SubjectKind, body: &[u8]) -> Option<Self> {
        let (version, entity) = each_kind!(SubjectKind, kind, K => {
            serde_json::from_slice(body).map(|(v, state): (u8, _)| (v, <K as InTable>::entity(state))).ok()?
        });
        (version == SNAPSHOT_VERSION).then_some(entity)
    }

    /// The stream it is the fold of.
    pub fn subject(&self) -> SubjectId {
        each_kind!(Entity, self, K, state => <K as Kind>::subject(state))
    }

    /// When its newest event was decided.
    pub(in crate::engine) fn newest_at(&self) -> Millis {
        each_kind!(Entity, self, K, state => <K as Kind>::newest_at(state))
    }

    /// Nothing of it is owed any more: it is retired once the view shows it.
    pub fn is_over(&self) -> bool {
        each_kind!(Entity, self, K, state => <K as Kind>::is_over(state))
    }

    /// When it is due next, `NEVER` when it waits for a person; none when it must be in memory.
    pub(in crate::engine) fn next_due(&self) -> Option<Millis> {
        each_kind!(Entity, self, K, state => <K as Kind>::next_due(state))
    }

    /// When it was deleted.
    pub(in crate::engine) fn deleted_at(&self) -> Option<Millis> {
        each_kind!(Entity, self, K, state => <K as Kind>::deleted_at(state))
    }

    /// When it was deleted, where that takes its stream away.
    pub(in crate::engine) fn removed_at(&self) -> Option<Millis> {
        each_kind!(Entity, self, K, state => <K as Kind>::deleted_at(state).filter(|_| <K as Kind>::STREAM_GOES))
    }

    /// As what it counts for its namespace.
    pub(crate) fn counted(&self) -> Option<Counted> {
        each_kind!(Entity, self, K, state => <K as Kind>::counted(state))
    }

    /// As shown to people.
    pub fn shown(&self) -> Shown {
        each_kind!(Entity, self, K, state => <K as InTable>::shows(<K as Kind>::shown(state)))
    }

    /// What lists find it by, and the JSON that they answer with, while it is not deleted.
    pub(crate) fn listed(&self) -> Option<(Columns, String)> {
        each_kind!(Entity, self, K, state => <K as Kind>::listed(state))
    }

    /// Whether the view shows it.
    pub(crate) fn is_listed(&self) -> bool {
        each_kind!(Entity, self, K, _state => <K as Kind>::IS_LISTED)
    }

    /// Why an event cannot follow, where it cannot.
    pub(in crate::engine) fn refuses(&self, event: &EntityEvent) -> Option<String> {
        each_kind!(Entity, self, K, state => match <K as InTable>::of_event(event) {
            Some(event) => <K as Kind>::refuses(state, event),
            None => Some("it is of another kind than the stream".to_owned()),
        })
    }

    /// What in the state contradicts itself.
    pub(in crate::engine) fn contradictions(&self) -> Vec<String> {
        each_kind!(Entity, self, K, state => <K as Kind>::contradictions(state))
    }

    /// The newest incarnation of the store that it has leases of; 0: it has none.
    pub(in crate::engine) fn newest_incarnation(&self) -> u64 {
        each_kind!(Entity, self, K, state => <K as Kind>::newest_incarnation(state))
    }
}

fn encode_state<K: Kind>(state: &K) -> Option<Vec<u8>> {
    serde_json::to_vec(&(SNAPSHOT_VERSION, state)).ok()
}

/// An empty undo for a subject, to be filled by `apply_undoable`.
pub(crate) fn undo_for(entity: Option<&Entity>) -> EntityUndo {
    let Some(entity) = entity else { return EntityUndo::Absent };
    each_kind!(Entity, entity, K, _state => <K as InTable>::empty_undo())
}

/// Applies an event that is not durable yet.
pub(crate) fn apply_undoable(
    entity: &mut Option<Entity>,
    event: &EntityEvent,
    undo: &mut EntityUndo,
) {
    let Some(there) = entity else {
        *entity = Entity::create(event);
        return;
    };
    each_kind!(Entity, there, K, state => match (<K as InTable>::of_event(event), <K as InTable>::of_undo(undo)) {
        (Some(event), Some(undo)) => <K as Kind>::apply(state, event, undo),
        // It came into being in the same round: taking that back takes everything back.
        (Some(event), None) => <K as Kind>::apply(state, event, &mut <K as Kind>::no_undo()),
        (None, _) => debug_assert!(false, "an event of another kind"),
    });
}

/// Takes a subject back to its committed state.
pub(crate) fn undo(entity: &mut Option<Entity>, undo: EntityUndo) {
    if matches!(undo, EntityUndo::Absent) {
        *entity = None;
        return;
    }
    let undone = entity.as_mut().and_then(|there| {
        each_kind!(Entity, there, K, state => <K as InTable>::from_undo(undo).map(|undo| <K as Kind>::undo(state, undo)))
    });
    debug_assert!(undone.is_some(), "an undo of another kind");
}

/// Decides a command on a subject, or on its absence.
pub(crate) fn decide(
    kind: SubjectKind,
    entity: Option<&Entity>,
    command: &Command,
    context: &Context,
) -> Result<Decision<EntityEvent>, Refusal> {
    each_kind!(Command, command, K, command => {
        if kind != <K as InTable>::KIND {
            return Err(Refusal::JobNotFound);
        }
        let decision = <K as Kind>::decide(entity.and_then(<K as InTable>::of_entity), command, context)?;
        Ok(Decision {
            event: decision.event.map(|event| <K as InTable>::event(Box::new(event))),
            payloads: decision.payloads,
            answer: decision.answer,
        })
    })
}

/// The nodes that events are about, ascending.
pub(crate) fn touched(events: &[EntityEvent]) -> Vec<u32> {
    let changes = events.iter().filter_map(EntityEvent::job).flat_map(|event| &event.nodes);
    let mut nodes: Vec<u32> = changes.flat_map(|change| change.at.iter()).collect();
    // A group whose end is decided has a time, and stands where it stood.
    let flows = events.iter().filter_map(EntityEvent::job).filter_map(|event| event.flow.as_ref());
    nodes.extend(flows.flat_map(|flow| flow.ending.iter().map(|(group, _)| *group)));
    let facts = events.iter().filter_map(EntityEvent::job).map(|event| &event.fact);
    nodes.extend(facts.filter_map(JobFact::repair).map(|repair| repair.node));
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
