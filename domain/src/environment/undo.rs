//! Changes of an environment that can be taken back: each with its former value in the log.

use std::collections::BTreeMap;

use crate::environment::state::{EnvironmentState, Grant};
use crate::ids::{CommandId, JobId, Millis};
use crate::subject::envelope::CommandMark;
use crate::subject::remembered::{Answered, remember};
use crate::subject::undo_log::{UndoLog, put_back};

/// What an environment was before some events.
#[derive(Debug, Default)]
pub struct EnvironmentUndo {
    log: UndoLog<Was>,
    has_figures: bool,
}

#[derive(Debug)]
enum Was {
    Figures(Figures),
    Definition(Option<String>, BTreeMap<String, u64>),
    Grant((JobId, u32), Option<Grant>),
    Command(CommandId, Option<Answered>),
}

/// What every event may change.
#[derive(Debug)]
struct Figures {
    seq: u64,
    granted: u64,
    deleted: bool,
    created_at: Millis,
    updated_at: Millis,
    newest_at: Millis,
}

impl EnvironmentUndo {
    /// For events that are never taken back.
    pub fn none() -> Self {
        Self { log: UndoLog::none(), ..Self::default() }
    }
}

impl EnvironmentState {
    /// Takes the state back to what it was when `undo` was empty.
    pub fn undo(&mut self, undo: EnvironmentUndo) {
        for was in undo.log.newest_first() {
            match was {
                Was::Figures(was) => {
                    self.seq = was.seq;
                    self.granted = was.granted;
                    self.deleted = was.deleted;
                    self.created_at = was.created_at;
                    self.updated_at = was.updated_at;
                    self.newest_at = was.newest_at;
                }
                Was::Definition(description, capacity) => {
                    self.description = description;
                    self.capacity = capacity;
                }
                Was::Grant(of, before) => put_back(&mut self.grants, of, before),
                Was::Command(id, before) => put_back(&mut self.commands, id, before),
            }
        }
    }

    /// Remembers the figures, before the first of the events changes them.
    pub(super) fn remember_figures(&self, undo: &mut EnvironmentUndo) {
        if !undo.has_figures {
            undo.has_figures = true;
            undo.log.note(|| {
                Was::Figures(Figures {
                    seq: self.seq,
                    granted: self.granted,
                    deleted: self.deleted,
                    created_at: self.created_at,
                    updated_at: self.updated_at,
                    newest_at: self.newest_at,
                })
            });
        }
    }

    /// What people say of it from now on.
    pub(super) fn describe(
        &mut self,
        description: Option<&str>,
        capacity: &BTreeMap<String, u64>,
        undo: &mut EnvironmentUndo,
    ) {
        let before = std::mem::replace(&mut self.description, description.map(str::to_owned));
        let before_capacity = std::mem::replace(&mut self.capacity, capacity.clone());
        undo.log.note(|| Was::Definition(before, before_capacity));
    }

    /// Gives a job's run a grant.
    pub(super) fn grant(&mut self, of: (JobId, u32), grant: Grant, undo: &mut EnvironmentUndo) {
        undo.log.insert(&mut self.grants, of, grant, Was::Grant);
    }

    /// Takes a job's run its grant.
    pub(super) fn release(&mut self, of: (JobId, u32), undo: &mut EnvironmentUndo) {
        undo.log.remove(&mut self.grants, &of, Was::Grant);
    }

    /// Remembers the command that the newest event answers.
    pub(super) fn remember_command(
        &mut self,
        mark: &CommandMark,
        at: Millis,
        undo: &mut EnvironmentUndo,
    ) {
        let answered = Answered { body: mark.body, seq: self.seq, at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered, &mut undo.log, Was::Command);
    }
}
