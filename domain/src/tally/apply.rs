//! Applying an event: it assigns, and cannot refuse. It is taken back by the state that was there before.

use std::collections::BTreeMap;

use crate::subject::remembered::{Answered, remember};
use crate::subject::undo_log::UndoLog;
use crate::tally::event::{TallyEvent, TallyFact};
use crate::tally::state::TallyState;

/// What a tally was before some events.
#[derive(Debug, Default)]
pub struct TallyUndo(UndoLog<TallyState>);

impl TallyUndo {
    /// For events that are never taken back.
    pub fn none() -> Self {
        Self(UndoLog::none())
    }
}

impl TallyState {
    /// The state after the first event, which must open it.
    pub fn create(event: &TallyEvent) -> Option<Self> {
        let TallyFact::Opened { namespace, name } = &event.fact else { return None };
        let mut state = Self {
            namespace: namespace.clone(),
            name: name.clone(),
            seq: 0,
            sum: 0,
            closed_at: None,
            newest_at: event.by.at,
            commands: BTreeMap::new(),
        };
        state.apply(event, &mut TallyUndo::none());
        Some(state)
    }

    /// Applies one event, remembering in `undo` what was there before.
    pub fn apply(&mut self, event: &TallyEvent, undo: &mut TallyUndo) {
        undo.0.note(|| self.clone());
        self.seq += 1;
        self.newest_at = event.by.at;
        if let Some(mark) = &event.by.command {
            let (seq, at) = (self.seq, event.by.at);
            let answered = Answered { body: mark.body, seq, at, keyed: mark.keyed };
            let mut whole = UndoLog::<()>::none();
            remember(&mut self.commands, mark.id.clone(), answered, &mut whole, |_, _| ());
        }
        match event.fact {
            TallyFact::Opened { .. } => {}
            TallyFact::Added { amount } => self.sum = self.sum.saturating_add(amount),
            TallyFact::Closed => self.closed_at = Some(event.by.at),
        }
    }

    /// Takes the state back to what it was when `undo` was empty.
    pub fn undo(&mut self, undo: TallyUndo) {
        for before in undo.0.newest_first() {
            *self = before;
        }
    }
}
