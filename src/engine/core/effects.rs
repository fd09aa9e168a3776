//! What follows from committed events, all derived from the state after them: offers, timers, lease expiries, what the
//! view must show, what other subjects must hear.

use std::cmp::Reverse;

use domain::ids::Millis;
use domain::job::due;
use domain::job::event::{JobEvent, JobFact};
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;

use crate::engine::core::Core;
use crate::engine::core::dispatch::{Entry, QueueKey};
use crate::engine::core::entity::{Entity, EntityEvent};
use crate::engine::core::residency::is_over;
use crate::engine::core::slot::{ASK_TIMER, JOB_TIMER, LeaseTime, Slot};

/// A queued job asks its environment again after so long: asks are volatile.
const ASK_AGAIN_MS: Millis = 5_000;

impl Core {
    /// After a commit.
    pub(super) fn effects(&mut self, ix: u32, slot: &mut Slot, events: &[EntityEvent]) {
        slot.dirty_since.get_or_insert(self.now);
        self.count_tenant(slot);
        if slot.transient {
            return;
        }
        self.projection.dirty(ix, self.now, is_over(slot));
        self.note_pages(ix, slot, events);
        let concerns_all = |event: &EntityEvent| match event {
            EntityEvent::Job(event) => concerns_whole_job(event),
            EntityEvent::Environment(_) => false,
        };
        if events.iter().any(concerns_all) {
            self.refresh_job(ix, slot);
        } else {
            for node in touched(events) {
                self.refresh_node(ix, slot, node);
            }
        }
        if matches!(slot.entity, Some(Entity::Environment(_))) {
            self.environment_changed(ix, slot);
        }
        self.view_if_waited(ix, slot);
    }

