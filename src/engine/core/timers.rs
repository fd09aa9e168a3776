//! What is due. Each subject has its own heap, with stale entries that the rules see through; one ordered set holds
//! the next time of each subject. Lease expiries are volatile and pushed on by heartbeats.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use domain::ids::Millis;
use domain::job::command::JobCommand;
use domain::job::due;

use crate::engine::core::Core;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{Caller, Command, Response};
use crate::engine::core::slot::{
    ASK_TIMER, JOB_TIMER, Origin, Phase, RECONCILE_TIMER, Slot, Waiting,
};

/// Subjects whose timers fire in one turn; the rest follow in the next, after the inputs that came meanwhile.
const FIRED_MAX: usize = 2_000;

impl Core {
    /// Sets a timer of a subject.
    pub(super) fn arm(&mut self, ix: u32, slot: &mut Slot, at: Millis, what: u32) {
        slot.timers.push(Reverse((at, what)));
        self.rearm(ix, slot);
    }

    fn rearm(&mut self, ix: u32, slot: &mut Slot) {
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
    }

    /// Leases that ran out; those that heartbeats pushed on get their timer again.
    fn expired(&mut self, slot: &mut Slot, due: &BTreeSet<u32>) -> Vec<(u32, domain::ids::Epoch)> {
        let mut expired = Vec::new();
        for node in due {
            let Some(lease) = slot.leases.get(node) else { continue };
            if lease.expires_at <= self.now {
                expired.push((*node, lease.epoch));
            } else {
                slot.timers.push(Reverse((lease.expires_at, *node)));
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
