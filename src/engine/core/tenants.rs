//! How much each namespace takes up of this engine: live jobs and environments in memory that it drives, counted where they
//! come and go; and whether it may have more. What is decided and not yet durable counts already, so that no batch passes
//! a bound.
//! Absent: jobs that are parked. They hold no memory, and are counted again when they are due.

use std::collections::BTreeMap;

use domain::ids::Namespace;
use domain::job::command::JobCommand;
use domain::job::status::JobStatus;
use domain::refusal::{Quota, Refusal};

use crate::engine::core::Core;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::Command;
use crate::engine::core::slot::Slot;
use domain::environment::command::EnvironmentCommand;

/// As what a subject is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    LiveJob(JobStatus),
    Environment,
}

#[derive(Debug, Default)]
struct Tenant {
    live_jobs: usize,
    environments: usize,
}

/// The namespaces that have anything here.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    by_namespace: BTreeMap<Namespace, Tenant>,
    /// Of all of them, in the order of `JobStatus::ALL`.
    live_jobs: [u32; JobStatus::ALL.len()],
}

impl Tenants {
    /// Live jobs by their state.
    pub(super) fn live_jobs(&self) -> [u32; JobStatus::ALL.len()] {
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
}

impl Core {
    /// Counts a subject as what it is now; none where it is over, gone, or another engine's.
    pub(super) fn count_tenant(&mut self, slot: &mut Slot) {
        let now = match &slot.entity {
            _ if slot.transient => None,
            Some(Entity::Job(job)) => {
                let lives = !job.head.status.is_over() && !job.head.deleted;
                lives.then_some(Counted::LiveJob(job.head.status))
            }
            Some(Entity::Environment(of)) => (!of.deleted).then_some(Counted::Environment),
            None => None,
        };
        self.is_counted_as(slot, now);
    }

    /// A subject leaves memory, or is not driven here any more.
    pub(super) fn uncount_tenant(&mut self, slot: &mut Slot) {
        self.is_counted_as(slot, None);
    }

    fn is_counted_as(&mut self, slot: &mut Slot, now: Option<Counted>) {
        let before = std::mem::replace(&mut slot.counted, now);
        if before == now {
            return;
        }
        let namespace = &slot.subject.namespace;
        if let Some(before) = before {
            self.tenants.count(namespace, before, false);
        }
        if let Some(now) = now {
            self.tenants.count(namespace, now, true);
        }
    }

    /// Why a command would take up more than its namespace may; before anything of it is decided. Only what is new counts:
    /// whatever is there goes on.
    pub(super) fn over_quota(&self, slot: &Slot, command: &Command) -> Option<Refusal> {
        let grows = matches!(
            command,
            Command::Job(JobCommand::Submit(_))
                | Command::Environment(EnvironmentCommand::Define { .. })
        );
        if !grows || slot.transient {
            return None;
        }
        let quotas = &self.settings.quotas;
        let namespace = &slot.subject.namespace;
        let full = |quota, max| Some(Refusal::quota(quota, max, Some(namespace)));
        let tenant = self.tenants.by_namespace.get(namespace);
        match (command, &slot.entity) {
            (Command::Job(JobCommand::Submit(submission)), None) => {
                if tenant.is_some_and(|tenant| tenant.live_jobs >= quotas.live_jobs_max) {
                    return full(Quota::LiveJobs, quotas.live_jobs_max);
                }
                let names = submission.spec.queues();
                if self.dispatch.too_many_queues(namespace, names, quotas.queues_max).is_some() {
                    return full(Quota::Queues, quotas.queues_max);
                }
            }
            (Command::Environment(EnvironmentCommand::Define { .. }), there) => {
                let is_new = match there {
                    Some(Entity::Environment(of)) => of.deleted,
                    Some(Entity::Job(_)) | None => true,
                };
                if !is_new {
                    return None;
                }
                if tenant.is_some_and(|tenant| tenant.environments >= quotas.environments_max) {
                    return full(Quota::Environments, quotas.environments_max);
                }
            }
            (Command::Job(_) | Command::Environment(_), _) => return None,
        }
        let is_new = tenant.is_none() && self.tenants.by_namespace.len() >= quotas.namespaces_max;
        is_new.then(|| Refusal::quota(Quota::Namespaces, quotas.namespaces_max, None))
    }

    /// Live jobs and environments of a namespace that count here.
    pub fn taken_up(&self, namespace: &Namespace) -> (usize, usize) {
        let tenant = self.tenants.by_namespace.get(namespace);
        tenant.map_or((0, 0), |tenant| (tenant.live_jobs, tenant.environments))
    }
}
