//! What is due in driven groups comes into memory, and requests under a claim that wait until all of it has.

use domain::ids::Millis;

use crate::engine::core::Core;
use crate::engine::core::message::{Failure, LeaseRequest, Response, Ticket};
use crate::engine::core::residency::Phase;
use crate::event_store::contract::WakeUp;

impl Core {
    /// What is due in driven groups is read into memory.
    pub(in crate::engine::core) fn due(&mut self, marks: Vec<WakeUp>) {
        for mark in marks {
            if !self.routing.drives(&mark.subject) {
                continue;
            }
            match self.slots.find(&mark.subject) {
                Some(ix) => {
                    self.drive_transient(ix);
                    let slot = self.slots.get(ix);
                    if slot.is_some_and(|slot| slot.reading.phase() == Phase::Loading) {
                        self.unread.reads(ix);
                    }
                }
                None => _ = self.open_due(&mark.subject, mark.due),
            }
        }
    }

    /// The group of a transient subject came back before it had left memory (its document is on its way to the view): it is
    /// read anew, since nothing volatile was kept of it.
    fn drive_transient(&mut self, ix: u32) {
        self.with_slot(ix, |core, slot| {
            if slot.transient && slot.is_idle() {
                core.catch_up_whole(slot);
            }
        });
    }

    /// Keeps a request until everything is read.
    pub(super) fn waits_to_be_read(&mut self, ticket: Ticket, request: LeaseRequest) {
        if !self.unread.waits(ticket, request, self.now) {
            self.fail(ticket, Failure::Unavailable);
        }
    }

    /// Whoever waited is served when everything is read, and told to ask again when he has waited enough.
    pub(in crate::engine::core) fn serve_read(&mut self) {
        if !self.unread.is_there() || self.leaving {
            while let Some((ticket, request)) = self.unread.take_first() {
                self.poll_lease(ticket, request, false);
            }
        }
        while let Some(ticket) = self.unread.waited_enough(self.now) {
            self.fail(ticket, Failure::Unavailable);
        }
    }

    /// When somebody has waited enough, or may be served.
    pub(in crate::engine::core) fn serves_read_at(&self) -> Option<Millis> {
        self.unread.next_due(self.now)
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