    /// Everything volatile of a subject, made anew from its state: after a load, and when the job as a whole changed.
    pub(super) fn refresh_job(&mut self, ix: u32, slot: &mut Slot) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let nodes = u32::try_from(job.nodes.len()).unwrap_or(u32::MAX);
        let (status, over) = (job.head.status, job.head.status.is_over());
        let (run, grant) = (job.head.runs, job.head.grant);
        let due = due::job_due(job);
        // Every timer is set anew below: they do not pile up with what happens to a job.
        slot.timers.clear();
        for (node, lease) in &slot.leases {
            slot.timers.push(Reverse((lease.expires_at, *node)));
        }
        for node in 0..nodes {
            self.refresh_node(ix, slot, node);
        }
        self.arm_look(ix, slot);
        if let Some((_, at)) = due {
            self.arm(ix, slot, at, JOB_TIMER);
        }
        if status == JobStatus::Queued {
            self.ask_environment(slot);
            self.arm(ix, slot, self.now.saturating_add(ASK_AGAIN_MS), ASK_TIMER);
        }
        self.rearm(ix, slot);
        if let (true, Some(number)) = (over, grant) {
            self.give_back_grant(slot, run, number);
        }
    }

    /// Offer, expiry and timers of one node.
    pub(super) fn refresh_node(&mut self, ix: u32, slot: &mut Slot, node: u32) {
        if slot.transient || slot.damaged.is_some() {
            return;
        }
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let Some(state) = job.nodes.get(node as usize) else { return };
        let spec = &job.plan.nodes[node as usize];
        let key: QueueKey = (job.namespace.clone(), spec.queue.clone());
        let running = (state.status == NodeStatus::Running)
            .then_some((state.epoch, u64::from(state.lease_ms)));
        let dues = due::node_dues(job, node);
        let claim = job.claims.get(&node).filter(|_| running.is_some());
        let claim = claim.map(|claim| (key.0.clone(), claim.worker.clone(), claim.claim.clone()));

        self.refresh_offer(ix, slot, node);
        self.refresh_lease(ix, slot, node, running, &key);
        self.refresh_claim(ix, slot, node, claim);
        for (_, at) in dues.into_iter().flatten() {
            self.arm(ix, slot, at, node);
        }
    }

    /// Whether a node is offered, and with which score, as the state has it.
    pub(super) fn refresh_offer(&mut self, ix: u32, slot: &mut Slot, node: u32) {
        if slot.transient || slot.damaged.is_some() {
            return;
        }
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let Some(state) = job.nodes.get(node as usize) else { return };
        let ready = state.status == NodeStatus::Ready
            && job.offers_work()
            && !slot.reserved.contains(&node);
        let wanted = ready.then(|| Entry::new(state.since, job.priority_of(node), ix, node));
        if slot.offered.get(&node).copied() == wanted {
            return;
        }
        self.withdraw(slot, node);
        if let (Some(entry), Some(job)) = (wanted, slot.entity.as_ref().and_then(Entity::job)) {
            let (key, action) = queue_of(job, node);
            slot.offered.insert(node, entry);
            self.dispatch.offer(&key, action.as_ref(), entry);
        }
    }

    /// What has been decided and is not durable yet is offered already: a lease is decided on top of it and leaves
    /// with it, or is decided again without it.
    pub(super) fn offer_early(&mut self, ix: u32, slot: &mut Slot, events: &[EntityEvent]) {
        for node in touched(events) {
            self.refresh_offer(ix, slot, node);
        }
    }

    /// Nobody knows when work on these can be leased: nothing of it is offered meanwhile.
    pub(super) fn withdraw_all(&mut self, ix: u32, nodes: &[u32]) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        for node in nodes {
            self.withdraw(&mut slot, *node);
        }
        self.slots.put(ix, slot);
    }

    /// Takes an offer back.
    pub(super) fn withdraw(&mut self, slot: &mut Slot, node: u32) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        if let Some(entry) = slot.offered.remove(&node) {
            let (key, action) = queue_of(job, node);
            self.dispatch.withdraw(&key, action.as_ref(), entry);
        }
    }

    fn refresh_lease(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        node: u32,
        running: Option<(domain::ids::Epoch, u64)>,
        key: &QueueKey,
    ) {
        let known = slot.leases.get(&node).map(|lease| lease.epoch);
        match running {
            Some((epoch, lease_ms)) if known != Some(epoch) => {
                let length = Millis::try_from(lease_ms).unwrap_or(Millis::MAX);
                // Granted before the store was restored: it holds nothing, and need not run out.
                let void = epoch.is_void_in(self.incarnation);
                let expires_at = if void { self.now } else { self.now.saturating_add(length) };
                slot.leases.insert(node, LeaseTime { epoch, expires_at, lease_ms });
                if known.is_none() {
                    self.dispatch.count_running(key, true);
                }
                self.arm(ix, slot, expires_at, node);
            }
            None if known.is_some() => {
                slot.leases.remove(&node);
                self.dispatch.count_running(key, false);
            }
            Some(_) | None => {}
        }
    }

    /// Lets go of everything volatile: the subject leaves memory, or is not driven here any more.
    pub(super) fn forget(&mut self, ix: u32, slot: &mut Slot) {
        if let Some(job) = slot.entity.as_ref().and_then(Entity::job) {
            for (node, entry) in std::mem::take(&mut slot.offered) {
                let (key, action) = queue_of(job, node);
                self.dispatch.withdraw(&key, action.as_ref(), entry);
            }
            for node in std::mem::take(&mut slot.leases).into_keys() {
                let (key, _) = queue_of(job, node);
                self.dispatch.count_running(&key, false);
            }
        }
        self.forget_claims(ix, slot);
        self.uncount_tenant(slot);
        if let Some(at) = slot.armed.take() {
            self.armed.remove(&(at, ix));
        }
        slot.timers.clear();
        slot.pages.clear();
        slot.dirty_since = None;
        self.projection.forget(ix);
        self.leave_checks.remove(&ix);
        self.unread.has_read(ix);
    }
}

fn queue_of(job: &JobState, node: u32) -> (QueueKey, Option<domain::ids::ActionType>) {
    let spec = &job.plan.nodes[node as usize];
    ((job.namespace.clone(), spec.queue.clone()), spec.action_type.clone())
}

/// The nodes that events are about, ascending.
pub(super) fn touched(events: &[EntityEvent]) -> Vec<u32> {
    let mut nodes = Vec::new();
    for event in events {
        let EntityEvent::Job(event) = event else { continue };
        nodes.extend(event.nodes.iter().flat_map(|change| change.at.iter()));
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// Whether offers of all nodes may have changed.
fn concerns_whole_job(event: &JobEvent) -> bool {
    let started = |(_, to): &(JobStatus, JobStatus)| *to != JobStatus::Running;
    event.ending.is_some()
        || event.job.iter().any(started)
        // A job that is submitted for later moves nowhere, and yet has a time.
        || matches!(
            event.fact,
            JobFact::Submitted(_) | JobFact::Patched(_) | JobFact::Resumed
        )
}
