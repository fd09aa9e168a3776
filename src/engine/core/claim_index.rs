//! Which attempts run here under which claim: changed where an attempt begins or ends, and made anew from the jobs that are
//! loaded. An entry alone grants nothing: the subject's own word counts.
//! Absent: who asks, and what other engines know (`claims`).

use domain::node::attempt::AttemptRef;

use crate::engine::core::Core;
use crate::engine::core::claims::{ClaimKey, key_of};
use crate::engine::core::leasing::granted;
use crate::engine::core::message::{Granted, LeaseRequest};
use crate::engine::core::slot::Slot;

impl Core {
    /// Leases that run here under a request's claim.
    pub(super) fn claimed_before(&self, request: &LeaseRequest) -> Vec<Granted> {
        key_of(request).map(|key| self.claimed_here(&key)).unwrap_or_default()
    }

    /// Leases that run here under a claim.
    pub(super) fn claimed_here(&self, key: &ClaimKey) -> Vec<Granted> {
        let Some(places) = self.claims.get(key) else { return Vec::new() };
        let granted = places.iter().filter_map(|(ix, node)| {
            let slot = self.slots.get(*ix)?;
            let lease = slot.leases.get(node)?;
            if lease.epoch.is_void_in(self.incarnation) {
                return None;
            }
            let job = slot.entity.as_ref()?.job()?;
            // The place may be another subject's by now: the subject's own word counts.
            let mark = job.claims.get(node)?;
            let same = (&job.namespace, &mark.worker, &mark.claim) == (&key.0, &key.1, &key.2);
            let attempt = job.nodes.get(*node as usize).filter(|_| same)?.attempt;
            granted(slot, AttemptRef { node: *node, attempt, epoch: lease.epoch }, self.now)
        });
        granted.collect()
    }

    /// The claim of a node's running attempt, if it has one: the index is changed where that changes.
    pub(super) fn refresh_claim(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        node: u32,
        claim: Option<ClaimKey>,
    ) {
        if slot.claimed.get(&node) == claim.as_ref() {
            return;
        }
        if let Some(key) = slot.claimed.remove(&node) {
            self.unclaim(&key, (ix, node));
        }
        if let Some(key) = claim {
            slot.claimed.insert(node, key.clone());
            self.claims.entry(key).or_default().insert((ix, node));
        }
    }

    /// The subject leaves memory, or is not driven here any more.
    pub(super) fn forget_claims(&mut self, ix: u32, slot: &mut Slot) {
        for (node, key) in std::mem::take(&mut slot.claimed) {
            self.unclaim(&key, (ix, node));
        }
    }

    fn unclaim(&mut self, key: &ClaimKey, place: (u32, u32)) {
        let Some(places) = self.claims.get_mut(key) else { return };
        places.remove(&place);
        if places.is_empty() {
            self.claims.remove(key);
        }
    }
}
