//! What follows from committed events, all derived from the state after them: offers, timers, lease expiries, what the
//! view must show, what other subjects must hear.

use domain::ids::Millis;
use domain::job::due;
use domain::job::event::JobEvent;
use domain::job::state::JobState;
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;

use crate::engine::core::Core;
use crate::engine::core::kinds::{Entity, EntityEvent, touched};
use crate::engine::core::leases::{Entry, Kind, LeaseTime, QueueKey, WorkPlace};
use crate::engine::core::residency::{Slot, TimerKind};

/// A queued job asks its environment again after so long: asks are volatile.
const ASK_AGAIN_MS: Millis = 5_000;

impl Core {
    /// After a commit.
    pub(super) fn effects(&mut self, ix: u32, slot: &mut Slot, events: &[EntityEvent]) {
        self.count_tenant(slot);
        self.catalog_changed(slot);
        if slot.transient {
            return;
        }
        self.is_durable(slot, events);
        self.must_be_shown(ix, slot);
        let (view, entity) = (&mut slot.view, slot.entity.as_ref());
        self.projection.note_pages(ix, view, entity, events, self.now);
        if events.iter().filter_map(EntityEvent::job).any(concerns_whole_job) {
            self.refresh_job(ix, slot);
        } else {
            for node in touched(events) {
                self.refresh_node(ix, slot, node);
            }
        }
        self.ask_evaluation(slot);
        self.environment_changed(ix, slot);
        self.show_if_waited(ix, slot);
    }

    /// Everything volatile of a subject, made anew from its state: after a load, and when the job as a whole changed.
    pub(super) fn refresh_job(&mut self, ix: u32, slot: &mut Slot) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let nodes = u32::try_from(job.nodes.len()).unwrap_or(u32::MAX);
        let (status, over) = (job.head.status, job.head.status.is_over());
        let (run, grant) = (job.head.runs, job.head.grant);
        let due = due::job_dues(job).earliest();
        // Every timer is set anew below: they do not pile up with what happens to a job.
        slot.timers.clear();
        for (node, lease) in slot.work.leases() {
            slot.timers.set(lease.expires_at, TimerKind::Node(node));
        }
        for node in 0..nodes {
            self.refresh_node(ix, slot, node);
        }
        self.ask_evaluation(slot);
        self.arm_look(ix, slot);
        if let Some((_, at)) = due {
            self.arm(ix, slot, at, TimerKind::Job);
        }
        if status == JobStatus::Queued {
            self.ask_environment(slot);
            let at = self.now.saturating_add(ASK_AGAIN_MS);
            self.arm(ix, slot, at, TimerKind::Ask);
        }
        self.timers.rearm(ix, &mut slot.timers);
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
        let running = (state.status == NodeStatus::Running)
            .then_some((state.epoch, u64::from(state.lease_ms)));
        let dues = due::node_dues(job, node);
        let claim = job.claims.get(&node).filter(|_| running.is_some());
        let claim =
            claim.map(|claim| (job.namespace.clone(), claim.worker.clone(), claim.claim.clone()));

        self.refresh_offer(ix, slot, node);
        self.refresh_lease(ix, slot, node, running);
        self.claims.runs_under(ix, &mut slot.work, node, claim);
        for (_, at) in dues {
            self.arm(ix, slot, at, TimerKind::Node(node));
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
            && !slot.work.is_reserved(node)
            && !self.pauses.stops_jobs(&job.namespace, job.plan.job_type.as_deref());
        let wanted = ready.then(|| Entry::new(state.since, job.priority_of(node), ix, node));
        let at = changed_place(job, node);
        let lies_right = wanted.is_none() || slot.work.offered_at(node) == at.as_ref();
        if slot.work.offer_of(node) == wanted && lies_right {
            return;
        }
        self.withdraw(slot, node);
        if let (Some(entry), Some(job)) = (wanted, slot.entity.as_ref().and_then(Entity::job)) {
            let (key, action) = place_of(job, node, at.as_ref());
            slot.work.offers(node, entry, at);
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
        self.with_slot(ix, |core, slot| {
            for node in nodes {
                core.withdraw(slot, *node);
            }
        });
    }

    /// Takes an offer back.
    pub(super) fn withdraw(&mut self, slot: &mut Slot, node: u32) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        if let Some((entry, at)) = slot.work.withdraw(node) {
            let (key, action) = place_of(job, node, at.as_ref());
            self.dispatch.withdraw(&key, action.as_ref(), entry);
        }
    }

    fn refresh_lease(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        node: u32,
        running: Option<(domain::ids::Epoch, u64)>,
    ) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let known = slot.work.lease(node).map(|lease| lease.epoch);
        match running {
            Some((epoch, lease_ms)) if known != Some(epoch) => {
                let length = Millis::try_from(lease_ms).unwrap_or(Millis::MAX);
                // Granted before the store was restored: it holds nothing, and need not run out.
                let void = epoch.is_void_in(self.incarnation);
                let expires_at = if void { self.now } else { self.now.saturating_add(length) };
                let at = changed_place(job, node);
                let (key, _) = place_of(job, node, at.as_ref());
                if slot.work.begin_lease(node, LeaseTime { epoch, expires_at, lease_ms }, at) {
                    self.dispatch.count_running(&key, true);
                }
                self.arm(ix, slot, expires_at, TimerKind::Node(node));
            }
            None => {
                if let Some(at) = slot.work.end_lease(node) {
                    let (key, _) = place_of(job, node, at.as_ref());
                    self.dispatch.count_running(&key, false);
                    self.forget_heard(slot, node);
                }
            }
            Some(_) => {}
        }
    }

    /// Lets go of everything volatile: the subject leaves memory, or is not driven here any more.
    pub(super) fn forget(&mut self, ix: u32, slot: &mut Slot) {
        if let Some(job) = slot.entity.as_ref().and_then(Entity::job) {
            for (node, entry, at) in slot.work.take_offers() {
                let (key, action) = place_of(job, node, at.as_ref());
                self.dispatch.withdraw(&key, action.as_ref(), entry);
            }
            for (node, at) in slot.work.take_leases() {
                let (key, _) = place_of(job, node, at.as_ref());
                self.dispatch.count_running(&key, false);
            }
        }
        self.forget_all_heard(slot);
        self.claims.forget(ix, &mut slot.work);
        self.tenants.recount(&slot.subject.namespace, &mut slot.tenant, None);
        self.timers.disarm(ix, &mut slot.timers);
        self.projection.forget(ix, &mut slot.view);
        self.parking.forget(ix);
        self.unread.has_read(ix);
    }
}

/// Where a node is offered as it is now, unless that is where it was submitted.
fn changed_place(job: &JobState, node: u32) -> Option<WorkPlace> {
    let changed = &job.plan.changed(node)?.node;
    Some((changed.queue.clone(), changed.action_type.clone()))
}

/// Where a node lies, or was leased. `at`: unless that is where it was submitted.
fn place_of(job: &JobState, node: u32, at: Option<&WorkPlace>) -> (QueueKey, Kind) {
    let submitted = job.plan.submitted(node);
    let (queue, kind) =
        at.map_or((&submitted.queue, &submitted.action_type), |(queue, kind)| (queue, kind));
    ((job.namespace.clone(), queue.clone()), kind.clone())
}

/// Whether offers of all nodes may have changed.
fn concerns_whole_job(event: &JobEvent) -> bool {
    let started = |(_, to): &(JobStatus, JobStatus)| *to != JobStatus::Running;
    event.ending.is_some()
        || event.job.iter().any(started)
        // A job that is submitted for later moves nowhere, and yet has a time.
        || event.fact.concerns_all()
}
