//! Changes of a catalog that can be taken back: each with its former value in the log.

use std::sync::Arc;

use crate::catalog::paused::{CatalogPause, PauseTarget};
use crate::catalog::policy::CatalogPolicy;
use crate::catalog::state::CatalogState;
use crate::ids::{CommandId, Millis, PolicyName};
use crate::subject::envelope::CommandMark;
use crate::subject::remembered::{Answered, remember};
use crate::subject::undo_log::{UndoLog, put_back};

/// What a catalog was before some events.
#[derive(Debug, Default)]
pub struct CatalogUndo(UndoLog<Was>);

#[derive(Debug)]
enum Was {
    Counted { seq: u64, newest_at: Millis },
    Policy(PolicyName, Option<Arc<CatalogPolicy>>),
    Pause(PauseTarget, Option<Arc<CatalogPause>>),
    Command(CommandId, Option<Answered>),
}

impl CatalogUndo {
    /// For events that are never taken back.
    pub fn none() -> Self {
        Self(UndoLog::none())
    }
}

impl CatalogState {
    /// Takes the state back to what it was when `undo` was empty.
    pub fn undo(&mut self, undo: CatalogUndo) {
        for was in undo.0.newest_first() {
            match was {
                Was::Counted { seq, newest_at } => (self.seq, self.newest_at) = (seq, newest_at),
                Was::Policy(name, before) => put_back(&mut self.policies, name, before),
                Was::Pause(target, before) => put_back(&mut self.pauses, target, before),
                Was::Command(id, before) => put_back(&mut self.commands, id, before),
            }
        }
    }

    /// One more event, decided then.
    pub(super) fn count(&mut self, at: Millis, undo: &mut CatalogUndo) {
        undo.0.note(|| Was::Counted { seq: self.seq, newest_at: self.newest_at });
        self.seq += 1;
        self.newest_at = at;
    }

    /// Keeps a policy under its name.
    pub(super) fn keep(&mut self, policy: CatalogPolicy, undo: &mut CatalogUndo) {
        let name = policy.name.clone();
        undo.0.insert(&mut self.policies, name, Arc::new(policy), Was::Policy);
    }

    /// Keeps no policy under this name.
    pub(super) fn drop_policy(&mut self, name: &PolicyName, undo: &mut CatalogUndo) {
        undo.0.remove(&mut self.policies, name, Was::Policy);
    }

    /// Keeps that something is paused.
    pub(super) fn pause(
        &mut self,
        target: &PauseTarget,
        pause: CatalogPause,
        undo: &mut CatalogUndo,
    ) {
        undo.0.insert(&mut self.pauses, target.clone(), Arc::new(pause), Was::Pause);
    }

    /// It is paused no more.
    pub(super) fn resume(&mut self, target: &PauseTarget, undo: &mut CatalogUndo) {
        undo.0.remove(&mut self.pauses, target, Was::Pause);
    }

    /// Remembers the command that the newest event answers.
    pub(super) fn remember_command(&mut self, mark: &CommandMark, undo: &mut CatalogUndo) {
        let (seq, at) = (self.seq, self.newest_at);
        let answered = Answered { body: mark.body, seq, at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered, &mut undo.0, Was::Command);
    }
}
