//! What is due. Each subject has its own heap, with stale entries that the rules see through; one ordered set holds
//! the next time of each subject. Lease expiries are volatile, pushed on by heartbeats, and never the engine's own
//! slowness (`pace`).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use domain::ids::Millis;
use domain::job::command::JobCommand;
use domain::job::due;

use crate::engine::core::Core;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{Caller, Command, Response};
use crate::engine::core::slot::{
    ASK_TIMER, JOB_TIMER, LOOK_TIMER, LeaseTime, Origin, Phase, RECONCILE_TIMER, Slot, Waiting,
};

/// Subjects whose timers fire in one turn; the rest follow in the next, after the inputs that came meanwhile.
const FIRED_MAX: usize = 2_000;
/// What the clock asked for in vain is asked again after so long.
const LATER_MS: Millis = 1_000;

impl Core {
    /// Sets a timer of a subject.
    pub(super) fn arm(&mut self, ix: u32, slot: &mut Slot, at: Millis, what: u32) {
        slot.timers.push(Reverse((at, what)));
        self.rearm(ix, slot);
    }

    /// Sets a timer unless an earlier one of the same kind is set: for what comes again and again by itself.
    pub(super) fn arm_once(&mut self, ix: u32, slot: &mut Slot, at: Millis, what: u32) {
        let there = slot.timers.iter().any(|Reverse((due, kind))| *kind == what && *due <= at);
        if !there {
            self.arm(ix, slot, at, what);
        }
    }

    pub(super) fn rearm(&mut self, ix: u32, slot: &mut Slot) {
        let next = slot.timers.peek().map(|Reverse((at, _))| *at);
        if next == slot.armed {
            return;
        }
        if let Some(before) = slot.armed {
            self.armed.remove(&(before, ix));
        }
        if let Some(at) = next {
            self.armed.insert((at, ix));
        }
        slot.armed = next;
    }

    pub(super) fn fire_timers(&mut self) {
        for _ in 0..FIRED_MAX {
            let Some((_, ix)) = self.armed.first().copied().filter(|(at, _)| *at <= self.now)
            else {
                break;
            };
            let Some(mut slot) = self.slots.take(ix) else {
                self.armed.pop_first();
                continue;
            };
            self.fire(ix, &mut slot);
            self.rearm(ix, &mut slot);
            self.resume(ix, slot);
        }
    }

    fn fire(&mut self, ix: u32, slot: &mut Slot) {
        let mut due = BTreeSet::new();
        while let Some(Reverse((at, what))) = slot.timers.peek().copied() {
            if at > self.now {
                break;
            }
            slot.timers.pop();
            due.insert(what);
        }
        if slot.in_flight.is_some() || slot.phase != Phase::Ready {
            // Its state is not the committed one now: look again shortly.
            for what in due {
                slot.timers.push(Reverse((self.now.saturating_add(20), what)));
            }
            return;
        }
        let asks = due.remove(&ASK_TIMER);
        let reconciles = due.remove(&RECONCILE_TIMER);
        let looks = due.remove(&LOOK_TIMER) && self.look_is_due(ix, slot);
        if asks {
            self.refresh_job(ix, slot);
        }
        if reconciles {
            self.reconcile_grants(ix, slot);
        }
        let expired = self.expired(slot, &due);
        for (node, epoch) in expired {
            self.counts.leases_expired += 1;
            self.ask_clock(slot, JobCommand::ExpireLease { node, epoch });
        }
        self.wake_due(slot, due);
        if looks && slot.phase == Phase::Ready {
            self.catch_up(slot);
        }
    }

    /// Leases that ran out; those that heartbeats pushed on get their timer again.
    fn expired(&mut self, slot: &mut Slot, due: &BTreeSet<u32>) -> Vec<(u32, domain::ids::Epoch)> {
        let mut expired = Vec::new();
        for node in due {
            let Some(lease) = slot.leases.get(node) else { continue };
            let until = self.good_until(lease);
            if until <= self.now {
                expired.push((*node, lease.epoch));
            } else {
                slot.timers.push(Reverse((until, *node)));
            }
        }
        expired
    }

