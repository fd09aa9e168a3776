//! Which attempts run here under which claim, by the word of the subjects themselves.

use domain::node::attempt::AttemptRef;

use super::leasing::granted;
use crate::engine::core::Core;
use crate::engine::core::leases::{ClaimKey, key_of};
use crate::engine::core::message::{Granted, LeaseRequest};

impl Core {
    /// Leases that run here under a request's claim.
    pub(super) fn claimed_before(&self, request: &LeaseRequest) -> Vec<Granted> {
        key_of(request).map(|key| self.claimed_here(&key)).unwrap_or_default()
    }

    /// Leases that run here under a claim.
    pub(super) fn claimed_here(&self, key: &ClaimKey) -> Vec<Granted> {
        let granted = self.claims.places(key).filter_map(|(ix, node)| {
            let slot = self.slots.get(ix)?;
            let lease = slot.work.lease(node)?;
            if lease.epoch.is_void_in(self.incarnation) {
                return None;
            }
            let job = slot.entity.as_ref()?.job()?;
            // The place may be another subject's by now: the subject's own word counts.
            let mark = job.claims.get(&node)?;
            let same = (&job.namespace, &mark.worker, &mark.claim) == (&key.0, &key.1, &key.2);
            let attempt = job.nodes.get(node as usize).filter(|_| same)?.attempt;
            granted(slot, AttemptRef { node, attempt, epoch: lease.epoch }, self.now)
        });
        granted.collect()
    }
}
