//! Who takes a request: this engine when it drives the subject's group, else the one that does. When nobody is known,
//! or the driver does not answer, it is decided here, which the append makes safe.

use domain::ids::SubjectId;

use crate::engine::core::Core;
use crate::engine::core::message::{
    Caller, Command, EngineId, Failure, Output, Request, Response, Ticket,
};
use crate::engine::core::slot::{Origin, Phase, Slot, Waiting};
use crate::event_store::contract::ChainHash;
use domain::environment::command::EnvironmentCommand;
use domain::job::command::JobCommand;
use domain::refusal::Refusal;

impl Core {
    /// Whether this engine drives the subject.
    pub(super) fn drives(&self, subject: &SubjectId) -> bool {
        self.driver_of(subject) == Some(self.me)
    }

    fn driver_of(&self, subject: &SubjectId) -> Option<EngineId> {
        self.drivers.get(usize::from(subject.group().index())).copied().flatten()
    }

    /// Groups changed hands: what is not driven any more leaves memory with everything volatile.
    pub(super) fn routes(&mut self, drivers: Vec<Option<EngineId>>) {
        self.drivers = drivers;
        let lost: Vec<u32> = self
            .slots
            .numbers()
            .filter(|ix| {
                self.slots.get(*ix).is_some_and(|slot| !slot.guest && !self.drives(&slot.subject))
            })
            .collect();
        for ix in lost {
            self.become_guest(ix);
        }
    }

    /// The refusal of what cannot be taken on now: submissions first, finishing work last.
    pub(super) fn overload(&self, request: &Request) -> Option<Failure> {
        let submits = matches!(
            request,
            Request::Command { command: Command::Job(JobCommand::Submit(_)), .. }
        );
        let finishes = matches!(
            request,
            Request::Heartbeat { .. }
                | Request::Command {
                    command: Command::Job(JobCommand::Report(_) | JobCommand::Cancel { .. }),
                    ..
                }
        );
        if submits && self.projection.lag(self.now) > self.settings.view_lag_max_ms {
            return Some(Failure::ViewBehind);
        }
        let most = match (submits, finishes) {
            (true, _) => self.settings.queue_max / 2,
            (_, false) => self.settings.queue_max,
            (_, true) => self.settings.queue_max.saturating_mul(4),
        };
        (self.queued > most).then_some(Failure::Overloaded)
    }

    pub(super) fn route(&mut self, ticket: Ticket, request: Request, forwarded: bool) {
        let subject = match &request {
            Request::Command { subject, .. } | Request::Read { subject } => subject.clone(),
            Request::Heartbeat { namespace, lease } => SubjectId::job(namespace.clone(), lease.job),
            Request::AskGrant { environment, .. } => environment.clone(),
            Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Queues { .. }
            | Request::Workers { .. } => return,
        };
        if let Some(driver) =
            self.driver_of(&subject).filter(|driver| *driver != self.me && !forwarded)
        {
            self.outputs.push_back(Output::Forward { to: driver, ticket, request });
            return;
        }
        match request {
            Request::Command { command, caller, .. } => {
                let optimistic = matches!(
                    command,
                    Command::Job(JobCommand::Submit(_))
                        | Command::Environment(EnvironmentCommand::Define { .. })
                );
                let waiting =
                    Waiting::Command { origin: Origin::Asked(ticket), command, caller, tries: 0 };
                self.enqueue(&subject, waiting, optimistic);
            }
            Request::Read { .. } => self.enqueue(&subject, Waiting::Read { ticket }, false),
            Request::Heartbeat { lease, .. } => {
                if !self.drives(&subject) {
                    // Expiries are the driver's alone: somebody who does not drive can promise nothing.
                    return self.fail(ticket, Failure::Unavailable);
                }
                self.enqueue(&subject, Waiting::Heartbeat { ticket, lease }, false);
            }
            Request::AskGrant { grant, .. } => {
                self.ask_grant(&subject, grant);
                self.answer(ticket, Response::Read(None));
            }
            Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Queues { .. }
            | Request::Workers { .. } => {}
        }
    }

