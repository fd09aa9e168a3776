//! Holding back what operators have paused, in every namespace in which somebody asks for work. Queues and kinds of work are
//! passed over where they lie; the nodes of a paused type of jobs are not offered at all.
//! Always holds: nothing is leased in a namespace before its catalog was read once.

use std::sync::Arc;

use domain::catalog::state::CatalogState;
use domain::ids::Namespace;
use domain::planted::{self, Planted};

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::leases::{PausesAre, PausesChanged};
use crate::engine::core::message::{Failure, LeaseRequest, Output, Ticket};
use crate::engine::core::residency::Slot;
use crate::event_store::contract::EventStoreError;

impl Core {
    /// Whether a request for work must wait until it is known what is paused. It goes on by itself then.
    pub(super) fn waits_for_pauses(&mut self, ticket: Ticket, request: &LeaseRequest) -> bool {
        let namespace = &request.namespace;
        if planted::on(Planted::PausesUnread) {
            return false;
        }
        match self.pauses.are(namespace, self.now, self.settings.alone) {
            PausesAre::Known => false,
            PausesAre::Ageing => {
                self.read_pauses(namespace);
                false
            }
            PausesAre::Old { asks } => {
                if asks {
                    self.read_pauses(namespace);
                }
                self.pauses.wait(ticket, request.clone());
                true
            }
        }
    }

    fn read_pauses(&mut self, namespace: &Namespace) {
        self.pauses.asks(namespace, self.now);
        self.outputs.push_back(Output::ReadCatalog { namespace: namespace.clone() });
    }

    /// A catalog was read, or not. Who waited for that goes on, or is told.
    pub(in crate::engine::core) fn catalog_read(
        &mut self,
        namespace: &Namespace,
        result: &Result<Option<Arc<CatalogState>>, EventStoreError>,
    ) {
        let alone = self.settings.alone;
        let Ok(catalog) = result else {
            self.pauses.not_read(namespace, self.now);
            for (ticket, _) in self.pauses.take_waiting(namespace) {
                self.fail(ticket, Failure::Unavailable);
            }
            return;
        };
        let changed = self.pauses.read(namespace, catalog.as_deref(), self.now, alone);
        self.hold_back(namespace, changed);
        for (ticket, request) in self.pauses.take_waiting(namespace) {
            self.polls.push(ticket, request);
        }
    }

    /// A catalog changed here: that holds at once.
    pub(super) fn catalog_changed(&mut self, slot: &Slot) {
        let Some(catalog) = slot.entity.as_ref().and_then(Entity::catalog) else { return };
        let namespace = &slot.subject.namespace;
        let alone = self.settings.alone;
        let changed = self.pauses.heard(namespace, Some(catalog), self.now, alone);
        self.hold_back(namespace, changed);
    }

    /// Looks at namespaces of which something is paused: what is over by itself, and what other engines wrote.
    pub(in crate::engine::core) fn watch_pauses(&mut self) {
        for (namespace, reads, changed) in self.pauses.due(self.now, self.settings.alone) {
            self.hold_back(&namespace, changed);
            if reads {
                self.read_pauses(&namespace);
            }
        }
    }

    fn hold_back(&mut self, namespace: &Namespace, changed: Option<PausesChanged>) {
        let Some(PausesChanged { stops, job_types }) = changed else { return };
        self.dispatch.stop(namespace, stops);
        if job_types.is_empty() {
            return;
        }
        let concerned = |slot: &Slot| {
            let job = slot.entity.as_ref().and_then(Entity::job);
            let job_type = job.and_then(|job| job.plan.job_type.as_deref());
            slot.subject.namespace == *namespace
                && job_type.is_some_and(|job_type| job_types.contains(job_type))
        };
        let slots: Vec<u32> =
            self.slots.numbers().filter(|ix| self.slots.get(*ix).is_some_and(concerned)).collect();
        for ix in slots {
            self.with_slot(ix, |core, slot| {
                let job = slot.entity.as_ref().and_then(Entity::job);
                let nodes = job.map_or(0, |job| u32::try_from(job.nodes.len()).unwrap_or(u32::MAX));
                for node in 0..nodes {
                    core.refresh_offer(ix, slot, node);
                }
            });
        }
    }
}
