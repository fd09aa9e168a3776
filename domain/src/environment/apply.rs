//! Applying an event: it assigns, and cannot refuse. Every change goes through an undo log.

use std::collections::BTreeMap;

use crate::environment::event::{EnvironmentEvent, EnvironmentFact};
use crate::environment::state::{EnvironmentState, Grant};
use crate::environment::undo::EnvironmentUndo;

impl EnvironmentState {
    /// The state after the first event, which must be a definition.
    pub fn create(event: &EnvironmentEvent) -> Option<Self> {
        let EnvironmentFact::Defined { namespace, name, .. } = &event.fact else { return None };
        let mut state = Self {
            namespace: namespace.clone(),
            name: name.clone(),
            seq: 0,
            description: None,
            capacity: BTreeMap::new(),
            grants: BTreeMap::new(),
            granted: 0,
            deleted: false,
            created_at: event.by.at,
            updated_at: event.by.at,
            newest_at: event.by.at,
            commands: BTreeMap::new(),
        };
        state.apply(event, &mut EnvironmentUndo::none());
        Some(state)
    }

    /// Applies one event, remembering in `undo` what was there before.
    pub fn apply(&mut self, event: &EnvironmentEvent, undo: &mut EnvironmentUndo) {
        self.remember_figures(undo);
        let at = event.by.at;
        self.seq += 1;
        self.newest_at = at;
        if let Some(mark) = &event.by.command {
            self.remember_command(mark, at, undo);
        }
        match &event.fact {
            EnvironmentFact::Defined { description, capacity, .. } => {
                self.deleted = false;
                self.created_at = at;
                self.updated_at = at;
                self.describe(description.as_deref(), capacity, undo);
            }
            EnvironmentFact::Updated { description, capacity } => {
                self.updated_at = at;
                self.describe(description.as_deref(), capacity, undo);
            }
            EnvironmentFact::Deleted => {
                self.deleted = true;
                self.updated_at = at;
            }
            EnvironmentFact::Granted { job, run, number, resources } => {
                let grant = Grant { number: *number, resources: resources.clone(), at };
                self.grant((*job, *run), grant, undo);
                self.granted = *number;
            }
            EnvironmentFact::Released { job, run, .. } => self.release((*job, *run), undo),
        }
    }
}
