//! Applying an event: it assigns, and cannot refuse. Every change goes through an undo log.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::event::{CatalogEvent, CatalogFact};
use crate::catalog::paused::CatalogPause;
use crate::catalog::policy::CatalogPolicy;
use crate::catalog::state::CatalogState;
use crate::catalog::undo::CatalogUndo;

impl CatalogState {
    /// The state after the first event, which must keep a policy or pause something.
    pub fn create(event: &CatalogEvent) -> Option<Self> {
        let namespace = match &event.fact {
            CatalogFact::PolicyCreated { namespace, .. }
            | CatalogFact::Paused { namespace, .. } => namespace,
            CatalogFact::PolicyReplaced { .. }
            | CatalogFact::PolicyDeleted { .. }
            | CatalogFact::Resumed { .. } => return None,
        };
        let mut state = Self {
            namespace: namespace.clone(),
            seq: 0,
            policies: BTreeMap::new(),
            pauses: BTreeMap::new(),
            newest_at: event.by.at,
            commands: BTreeMap::new(),
        };
        state.apply(event, &mut CatalogUndo::none());
        Some(state)
    }

    /// Applies one event, remembering in `undo` what was there before.
    pub fn apply(&mut self, event: &CatalogEvent, undo: &mut CatalogUndo) {
        let at = event.by.at;
        self.count(at, undo);
        if let Some(mark) = &event.by.command {
            self.remember_command(mark, undo);
        }
        match &event.fact {
            CatalogFact::PolicyCreated { id, name, definition, .. } => {
                let policy = CatalogPolicy {
                    id: *id,
                    name: name.clone(),
                    version: self.seq,
                    definition: Arc::clone(definition),
                    bytes: definition.bytes(),
                    created_at: at,
                    updated_at: at,
                };
                self.keep(policy, undo);
            }
            CatalogFact::PolicyReplaced { name, definition } => {
                let Some(before) = self.policies.get(name) else { return };
                let policy = CatalogPolicy {
                    version: self.seq,
                    definition: Arc::clone(definition),
                    bytes: definition.bytes(),
                    updated_at: at,
                    ..before.as_ref().clone()
                };
                self.keep(policy, undo);
            }
            CatalogFact::PolicyDeleted { name } => self.drop_policy(name, undo),
            CatalogFact::Paused { target, until, over, .. } => {
                for target in over {
                    self.resume(target, undo);
                }
                let (reason, by) = (event.by.reason.clone(), Arc::clone(&event.by.actor));
                let pause = CatalogPause { reason, by, since: at, until: *until };
                self.pause(target, pause, undo);
            }
            CatalogFact::Resumed { target } => self.resume(target, undo),
        }
    }
}
