//! Applying an event: it assigns, and cannot refuse. The state is small: who must be able to go back keeps a clone.

use std::collections::BTreeMap;

use crate::environment::event::{EnvironmentEvent, EnvironmentFact};
use crate::environment::state::{EnvironmentState, Grant};
use crate::ids::Millis;
use crate::subject::remembered::{Answered, remember};

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
        state.apply(event);
        Some(state)
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &EnvironmentEvent) {
        let at = event.by.at;
        self.seq += 1;
        self.newest_at = at;
        self.remember_command(event);
        match &event.fact {
            EnvironmentFact::Defined { description, capacity, .. } => {
                self.deleted = false;
                self.created_at = at;
                self.describe(description.as_deref(), capacity, at);
            }
            EnvironmentFact::Updated { description, capacity } => {
                self.describe(description.as_deref(), capacity, at);
            }
            EnvironmentFact::Deleted => {
                self.deleted = true;
                self.updated_at = at;
            }
            EnvironmentFact::Granted { job, run, number, resources } => {
                let grant = Grant { number: *number, resources: resources.clone(), at };
                self.grants.insert((*job, *run), grant);
                self.granted = *number;
            }
            EnvironmentFact::Released { job, run, .. } => {
                self.grants.remove(&(*job, *run));
            }
        }
    }

    fn describe(
        &mut self,
        description: Option<&str>,
        capacity: &BTreeMap<String, u64>,
        at: Millis,
    ) {
        self.description = description.map(str::to_owned);
        self.capacity.clone_from(capacity);
        self.updated_at = at;
    }

    fn remember_command(&mut self, event: &EnvironmentEvent) {
        let Some(mark) = &event.by.command else { return };
        let answered =
            Answered { body: mark.body, seq: self.seq, at: event.by.at, keyed: mark.keyed };
        remember(&mut self.commands, mark.id.clone(), answered);
    }
}
