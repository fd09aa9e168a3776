//! How much each namespace takes up of this engine: live jobs and environments in memory that it drives, counted where they
//! come and go; and whether it may have more. What is decided and not yet durable counts already, so that no batch passes
//! a bound.
//! Absent: jobs that are parked. They hold no memory, and are counted again when they are due.

use std::collections::BTreeMap;

use domain::ids::Namespace;
use domain::job::status::JobStatus;

use crate::engine::core::kinds::{Counted, Entity};

/// As what a slot is counted now; none: its subject is over, gone, or another engine's.
#[derive(Debug, Default)]
pub(crate) struct SlotTenant(Option<Counted>);

#[derive(Debug, Default)]
struct Tenant {
    live_jobs: usize,
    environments: usize,
}

/// The namespaces that have anything here.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    by_namespace: BTreeMap<Namespace, Tenant>,
    /// Of all of them, in the order of `JobStatus::ALL`.
    live_jobs: [u32; JobStatus::ALL.len()],
}

impl Tenants {
    /// Live jobs by their state.
    pub(crate) fn live_jobs(&self) -> [u32; JobStatus::ALL.len()] {
        self.live_jobs
    }

    fn count(&mut self, namespace: &Namespace, what: Counted, up: bool) {
        if let Counted::LiveJob(status) = what
            && let Some(at) = JobStatus::ALL.iter().position(|known| *known == status)
        {
            let count = &mut self.live_jobs[at];
            *count = if up { *count + 1 } else { count.saturating_sub(1) };
        }
        let tenants = &mut self.by_namespace;
        if up && !tenants.contains_key(namespace) {
            tenants.insert(namespace.clone(), Tenant::default());
        }
        let Some(tenant) = tenants.get_mut(namespace) else { return };
        let count = match what {
            Counted::LiveJob(_) => &mut tenant.live_jobs,
            Counted::Environment => &mut tenant.environments,
        };
        *count = if up { *count + 1 } else { count.saturating_sub(1) };
        if tenant.live_jobs == 0 && tenant.environments == 0 {
            tenants.remove(namespace);
        }
    }

    /// Counts a subject as what it is now. `entity` is none for one that is not driven here.
    pub(crate) fn recount(
        &mut self,
        namespace: &Namespace,
        slot: &mut SlotTenant,
        entity: Option<&Entity>,
    ) {
        let now = entity.and_then(Entity::counted);
        let before = std::mem::replace(&mut slot.0, now);
        if before == now {
            return;
        }
        if let Some(before) = before {
            self.count(namespace, before, false);
        }
        if let Some(now) = now {
            self.count(namespace, now, true);
        }
    }

    /// Live jobs and environments of a namespace that count here; none: it has nothing here.
    pub(crate) fn of(&self, namespace: &Namespace) -> Option<(usize, usize)> {
        let tenant = self.by_namespace.get(namespace)?;
        Some((tenant.live_jobs, tenant.environments))
    }

    /// Namespaces that have anything here.
    pub(crate) fn len(&self) -> usize {
        self.by_namespace.len()
    }
}
