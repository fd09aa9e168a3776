//! What the core knows of a catalog. Nothing happens to one by itself and no list shows it, so it leaves memory between
//! commands; what jobs need of it is read from its stream (`engine::catalogs`).

use domain::catalog::command::CatalogCommand;
use domain::catalog::decide;
use domain::catalog::event::CatalogEvent;
use domain::catalog::state::CatalogState;
use domain::catalog::undo::CatalogUndo;
use domain::ids::{Millis, PolicyId, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use domain::subject::decision::Decision;
use domain::subject::envelope::Envelope;

use super::{Growth, Kind, NEVER};
use crate::engine::core::urgency::Urgency;
use crate::view::contract::Columns;

impl Kind for CatalogState {
    type Event = CatalogEvent;
    type Command = CatalogCommand;
    type Undo = CatalogUndo;
    type Shown = Self;

    fn decide(
        state: Option<&Self>,
        command: &CatalogCommand,
        context: &Context,
    ) -> Result<Decision<CatalogEvent>, Refusal> {
        decide::decide(state, command, context)
    }

    fn create(event: &CatalogEvent) -> Option<Self> {
        CatalogState::create(event)
    }

    fn apply(&mut self, event: &CatalogEvent, undo: &mut CatalogUndo) {
        CatalogState::apply(self, event, undo);
    }

    fn undo(&mut self, undo: CatalogUndo) {
        CatalogState::undo(self, undo);
    }

    fn no_undo() -> CatalogUndo {
        CatalogUndo::none()
    }

    fn envelope(event: &CatalogEvent) -> &Envelope {
        &event.by
    }

    /// Mostly it exists: it is read first.
    fn makes_subject(_command: &CatalogCommand) -> bool {
        false
    }

    fn is_idempotent(_command: &CatalogCommand) -> bool {
        false
    }

    fn urgency(_command: &CatalogCommand) -> Urgency {
        Urgency::Cancel
    }

    fn shows_subject(_command: &CatalogCommand, _answer: &Answer) -> bool {
        true
    }

    fn may_use_reserve(command: &CatalogCommand) -> bool {
        match command {
            CatalogCommand::CreatePolicy { .. } | CatalogCommand::ReplacePolicy { .. } => false,
            // What holds work back must be possible when there is no room.
            CatalogCommand::DeletePolicy { .. }
            | CatalogCommand::Pause { .. }
            | CatalogCommand::Resume { .. } => true,
        }
    }

    /// The first thing that a namespace keeps makes it one more.
    fn growth<'a>(state: Option<&Self>, command: &'a CatalogCommand) -> Option<Growth<'a>> {
        let makes = match command {
            CatalogCommand::CreatePolicy { .. } | CatalogCommand::Pause { .. } => true,
            CatalogCommand::ReplacePolicy { .. }
            | CatalogCommand::DeletePolicy { .. }
            | CatalogCommand::Resume { .. } => false,
        };
        (makes && state.is_none()).then_some(Growth::Catalog)
    }

    fn subject(&self) -> SubjectId {
        CatalogState::subject(self)
    }

    fn newest_at(&self) -> Millis {
        self.newest_at
    }

    fn is_over(&self) -> bool {
        false
    }

    fn next_due(&self) -> Option<Millis> {
        Some(NEVER)
    }

    fn deleted_at(&self) -> Option<Millis> {
        None
    }

    const STREAM_GOES: bool = false;

    const IS_LISTED: bool = false;

    fn shown(&self) -> Self {
        self.clone()
    }

    fn listed(&self) -> Option<(Columns, String)> {
        None
    }

    fn refuses(&self, event: &CatalogEvent) -> Option<String> {
        let is_older = event.by.at < self.newest_at;
        is_older.then(|| "it is older than the event before it".to_owned())
    }

    fn contradictions(&self) -> Vec<String> {
        let wrong = self.policies.iter().filter(|(name, policy)| {
            let id = PolicyId::of_name(&self.namespace, name);
            **name != policy.name || id != policy.id || policy.version > self.seq
        });
        wrong
            .map(|(name, _)| format!("the policy {name} has another name, id or version"))
            .collect()
    }
}
