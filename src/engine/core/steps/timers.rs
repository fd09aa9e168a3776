//! What is due is done: nodes and jobs that wait for a time, and leases that run out, which heartbeats push on and never
//! the engine's own slowness (`pace`) ends.

use std::collections::BTreeSet;

use domain::ids::{Epoch, Millis};
use domain::job::command::JobCommand;
use domain::job::due;

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::leases::LeaseTime;
use crate::engine::core::message::{Command, Response};
use crate::engine::core::residency::{Due, Slot, TimerKind};
use crate::engine::core::waiting::{Origin, Waiting};

/// Subjects whose timers fire in one turn; the rest follow in the next, after the inputs that came meanwhile.
const FIRED_MAX: usize = 2_000;
/// What the clock asked for in vain is asked again after so long.
const LATER_MS: Millis = 1_000;
/// A subject whose append is on its way is looked at again after so long.
const LOOK_SHORTLY_MS: Millis = 20;

impl Core {
    /// Sets a timer of a subject.
    pub(super) fn arm(&mut self, ix: u32, slot: &mut Slot, at: Millis, what: TimerKind) {
        self.timers.arm(ix, &mut slot.timers, at, what);
    }

    /// Sets a timer unless an earlier one of the same kind is set: for what comes again and again by itself.
    pub(super) fn arm_once(&mut self, ix: u32, slot: &mut Slot, at: Millis, what: TimerKind) {
        self.timers.arm_once(ix, &mut slot.timers, at, what);
    }

    pub(in crate::engine::core) fn fire_timers(&mut self) {
        for _ in 0..FIRED_MAX {
            let Some(ix) = self.timers.first_due(self.now) else { break };
            let fired = self.work_on(ix, |core, slot| {
                core.fire(ix, slot);
                core.timers.rearm(ix, &mut slot.timers);
            });
            if fired.is_none() {
                self.timers.drop_first();
            }
        }
    }

    fn fire(&mut self, ix: u32, slot: &mut Slot) {
        let due = slot.timers.take_due(self.now);
        if slot.stage.is_in_flight() || !slot.reading.is_ready() {
            // Its state is not the committed one now: look again shortly.
            slot.timers.set_again(due, self.now.saturating_add(LOOK_SHORTLY_MS));
            return;
        }
        let looks = due.look && self.look_is_due(ix, slot);
        if due.ask {
            self.refresh_job(ix, slot);
        }
        if due.reconcile {
            self.reconcile_grants(ix, slot);
        }
        let expired = self.expired(slot, &due.nodes);
        for (node, epoch) in expired {
            self.counts.leases_expired += 1;
            self.ask_clock(slot, JobCommand::ExpireLease { node, epoch });
        }
        self.wake_due(slot, due);
        if looks && slot.reading.is_ready() {
            self.catch_up(slot);
        }
    }

    /// Leases that ran out; those that heartbeats pushed on get their timer again.
    fn expired(&mut self, slot: &mut Slot, due: &BTreeSet<u32>) -> Vec<(u32, Epoch)> {
        let mut expired = Vec::new();
        for node in due {
            let Some(lease) = slot.work.lease(*node) else { continue };
            let until = self.good_until(lease);
            if until <= self.now {
                expired.push((*node, lease.epoch));
            } else {
                slot.timers.set(until, TimerKind::Node(*node));
            }
        }
        expired
    }

    fn wake_due(&mut self, slot: &mut Slot, due: Due) {
        let Some(job) = slot.entity.as_ref().and_then(Entity::job) else { return };
        let is_over = |at: Millis| at <= self.now;
        let of_job = due.job.then(|| due::job_dues(job).earliest()).flatten();
        let of_job = of_job.filter(|(_, at)| is_over(*at)).map(|(what, _)| what);
        let is_due =
            |node: &u32| due::node_dues(job, *node).into_iter().any(|(_, at)| at <= self.now);
        let nodes: Vec<u32> = due.nodes.into_iter().filter(is_due).collect();
        let dues = nodes.iter().flat_map(|node| due::node_dues(job, *node));
        let (mut retries, mut delays) = (0, 0);
        for (what, _) in dues.filter(|(_, at)| is_over(*at)) {
            retries += u64::from(what == due::NodeDue::Retry);
            delays += u64::from(what == due::NodeDue::Delay);
        }
        self.counts.retries_due += retries;
        self.counts.timeouts_due += (nodes.len() as u64).saturating_sub(retries + delays);
        match of_job {
            Some(due::JobDue::Start) => self.counts.starts_due += 1,
            Some(due::JobDue::Deadline | due::JobDue::Revocation | due::JobDue::Cleanup) => {
                self.counts.timeouts_due += 1;
            }
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
        let nodes = match command.job() {
            Some(JobCommand::ExpireLease { node, .. }) => std::slice::from_ref(node),
            Some(JobCommand::Evaluated(_)) => return self.arm(ix, slot, at, TimerKind::Ask),
            Some(JobCommand::Wake { nodes }) => {
                self.arm(ix, slot, at, TimerKind::Job);
                nodes
            }
            Some(_) | None => return,
        };
        for node in nodes {
            self.arm(ix, slot, at, TimerKind::Node(*node));
        }
    }

    /// Until when a lease is good at least. While others may have heard its heartbeats it does not run out here.
    fn good_until(&self, lease: &LeaseTime) -> Millis {
        let until = self.pace.good_until(lease, self.now);
        if self.owns_groups() { until } else { until.max(self.now.saturating_add(LATER_MS)) }
    }

    /// Whether a heartbeat that was heard before kept the lease that the clock wants to end; its timer is set again.
    pub(super) fn was_kept(&mut self, slot: &mut Slot, command: &Command) -> bool {
        let Some(JobCommand::ExpireLease { node, epoch }) = command.job() else { return false };
        let lease = slot.work.lease(*node).filter(|lease| lease.epoch == *epoch);
        let until = lease.map(|lease| self.good_until(lease));
        let Some(until) = until else { return true };
        if until > self.now
            && let Some(ix) = self.slots.find(&slot.subject)
        {
            self.counts.leases_expired = self.counts.leases_expired.saturating_sub(1);
            self.arm(ix, slot, until, TimerKind::Node(*node));
        }
        until > self.now
    }

    pub(super) fn ask_clock(&mut self, slot: &mut Slot, command: JobCommand) {
        let waiting = Waiting::own(Origin::Clock, command);
        self.backlog.push_back(&mut slot.queue, waiting);
    }

    /// Parked requests that waited as long as they wanted.
    pub(in crate::engine::core) fn end_waits(&mut self) {
        let until = if self.leaving { Millis::MAX } else { self.now };
        for ticket in self.dispatch.waited_enough(until) {
            self.answer(ticket, Response::Leases(Vec::new()));
        }
    }
}
