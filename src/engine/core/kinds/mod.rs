//! The kinds of subjects, as the core sees them: what each must say of itself (`Kind`), the one table that lists them
//! (`table`), and a subject of any kind behind one face (`entity`). A kind is a file here and a row of the table.
//! Always holds: nothing outside this folder asks which kinds there are. What only one of them has is asked for by its
//! name (`Entity::job`), and is none for every other.
//! Absent: the rules, which are the kind's own folder in the domain, and the core itself.

#[macro_use]
mod table;

mod catalog;
mod entity;
mod environment;
mod job;
#[cfg(feature = "proof")]
mod tally;

use std::fmt::Debug;
use std::sync::Arc;

use domain::ids::{Millis, QueueName, SubjectId};
use domain::job::plan::CheckedSpec;
use domain::job::status::JobStatus;
use domain::payload::StoredPayload;
use domain::refusal::Refusal;
use domain::subject::answer::{Answer, FirstAnswer};
use domain::subject::context::Context;
use domain::subject::decision::Decision;
use domain::subject::envelope::{CommandMark, Envelope};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::entity::{apply_undoable, decide, touched, undo, undo_for};
pub use self::table::{Command, Entity, EntityEvent, EntityUndo, InTable, Shown};
use crate::engine::core::urgency::Urgency;
use crate::engine::json_text;
use crate::view::contract::Columns;

/// A wake-up for what only a person wakes.
pub(in crate::engine) const NEVER: Millis = Millis::MAX;

/// Most documents are shorter.
const DOCUMENT_BYTES_USUAL: usize = 1_536;

/// A kind of subject, implemented by its state: what the rules decide, and what the engine must know of it to keep it in
/// memory, to show it and to prove its stream. What has a body here is so for a kind that has no need of it.
pub trait Kind: Debug + Clone + PartialEq + Serialize + DeserializeOwned {
    type Event: Debug + Clone + Serialize + DeserializeOwned;
    type Command: Debug + Clone + Serialize + DeserializeOwned;
    /// What a state was before some events.
    type Undo: Debug + Default;
    /// What of a state travels to who asks for it.
    type Shown: Debug + Clone + Serialize + DeserializeOwned;

    /// Decides a command on a subject, or on its absence.
    fn decide(
        state: Option<&Self>,
        command: &Self::Command,
        context: &Context,
    ) -> Result<Decision<Self::Event>, Refusal>;

    /// The state after a first event; none where that event cannot be one.
    fn create(event: &Self::Event) -> Option<Self>;

    /// Applies an event, and notes in `undo` what it changes.
    fn apply(&mut self, event: &Self::Event, undo: &mut Self::Undo);

    /// Takes the state back to what it was when `undo` was empty.
    fn undo(&mut self, undo: Self::Undo);

    /// For events that are never taken back.
    fn no_undo() -> Self::Undo;

    /// Who caused an event, when and why.
    fn envelope(event: &Self::Event) -> &Envelope;

    /// Whether a command may make a subject that does not exist.
    fn makes_subject(command: &Self::Command) -> bool;

    /// Whether a command may be decided twice, without an id, as if it had come once.
    fn is_idempotent(command: &Self::Command) -> bool;

    /// How urgent a command is.
    fn urgency(command: &Self::Command) -> Urgency;

    /// Whether who asked is shown the subject with the answer.
    fn shows_subject(command: &Self::Command, answer: &Answer) -> bool;

    /// Whether what a command does may use the room that is kept for finishing what runs: not where it makes work.
    fn may_use_reserve(command: &Self::Command) -> bool;

    /// What a command would take up more of its namespace's room.
    fn growth<'a>(_state: Option<&Self>, _command: &'a Self::Command) -> Option<Growth<'a>> {
        None
    }

    /// What a subject of which only the tombstone is left answers; none: the command is decided as on any absence.
    fn after_deletion(
        _first: &Arc<FirstAnswer>,
        _command: &Self::Command,
        _mark: Option<&CommandMark>,
    ) -> Option<Result<Answer, Refusal>> {
        None
    }

    /// The stream it is the fold of.
    fn subject(&self) -> SubjectId;

    /// When its newest event was decided.
    fn newest_at(&self) -> Millis;

    /// Nothing of it is owed any more: it is retired once the view shows it.
    fn is_over(&self) -> bool;

    /// When it is due next, `NEVER` when it waits for a person; none when it must be in memory.
    fn next_due(&self) -> Option<Millis>;

    /// When it was deleted.
    fn deleted_at(&self) -> Option<Millis>;

    /// A deletion takes its stream away and leaves a tombstone. Where it does not, what was deleted may come back.
    const STREAM_GOES: bool;

    /// The view shows it. What it does not, people reach by its own routes alone.
    const IS_LISTED: bool = true;

    /// As what it counts for its namespace.
    fn counted(&self) -> Option<Counted> {
        None
    }

    /// As shown to people.
    fn shown(&self) -> Self::Shown;

    /// What lists find it by, and the JSON that they answer with, while it is not deleted.
    fn listed(&self) -> Option<(Columns, String)>;

    /// Why an event cannot follow, where it cannot.
    fn refuses(&self, event: &Self::Event) -> Option<String>;

    /// What in the state contradicts itself.
    fn contradictions(&self) -> Vec<String>;

    /// Payloads of an event that are stored beside the stream.
    fn stored_payloads(_event: &Self::Event) -> Vec<StoredPayload> {
        Vec::new()
    }

    /// The newest incarnation of the store that it has leases of; 0: it has none.
    fn newest_incarnation(&self) -> u64 {
        0
    }
}

/// As what a subject counts for its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    LiveJob(JobStatus),
    Environment,
}

/// What a command would take up more of its namespace's room.
#[derive(Debug, Clone, Copy)]
pub enum Growth<'a> {
    /// One more live job, with these queues.
    LiveJob(&'a CheckedSpec),
    /// One more environment.
    Environment,
    /// A catalog, of which a namespace has one.
    Catalog,
    /// Perhaps one more queue.
    Queue(&'a QueueName),
}

/// The body of a document: one allocation for most of them instead of a few that grow.
fn body(shown: &impl Serialize) -> Option<String> {
    let mut text = Vec::with_capacity(DOCUMENT_BYTES_USUAL);
    json_text::write(&mut text, shown).ok()?;
    String::from_utf8(text).ok()
}