    fn wake_due(&mut self, slot: &mut Slot, mut due: BTreeSet<u32>) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let is_over = |at: Millis| at <= self.now;
        let of_job = due.remove(&JOB_TIMER).then(|| due::job_due(job)).flatten();
        let of_job = of_job.filter(|(_, at)| is_over(*at)).map(|(what, _)| what);
        let is_due = |node: &u32| {
            due::node_dues(job, *node).into_iter().flatten().any(|(_, at)| at <= self.now)
        };
        let nodes: Vec<u32> = due.into_iter().filter(is_due).collect();
        let retries =
            nodes.iter().flat_map(|node| due::node_dues(job, *node).into_iter().flatten());
        let retries = retries.filter(|(what, at)| *what == due::NodeDue::Retry && is_over(*at));
        let retries = retries.count() as u64;
        self.counts.retries_due += retries;
        self.counts.timeouts_due += (nodes.len() as u64).saturating_sub(retries);
        match of_job {
            Some(due::JobDue::Start) => self.counts.starts_due += 1,
            Some(due::JobDue::Deadline | due::JobDue::Revocation) => self.counts.timeouts_due += 1,
            None => {}
        }
        if of_job.is_some() || !nodes.is_empty() {
            self.ask_clock(slot, JobCommand::Wake { nodes });
        }
    }

    /// What the clock asked for came to nothing: it is looked at again.
    pub(super) fn clock_later(&mut self, ix: u32, slot: &mut Slot, command: &Command) {
        if slot.transient || slot.damaged.is_some() {
            return;
        }
        let at = self.now.saturating_add(LATER_MS);
        match command {
            Command::Job(JobCommand::ExpireLease { node, .. }) => self.arm(ix, slot, at, *node),
            Command::Job(JobCommand::Wake { nodes }) => {
                self.arm(ix, slot, at, JOB_TIMER);
                for node in nodes {
                    self.arm(ix, slot, at, *node);
                }
            }
            Command::Job(_) | Command::Environment(_) => {}
        }
    }

    /// Until when a lease is good at least. While others may have heard its heartbeats it does not run out here.
    fn good_until(&self, lease: &LeaseTime) -> Millis {
        let until = self.pace.good_until(lease, self.now);
        if self.owns_groups() { until } else { until.max(self.now.saturating_add(LATER_MS)) }
    }

    /// Whether a heartbeat that was heard before kept the lease that the clock wants to end; its timer is set again.
    pub(super) fn was_kept(&mut self, slot: &mut Slot, command: &Command) -> bool {
        let Command::Job(JobCommand::ExpireLease { node, epoch }) = command else { return false };
        let lease = slot.leases.get(node).filter(|lease| lease.epoch == *epoch);
        let until = lease.map(|lease| self.good_until(lease));
        let Some(until) = until else { return true };
        if until > self.now
            && let Some(ix) = self.slots.find(&slot.subject)
        {
            self.counts.leases_expired = self.counts.leases_expired.saturating_sub(1);
            self.arm(ix, slot, until, *node);
        }
        until > self.now
    }

    /// The store was out of reach: every running attempt is good for one full period more.
    pub(super) fn prolong_leases(&mut self, slot: &mut Slot) {
        for lease in slot.leases.values_mut() {
            let length = Millis::try_from(lease.lease_ms).unwrap_or(Millis::MAX);
            lease.expires_at = lease.expires_at.max(self.now.saturating_add(length));
        }
    }

    fn ask_clock(&mut self, slot: &mut Slot, command: JobCommand) {
        let caller = Caller::engine();
        slot.queue.push_back(Waiting::Command {
            origin: Origin::Clock,
            command: Command::Job(command),
            caller,
            tries: 0,
        });
        self.queued += 1;
    }

    /// Parked requests that waited as long as they wanted.
    pub(super) fn end_waits(&mut self) {
        let until = if self.leaving { Millis::MAX } else { self.now };
        for ticket in self.dispatch.waited_enough(until) {
            self.answer(ticket, Response::Leases(Vec::new()));
        }
    }
}
