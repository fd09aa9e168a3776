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

use crate::engine::core::Core;
use crate::engine::core::message::{EngineId, Failure, LeaseRequest, Response, Ticket};
use crate::engine::core::slot::Phase;
use crate::event_store::contract::WakeUp;

/// Whoever wants to wait for less time waits so long for what is not read: an answer that says nothing helps nobody.
pub(super) const WAITS_MS: Millis = 10_000;
/// Requests that wait at once; beyond it they are told to ask again.
const WAITING_MAX: usize = 10_000;

/// What is not read, and who waits.
#[derive(Debug, Default)]
pub(super) struct Unread {
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
    pub(super) fn undriven(&mut self, are_there: bool) {
        self.undriven = are_there;
    }

    /// A stream is to be read.
    pub(super) fn reads(&mut self, ix: u32) {
        self.slots.insert(ix);
    }

    /// It was read, or is of no interest any more.
    pub(super) fn has_read(&mut self, ix: u32) {
        self.slots.remove(&ix);
    }

    /// Something of a group could not be read: it is looked for again.
    pub(super) fn is_unread(&mut self, group: GroupId) {
        self.groups.insert(group);
    }

    /// What is due in these groups was told.
    pub(super) fn looked(&mut self, groups: &[GroupId]) {
        for group in groups {
            self.groups.remove(group);
        }
    }

    fn take(&mut self, ticket: Ticket) -> Option<LeaseRequest> {
        let (request, until) = self.waiting.remove(&ticket)?;
        self.until.remove(&(until, ticket));
        Some(request)
    }
}

impl Core {
    /// What is due in driven groups is read into memory.
    pub(super) fn due(&mut self, marks: Vec<WakeUp>) {
        for mark in marks {
            if !self.drives(&mark.subject) {
                continue;
            }
            match self.slots.find(&mark.subject) {
                Some(ix) => {
                    self.drive_transient(ix);
                    if self.slots.get(ix).is_some_and(|slot| slot.phase == Phase::Loading) {
                        self.unread.reads(ix);
                    }
                }
                None => _ = self.open_due(&mark.subject, mark.due),
            }
        }
    }

    /// The group of a transient subject came back before the transient subject had left memory (its document is on its way to the view): it is
    /// read anew, since nothing volatile was kept of it.
    fn drive_transient(&mut self, ix: u32) {
        let Some(mut slot) = self.slots.take(ix) else { return };
        if slot.transient && slot.is_idle() {
            self.catch_up_whole(&mut slot);
        }
        self.slots.put(ix, slot);
    }

    /// Whether something of this engine's groups is not read that may hold leases under any claim.
    pub(super) fn has_unread(&self) -> bool {
        let Unread { groups, slots, undriven, .. } = &self.unread;
        let unread = *undriven || !groups.is_empty() || !slots.is_empty();
        unread && !planted::on(Planted::ClaimBeforeRead)
    }

    /// Who drives what changed: groups that came are unread, those that went are not this engine's to read.
    pub(super) fn groups_change(&mut self, before: &[Option<EngineId>]) {
        for group in GroupId::all() {
            let at = usize::from(group.index());
            let drives =
                |drivers: &[Option<EngineId>]| drivers.get(at).copied().flatten() == Some(self.me);
            match (drives(before), drives(&self.drivers)) {
                (false, true) => _ = self.unread.groups.insert(group),
                (true, false) => _ = self.unread.groups.remove(&group),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Keeps a request until everything is read.
    pub(super) fn waits_to_be_read(&mut self, ticket: Ticket, request: LeaseRequest) {
        if self.unread.waiting.len() >= WAITING_MAX {
            return self.fail(ticket, Failure::Unavailable);
        }
        let until = request.wait_until.max(self.now.saturating_add(WAITS_MS));
        self.unread.until.insert((until, ticket));
        self.unread.waiting.insert(ticket, (request, until));
    }

    /// Whoever waited is served when everything is read, and told to ask again when he has waited enough.
    pub(super) fn serve_read(&mut self) {
        if !self.has_unread() || self.leaving {
            while let Some((ticket, _)) = self.unread.waiting.first_key_value() {
                let ticket = *ticket;
                if let Some(request) = self.unread.take(ticket) {
                    self.poll_lease(ticket, request, false);
                }
            }
        }
        while let Some((_, ticket)) =
            self.unread.until.first().copied().filter(|(until, _)| *until <= self.now)
        {
            self.unread.take(ticket);
            self.fail(ticket, Failure::Unavailable);
        }
    }

    /// When somebody has waited enough, or may be served.
    pub(super) fn serves_read_at(&self) -> Option<Millis> {
        let (until, _) = self.unread.until.first()?;
        Some(if self.has_unread() { *until } else { self.now })
    }

    /// The asker of a request that waits is gone. Answers whether there was one.
    pub(super) fn gone_unread(&mut self, ticket: Ticket) -> bool {
        let waited = self.unread.take(ticket).is_some();
        if waited {
            self.answer(ticket, Response::Leases(Vec::new()));
        }
        waited
    }
}
