//! What the core knows of an environment.

use domain::environment::command::EnvironmentCommand;
use domain::environment::decide::{self, EnvironmentDecision};
use domain::environment::event::EnvironmentEvent;
use domain::environment::state::EnvironmentState;
use domain::environment::undo::EnvironmentUndo;
use domain::ids::{Millis, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use domain::subject::envelope::Envelope;

use super::{Counted, Growth, Kind, body};
use crate::engine::core::urgency::Urgency;
use crate::view::contract::Columns;
use crate::view::resources::environment::EnvironmentResource;

impl Kind for EnvironmentState {
    type Event = EnvironmentEvent;
    type Command = EnvironmentCommand;
    type Undo = EnvironmentUndo;
    type Shown = Self;

    fn decide(
        state: Option<&Self>,
        command: &EnvironmentCommand,
        context: &Context,
    ) -> Result<EnvironmentDecision, Refusal> {
        decide::decide(state, command, context)
    }

    fn create(event: &EnvironmentEvent) -> Option<Self> {
        EnvironmentState::create(event)
    }

    fn apply(&mut self, event: &EnvironmentEvent, undo: &mut EnvironmentUndo) {
        EnvironmentState::apply(self, event, undo);
    }

    fn undo(&mut self, undo: EnvironmentUndo) {
        EnvironmentState::undo(self, undo);
    }

    fn no_undo() -> EnvironmentUndo {
        EnvironmentUndo::none()
    }

    fn envelope(event: &EnvironmentEvent) -> &Envelope {
        &event.by
    }

    fn makes_subject(command: &EnvironmentCommand) -> bool {
        command.makes_subject()
    }

    fn is_idempotent(command: &EnvironmentCommand) -> bool {
        command.is_idempotent()
    }

    fn urgency(_command: &EnvironmentCommand) -> Urgency {
        Urgency::Cancel
    }

    fn shows_subject(_command: &EnvironmentCommand, _answer: &Answer) -> bool {
        true
    }

    fn may_use_reserve(_command: &EnvironmentCommand) -> bool {
        true
    }

    fn growth<'a>(state: Option<&Self>, command: &'a EnvironmentCommand) -> Option<Growth<'a>> {
        let is_new = command.makes_subject() && state.is_none_or(|state| state.deleted);
        is_new.then_some(Growth::Environment)
    }

    fn subject(&self) -> SubjectId {
        EnvironmentState::subject(self)
    }

    fn newest_at(&self) -> Millis {
        self.newest_at
    }

    fn is_over(&self) -> bool {
        self.deleted && self.grants.is_empty()
    }

    /// A living environment stays in memory: whoever asks it must not wait for a load.
    fn next_due(&self) -> Option<Millis> {
        None
    }

    fn deleted_at(&self) -> Option<Millis> {
        self.deleted.then_some(self.updated_at)
    }

    const STREAM_GOES: bool = false;

    fn counted(&self) -> Option<Counted> {
        (!self.deleted).then_some(Counted::Environment)
    }

    fn shown(&self) -> Self {
        self.clone()
    }

    fn listed(&self) -> Option<(Columns, String)> {
        let name = self.name.to_string();
        Some((Columns::Named { name }, body(&EnvironmentResource::from(self))?))
    }

    fn refuses(&self, event: &EnvironmentEvent) -> Option<String> {
        let is_older = event.by.at < self.newest_at;
        is_older.then(|| "it is older than the event before it".to_owned())
    }

    fn contradictions(&self) -> Vec<String> {
        let latest = self.grants.values().map(|grant| grant.number).max().unwrap_or(0);
        let wrong = latest > self.granted;
        wrong.then(|| "a grant has a number that was never given".to_owned()).into_iter().collect()
    }
}
