//! What this engine has not read yet of the groups that it drives, and who must wait for it: a request for work under a
//! claim is not served before every subject that may hold its leases was read, or a claim that comes again after a crash
//! would get others.
//! Always holds: a group counts as read when the look for what is due in it is through and each of its streams that is to
//! be read has been; what could not be read is looked for again and counts as unread until then. Nobody waits longer
//! than he wants to, or [`WAITS_MS`]: then he is told to ask again, and nothing is granted.
//! Absent: requests without a claim, which wait for nothing.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{GroupId, Millis};
use domain::planted::{self, Planted};

use crate::engine::core::message::{LeaseRequest, Ticket};

/// Whoever wants to wait for less time waits so long for what is not read: an answer that says nothing helps nobody.
pub(crate) const WAITS_MS: Millis = 10_000;
/// Requests that wait at once; beyond it they are told to ask again.
const WAITING_MAX: usize = 10_000;

/// What is not read, and who waits.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Driven groups in which what is due was not looked for yet, or not with success.
    groups: BTreeSet<GroupId>,
    /// Slots of driven subjects whose streams are being read.
    slots: BTreeSet<u32>,
    /// There are groups whose driver is gone, or not known: nobody can say what is leased there.
    undriven: bool,
    waiting: BTreeMap<Ticket, (LeaseRequest, Millis)>,
    until: BTreeSet<(Millis, Ticket)>,
}

impl Unread {
    /// Whether there are groups that nobody is known to drive.
    pub(crate) fn undriven(&mut self, are_there: bool) {
        self.undriven = are_there;
    }

    /// A stream is to be read.
    pub(crate) fn reads(&mut self, ix: u32) {
        self.slots.insert(ix);
    }

    /// It was read, or is of no interest any more.
    pub(crate) fn has_read(&mut self, ix: u32) {
        self.slots.remove(&ix);
    }

    /// Something of a group could not be read: it is looked for again.
    pub(crate) fn is_unread(&mut self, group: GroupId) {
        self.groups.insert(group);
    }

    /// What is due in these groups was told.
    pub(crate) fn looked(&mut self, groups: &[GroupId]) {
        for group in groups {
            self.groups.remove(group);
        }
    }

    /// Whether something of this engine's groups is not read that may hold leases under any claim.
    pub(crate) fn is_there(&self) -> bool {
        let unread = self.undriven || !self.groups.is_empty() || !self.slots.is_empty();
        unread && !planted::on(Planted::ClaimBeforeRead)
    }

    /// A group is driven here from now on, and unread; or not any more, and not this engine's to read.
    pub(crate) fn group_changes(&mut self, group: GroupId, is_driven: bool) {
        if is_driven {
            self.groups.insert(group);
        } else {
            self.groups.remove(&group);
        }
    }

    /// Keeps a request until everything is read. False: too many wait already.
    pub(crate) fn waits(&mut self, ticket: Ticket, request: LeaseRequest, now: Millis) -> bool {
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        let until = request.wait_until.max(now.saturating_add(WAITS_MS));
        self.until.insert((until, ticket));
        self.waiting.insert(ticket, (request, until));
        true
    }

    /// Takes a request that waits away.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<LeaseRequest> {
        let (request, until) = self.waiting.remove(&ticket)?;
        self.until.remove(&(until, ticket));
        Some(request)
    }

    /// Takes the first that waits, to be served.
    pub(crate) fn take_first(&mut self) -> Option<(Ticket, LeaseRequest)> {
        let ticket = *self.waiting.first_key_value()?.0;
        self.take(ticket).map(|request| (ticket, request))
    }

    /// Takes one away that has waited enough.
    pub(crate) fn waited_enough(&mut self, now: Millis) -> Option<Ticket> {
        let (_, ticket) = self.until.first().copied().filter(|(until, _)| *until <= now)?;
        self.take(ticket);
        Some(ticket)
    }

    /// When somebody has waited enough, or may be served.
    pub(crate) fn next_due(&self, now: Millis) -> Option<Millis> {
        let (until, _) = self.until.first()?;
        Some(if self.is_there() { *until } else { now })
    }
}
