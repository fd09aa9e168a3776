//! Whether a namespace may take up more of this engine.

use domain::ids::Namespace;
use domain::refusal::{Quota, Refusal};

use crate::engine::core::Core;
use crate::engine::core::kinds::Growth;
use crate::engine::core::message::Command;
use crate::engine::core::residency::Slot;

impl Core {
    /// Counts a subject as what it is now; none where it is over, gone, or another engine's.
    pub(super) fn count_tenant(&mut self, slot: &mut Slot) {
        let entity = slot.entity.as_ref().filter(|_| !slot.transient);
        self.tenants.recount(&slot.subject.namespace, &mut slot.tenant, entity);
    }

    /// Why a command would take up more than its namespace may; before anything of it is decided. Only what is new counts:
    /// whatever is there goes on.
    pub(super) fn over_quota(&self, slot: &Slot, command: &Command) -> Option<Refusal> {
        let growth = command.growth(slot.entity.as_ref()).filter(|_| !slot.transient)?;
        let quotas = &self.settings.quotas;
        let namespace = &slot.subject.namespace;
        let full = |quota, max| Some(Refusal::quota(quota, max, Some(namespace)));
        let tenant = self.tenants.of(namespace);
        match growth {
            Growth::LiveJob(spec) => {
                if tenant.is_some_and(|(live_jobs, _)| live_jobs >= quotas.live_jobs_max) {
                    return full(Quota::LiveJobs, quotas.live_jobs_max);
                }
                let names = spec.queues();
                if self.dispatch.too_many_queues(namespace, names, quotas.queues_max).is_some() {
                    return full(Quota::Queues, quotas.queues_max);
                }
            }
            Growth::Catalog => {}
            Growth::Queue(queue) => {
                let names = std::iter::once(queue);
                if self.dispatch.too_many_queues(namespace, names, quotas.queues_max).is_some() {
                    return full(Quota::Queues, quotas.queues_max);
                }
            }
            Growth::Environment => {
                if tenant.is_some_and(|(_, environments)| environments >= quotas.environments_max) {
                    return full(Quota::Environments, quotas.environments_max);
                }
            }
        }
        let is_new = tenant.is_none() && self.tenants.len() >= quotas.namespaces_max;
        is_new.then(|| Refusal::quota(Quota::Namespaces, quotas.namespaces_max, None))
    }

    /// Live jobs and environments of a namespace that count here.
    pub fn taken_up(&self, namespace: &Namespace) -> (usize, usize) {
        self.tenants.of(namespace).unwrap_or_default()
    }
}
