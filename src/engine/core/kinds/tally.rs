//! What the core knows of a tally, the kind that only builds of the tests have.

use domain::ids::{Millis, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;
use domain::subject::context::Context;
use domain::subject::decision::Decision;
use domain::subject::envelope::Envelope;
use domain::tally::apply::TallyUndo;
use domain::tally::command::TallyCommand;
use domain::tally::decide;
use domain::tally::event::TallyEvent;
use domain::tally::state::TallyState;

use super::{Kind, NEVER, body};
use crate::engine::core::urgency::Urgency;
use crate::view::contract::Columns;

impl Kind for TallyState {
    type Event = TallyEvent;
    type Command = TallyCommand;
    type Undo = TallyUndo;
    type Shown = Self;

    fn decide(
        state: Option<&Self>,
        command: &TallyCommand,
        context: &Context,
    ) -> Result<Decision<TallyEvent>, Refusal> {
        decide::decide(state, command, context)
    }

    fn create(event: &TallyEvent) -> Option<Self> {
        TallyState::create(event)
    }

    fn apply(&mut self, event: &TallyEvent, undo: &mut TallyUndo) {
        TallyState::apply(self, event, undo);
    }

    fn undo(&mut self, undo: TallyUndo) {
        TallyState::undo(self, undo);
    }

    fn no_undo() -> TallyUndo {
        TallyUndo::none()
    }

    fn envelope(event: &TallyEvent) -> &Envelope {
        &event.by
    }

    fn makes_subject(command: &TallyCommand) -> bool {
        matches!(command, TallyCommand::Open { .. })
    }

    fn is_idempotent(_command: &TallyCommand) -> bool {
        false
    }

    fn urgency(_command: &TallyCommand) -> Urgency {
        Urgency::Cancel
    }

    fn shows_subject(_command: &TallyCommand, _answer: &Answer) -> bool {
        true
    }

    fn may_use_reserve(_command: &TallyCommand) -> bool {
        true
    }

    fn subject(&self) -> SubjectId {
        TallyState::subject(self)
    }

    fn newest_at(&self) -> Millis {
        self.newest_at
    }

    fn is_over(&self) -> bool {
        self.closed_at.is_some()
    }

    fn next_due(&self) -> Option<Millis> {
        Some(NEVER)
    }

    fn deleted_at(&self) -> Option<Millis> {
        self.closed_at
    }

    const STREAM_GOES: bool = false;

    fn shown(&self) -> Self {
        self.clone()
    }

    fn listed(&self) -> Option<(Columns, String)> {
        Some((Columns::Named { name: self.name.clone() }, body(self)?))
    }

    fn refuses(&self, event: &TallyEvent) -> Option<String> {
        let is_older = event.by.at < self.newest_at;
        is_older.then(|| "it is older than the event before it".to_owned())
    }

    fn contradictions(&self) -> Vec<String> {
        let adds = self.seq > 1 || self.sum == 0;
        (!adds).then(|| "a sum to which nothing was added".to_owned()).into_iter().collect()
    }
}
