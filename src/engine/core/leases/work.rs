//! What one subject offers and has leased, node by node.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Epoch, LeaseId, Millis, QueueName};

use super::claims::ClaimKey;
use super::dispatch::{Entry, Kind};

/// A running attempt's volatile expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseTime {
    pub(crate) epoch: Epoch,
    pub(crate) expires_at: Millis,
    pub(crate) lease_ms: u64,
}

/// Where a node is offered, and as what.
pub(crate) type WorkPlace = (QueueName, Kind);

/// The nodes of one subject that somebody may work on, or does.
/// Legal: a node is offered, reserved, leased or none of them, never two: a reserved one has been taken out of its
/// queue for a request whose outcome is open, and is offered again or leased when that is known. A claimed one is leased.
#[derive(Debug, Default)]
pub(crate) struct SlotWork {
    /// The newest running attempt of each node.
    leases: BTreeMap<u32, LeaseTime>,
    /// The place of each node that lies in a queue.
    offered: BTreeMap<u32, Entry>,
    /// Where those lie that are not offered where they were submitted: a node may be changed while it lies there.
    offered_at: BTreeMap<u32, WorkPlace>,
    /// The same of those that are leased.
    leased_at: BTreeMap<u32, WorkPlace>,
    /// Nodes handed to a lease request whose outcome is open.
    reserved: BTreeSet<u32>,
    /// Under which claim each running attempt was leased, as the index of claims has it.
    pub(super) claimed: BTreeMap<u32, ClaimKey>,
}

impl SlotWork {
    pub(crate) fn offer_of(&self, node: u32) -> Option<Entry> {
        self.offered.get(&node).copied()
    }

    /// Where it lies; none: where it was submitted, if anywhere.
    pub(crate) fn offered_at(&self, node: u32) -> Option<&WorkPlace> {
        self.offered_at.get(&node)
    }

    /// The node lies in its queue from now on. `at`: where, unless that is where it was submitted.
    pub(crate) fn offers(&mut self, node: u32, entry: Entry, at: Option<WorkPlace>) {
        self.offered.insert(node, entry);
        if let Some(at) = at {
            self.offered_at.insert(node, at);
        }
    }

    /// The node lies in its queue no more. Answers where it lay.
    pub(crate) fn withdraw(&mut self, node: u32) -> Option<(Entry, Option<WorkPlace>)> {
        let entry = self.offered.remove(&node)?;
        Some((entry, self.offered_at.remove(&node)))
    }

    /// Everything that lay in queues.
    pub(crate) fn take_offers(&mut self) -> Vec<(u32, Entry, Option<WorkPlace>)> {
        let mut places = std::mem::take(&mut self.offered_at);
        let offered = std::mem::take(&mut self.offered).into_iter();
        offered.map(|(node, entry)| (node, entry, places.remove(&node))).collect()
    }

    /// The node was taken out of its queue for a request.
    pub(crate) fn reserve(&mut self, node: u32) {
        self.offered.remove(&node);
        self.offered_at.remove(&node);
        self.reserved.insert(node);
    }

    /// What came of that request is known.
    pub(crate) fn release(&mut self, node: u32) {
        self.reserved.remove(&node);
    }

    pub(crate) fn is_reserved(&self, node: u32) -> bool {
        self.reserved.contains(&node)
    }

    pub(crate) fn has_reservations(&self) -> bool {
        !self.reserved.is_empty()
    }

    pub(crate) fn lease(&self, node: u32) -> Option<&LeaseTime> {
        self.leases.get(&node)
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = (u32, &LeaseTime)> {
        self.leases.iter().map(|(node, lease)| (*node, lease))
    }

    /// A newer attempt runs. `at`: where it was leased, unless that is where it was submitted. Answers whether none of the
    /// node ran before.
    pub(crate) fn begin_lease(
        &mut self,
        node: u32,
        lease: LeaseTime,
        at: Option<WorkPlace>,
    ) -> bool {
        let is_first = self.leases.insert(node, lease).is_none();
        if let Some(at) = at.filter(|_| is_first) {
            self.leased_at.insert(node, at);
        }
        is_first
    }

    /// No attempt of the node runs. Answers whether one did, and where it was leased.
    #[expect(
        clippy::option_option,
        reason = "none ran, one ran where it was submitted, one ran elsewhere"
    )]
    pub(crate) fn end_lease(&mut self, node: u32) -> Option<Option<WorkPlace>> {
        self.leases.remove(&node).map(|_| self.leased_at.remove(&node))
    }

    /// The nodes of which an attempt ran, when nothing is kept of them any more.
    pub(crate) fn take_leases(&mut self) -> impl Iterator<Item = (u32, Option<WorkPlace>)> + use<> {
        let mut places = std::mem::take(&mut self.leased_at);
        let leases = std::mem::take(&mut self.leases).into_keys();
        leases.map(move |node| (node, places.remove(&node)))
    }

    /// A heartbeat keeps an attempt for one full period from now; none: it is not the newest one.
    pub(crate) fn keep(&mut self, lease: LeaseId, now: Millis) -> Option<LeaseTime> {
        let time = self.leases.get_mut(&lease.node).filter(|time| time.epoch == lease.epoch)?;
        time.expires_at = now.saturating_add(period(time));
        Some(*time)
    }

    /// Every running attempt is good for one full period more at least.
    pub(crate) fn prolong_leases(&mut self, now: Millis) {
        for lease in self.leases.values_mut() {
            lease.expires_at = lease.expires_at.max(now.saturating_add(period(lease)));
        }
    }
}

fn period(lease: &LeaseTime) -> Millis {
    Millis::try_from(lease.lease_ms).unwrap_or(Millis::MAX)
}
