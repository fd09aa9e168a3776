//! Heartbeats: no event, only a lease that is good for one period more, and what they say of an attempt, which the next
//! event of the job carries, whatever that is about.
//! Always holds: what is kept of them has a bound, for all subjects of this engine together.

use std::time::Duration;

use domain::ids::LeaseId;
use domain::job::event::JobEvent;
use domain::refusal::Refusal;

use crate::engine::core::Core;
use crate::engine::core::kinds::{Command, Entity, EntityEvent};
use crate::engine::core::leases::{Carried, SlotHeard};
use crate::engine::core::message::{Beat, Failure, Response};
use crate::engine::core::residency::Slot;

/// Heartbeats in the length of a lease, or in the grace of a cancel: two may be lost.
const HEARTBEATS_PER_PERIOD: u64 = 3;
/// No worker is asked for heartbeats that are closer together, in milliseconds, whatever grace is configured.
const HEARTBEAT_MS_MIN: u64 = 100;
/// Bytes of details that no durable event has, over all subjects: the longest of two thousand attempts. Beyond it the
/// lease is kept and the details are not.
const DETAILS_BYTES_MAX: u64 = 128 * 1_024 * 1_024;

/// How far apart the heartbeats of a lease may be, in milliseconds. A cancel reaches a worker in the answer to one, so
/// a long lease must not keep it from a worker until the grace is over.
pub fn heartbeat_ms(lease_ms: u64, cancel_grace: Duration) -> u64 {
    let grace_ms = u64::try_from(cancel_grace.as_millis()).unwrap_or(u64::MAX);
    (lease_ms.min(grace_ms) / HEARTBEATS_PER_PERIOD).max(HEARTBEAT_MS_MIN)
}

impl Core {
    /// Keeps an attempt: no event, only its expiry, and what is said of it.
    pub(super) fn heartbeat(&mut self, slot: &mut Slot, lease: LeaseId, beat: &Beat) -> Response {
        if slot.transient || !self.owns_groups() {
            // The group has, or may have, changed hands after this heartbeat was heard: lease times are with the driver.
            return Response::Failed(Failure::Unavailable);
        }
        let job = slot.entity.as_ref().and_then(Entity::job);
        let cancel = job.is_some_and(|job| job.should_stop(lease.node));
        let grace = Duration::from_millis(u64::try_from(self.settings.grace_ms).unwrap_or(0));
        if lease.epoch.is_void_in(self.incarnation) {
            return Self::lease_lost();
        }
        match slot.work.keep(lease, self.now) {
            Some(time) => {
                self.hear(slot, lease, beat);
                Response::Heartbeat {
                    expires_at: time.expires_at,
                    heartbeat_ms: heartbeat_ms(time.lease_ms, grace),
                    cancel,
                }
            }
            None => Self::lease_lost(),
        }
    }

    /// The refusal of a heartbeat or report for an attempt that is not the newest running one.
    pub(super) fn lease_lost() -> Response {
        Response::Refused(Refusal::LeaseLost)
    }

    fn hear(&mut self, slot: &mut Slot, lease: LeaseId, beat: &Beat) {
        if let Some(progress) = beat.progress {
            slot.heard.hear_progress(lease, progress);
        }
        let Some(details) = &beat.details else { return };
        if self.details_bytes + details.get().len() as u64 > DETAILS_BYTES_MAX {
            self.counts.details_dropped += 1;
            return;
        }
        let job = slot.entity.as_ref().and_then(Entity::job);
        let handed_on = job.and_then(|job| job.handed_on.get(&lease.node));
        let known = handed_on.and_then(|handed_on| handed_on.details.clone());
        self.change_heard(slot, |heard| heard.hear_details(lease, details, known.as_ref()));
    }

    /// What the event of this command is to carry, if there will be one.
    pub(super) fn heard_with(slot: &Slot, command: &Command) -> Carried {
        slot.heard.next(command.job().map_or(&[], |command| command.may_end()))
    }

    /// An event was decided: what it carries need not be said again.
    pub(super) fn is_said(slot: &mut Slot, event: Option<&JobEvent>) {
        for heard in event.iter().flat_map(|event| &event.heard) {
            slot.heard.is_said(heard);
        }
    }

    /// Events are durable: what they carry is kept no more.
    pub(super) fn is_durable(&mut self, slot: &mut Slot, events: &[EntityEvent]) {
        for heard in events.iter().filter_map(EntityEvent::job).flat_map(|event| &event.heard) {
            self.change_heard(slot, |kept| kept.is_durable(heard));
        }
    }

    /// No attempt of the node runs any more.
    pub(super) fn forget_heard(&mut self, slot: &mut Slot, node: u32) {
        self.change_heard(slot, |heard| heard.forget(node));
    }

    /// Nothing of the subject is kept any more.
    pub(super) fn forget_all_heard(&mut self, slot: &mut Slot) {
        self.change_heard(slot, |heard| *heard = SlotHeard::default());
    }

    /// Every change goes through here, so that the sum over all subjects is right.
    fn change_heard(&mut self, slot: &mut Slot, change: impl FnOnce(&mut SlotHeard)) {
        let before = slot.heard.bytes();
        change(&mut slot.heard);
        self.details_bytes = self.details_bytes + slot.heard.bytes() - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_a_third_of_the_lease_or_of_the_grace_apart() {
        let grace = Duration::from_secs(30);
        assert_eq!(heartbeat_ms(30_000, grace), 10_000);
        assert_eq!(heartbeat_ms(6_000, grace), 2_000);
        assert_eq!(heartbeat_ms(3_600_000, grace), 10_000);
        assert_eq!(heartbeat_ms(30_000, Duration::ZERO), HEARTBEAT_MS_MIN);
    }
}