    /// Sends a command to another subject, here or elsewhere; nobody waits for the answer.
    pub(super) fn send(&mut self, subject: &SubjectId, command: Command, origin: Origin) {
        let waiting = Waiting::Command { origin, command, caller: Caller::engine(), tries: 0 };
        let driver = self.driver_of(subject).filter(|driver| *driver != self.me);
        match (driver, waiting) {
            (Some(to), Waiting::Command { origin, command, caller, .. }) => {
                self.next_sent += 1;
                let ticket = self.next_sent;
                self.sent.insert(ticket, (subject.clone(), origin));
                let request = Request::Command { subject: subject.clone(), command, caller };
                self.outputs.push_back(Output::Forward { to, ticket, request });
            }
            (_, waiting) => self.enqueue(subject, waiting, false),
        }
    }

    /// Another engine has answered: whoever asked here is told.
    pub(super) fn forwarded(&mut self, ticket: Ticket, response: Response) {
        match self.sent.remove(&ticket) {
            Some((subject, Origin::Grant { environment, run, number })) => {
                self.grant_answered(&subject, &environment, run, number, &response);
            }
            Some(_) => {}
            None => self.answer(ticket, response),
        }
    }

    /// Another engine did not answer, which says nothing about what it did: it is decided here.
    pub(super) fn not_forwarded(&mut self, ticket: Ticket, request: Request) {
        match (self.sent.remove(&ticket), request) {
            (Some((_, origin)), Request::Command { subject, command, caller }) => {
                let waiting = Waiting::Command { origin, command, caller, tries: 0 };
                self.enqueue(&subject, waiting, false);
            }
            (_, request) => self.request(ticket, request, true),
        }
    }

    /// Puts something to a subject's queue, loading the subject first where it is not in memory. A first command is
    /// tried without a look: the append says whether the stream exists.
    pub(super) fn enqueue(&mut self, subject: &SubjectId, waiting: Waiting, optimistic: bool) {
        let ix = self.slots.find(subject).unwrap_or_else(|| self.open(subject, optimistic));
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.queue.push_back(waiting);
            slot.fresh &= slot.phase != Phase::Ready;
            slot.stale |= slot.guest && slot.phase == Phase::Ready && slot.seq > 0;
            self.queued += 1;
            if slot.phase == Phase::Ready && slot.in_flight.is_none() {
                self.runnable.push_back(ix);
            }
        }
    }

    /// A new slot; its stream is read unless it is believed not to exist.
    pub(super) fn open(&mut self, subject: &SubjectId, absent: bool) -> u32 {
        let phase = if absent { Phase::Ready } else { Phase::Loading };
        let mut slot = Slot::new(subject.clone(), phase, genesis(subject), self.now);
        slot.guest = !self.drives(subject);
        if !absent {
            self.outputs.push_back(Output::Load { subject: subject.clone() });
        }
        self.slots.add(slot)
    }

    /// Refuses everything that waits for a subject.
    pub(super) fn refuse_all(&mut self, ix: u32, slot: &mut Slot, failure: &Failure) {
        for waiting in std::mem::take(&mut slot.queue) {
            self.queued -= 1;
            self.refuse(ix, slot, &waiting, failure);
        }
    }

    /// Says no to whoever waits, if anybody does. Whatever was kept for it is let go of: reservations end, and what
    /// the clock asked for is asked again.
    pub(super) fn refuse(
        &mut self,
        ix: u32,
        slot: &mut Slot,
        waiting: &Waiting,
        failure: &Failure,
    ) {
        match waiting {
            Waiting::Read { ticket }
            | Waiting::Heartbeat { ticket, .. }
            | Waiting::Command { origin: Origin::Asked(ticket), .. } => {
                if *ticket != 0 {
                    self.fail(*ticket, failure.clone());
                }
            }
            Waiting::Command { origin: Origin::Lease { request, nodes }, .. } => {
                self.end_reservation(ix, slot, nodes);
                self.lease_part(*request, Err(failure.clone()));
            }
            Waiting::Command { origin: Origin::Clock, command, .. } => {
                self.clock_later(ix, slot, command);
            }
            Waiting::Command { .. } => {}
        }
    }

    /// The refusal of a heartbeat or report for an attempt that is not the newest running one.
    pub(super) fn lease_lost() -> Response {
        Response::Refused(Refusal::LeaseLost)
    }
}

/// The chain value before a stream's first event.
pub(super) fn genesis(subject: &SubjectId) -> ChainHash {
    domain::history::genesis(subject)
}
