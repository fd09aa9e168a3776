//! Who takes a request: this engine when it drives the subject's group, else the one that does. When nobody is known,
//! or the driver does not answer, it is decided here, which the append makes safe.

use domain::ids::{CommandId, Millis, SubjectId};
use domain::payload::Hash;
use domain::planted::{self, Planted};
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;

use crate::engine::core::Core;
use crate::engine::core::kinds::Entity;
use crate::engine::core::message::{
    ASKED, Caller, Command, EngineId, Failure, ForwardTicket, Output, Request, Response, Ticket,
};
use crate::engine::core::peers::Sent;
use crate::engine::core::residency::{Phase, Slot};
use crate::engine::core::waiting::{Origin, Waiting};

/// A driver that does not answer in so long is passed over: what it was asked is decided here.
const WITHIN_MS: Millis = 2_000;

impl Core {
    /// Groups changed hands: what is not driven any more leaves memory with everything volatile.
    pub(in crate::engine::core) fn routes(&mut self, drivers: Vec<Option<EngineId>>) {
        for (group, is_driven) in self.routing.change(drivers) {
            self.unread.group_changes(group, is_driven);
        }
        self.unread.undriven(self.routing.has_undriven());
        let is_lost = |ix: &u32| {
            let slot = self.slots.get(*ix).filter(|slot| !slot.transient);
            slot.is_some_and(|slot| !self.routing.drives(&slot.subject))
        };
        let lost: Vec<u32> = self.slots.numbers().filter(is_lost).collect();
        for ix in lost {
            self.become_transient(ix);
        }
        self.send_notices();
    }

    /// Takes a request about one subject, or passes it on.
    pub(in crate::engine::core) fn route(
        &mut self,
        ticket: Ticket,
        request: Request,
        forwarded: bool,
    ) {
        let Some(subject) = request.subject() else { return };
        match self.routing.other_driver(&subject).filter(|_| !forwarded) {
            Some(to) => {
                let (request, within_ms) = (self.named(request), WITHIN_MS);
                let ticket = ForwardTicket::Asker(ticket);
                self.outputs.push_back(Output::Forward { to, ticket, request, within_ms });
            }
            None => self.take_on(ticket, &subject, request),
        }
    }

    /// Takes a request about a subject that this engine drives, or decides about all the same.
    fn take_on(&mut self, ticket: Ticket, subject: &SubjectId, request: Request) {
        match request {
            Request::Command { command, caller, .. } => {
                let optimistic = command.makes_subject();
                let origin = Origin::Asked(ticket);
                let waiting = Waiting::Command { origin, command, caller, tries: 0 };
                self.enqueue(subject, waiting, optimistic);
            }
            Request::Read { .. } => {
                let waiting = Waiting::Read { ticket: Some(ticket) };
                if !self.at_once(subject, &waiting) {
                    self.enqueue(subject, waiting, false);
                }
            }
            Request::Heartbeat { lease, beat, .. } => {
                if !self.routing.drives(subject) || !self.owns_groups() {
                    // Expiries are the driver's alone: somebody who does not surely drive can promise nothing.
                    return self.fail(ticket, Failure::Unavailable);
                }
                let waiting = Waiting::Heartbeat { ticket: Some(ticket), lease, beat };
                if !self.at_once(subject, &waiting) {
                    self.enqueue(subject, waiting, false);
                }
            }
            Request::AskGrant { grant, .. } => {
                self.ask_grant(subject, grant);
                self.answer(ticket, Response::Read(None));
            }
            Request::Inspect { nodes, ask, .. } => {
                let inspection = self.inspection(subject, &nodes, ask);
                self.answer(ticket, Response::Inspection(inspection));
            }
            Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Claimed { .. }
            | Request::Queues { .. }
            | Request::Workers { .. } => {}
        }
    }

    /// Sends a command to another subject, here or elsewhere; nobody waits for the answer but its origin.
    pub(super) fn send(
        &mut self,
        subject: &SubjectId,
        command: impl Into<Command>,
        origin: Origin,
    ) {
        match self.routing.other_driver(subject) {
            Some(to) => {
                let (subject, caller) = (subject.clone(), Caller::engine());
                let sent = Sent::Command { subject: subject.clone(), origin };
                let command = command.into();
                let request = Request::Command { subject, command, caller };
                self.send_to(to, request, sent, WITHIN_MS);
            }
            None => self.enqueue(subject, Waiting::own(origin, command), false),
        }
    }

    /// A command that is passed on gets an id, which goes with it wherever it is decided: asked again, or decided here
    /// after silence, it gets its first answer. Submissions (by the job's id), reports and what engines tell each other are
    /// known again without.
    fn named(&mut self, request: Request) -> Request {
        let Request::Command { subject, command, caller } = request else { return request };
        if command.is_idempotent() || caller.mark.is_some() || planted::on(Planted::ForwardedTwice)
        {
            return Request::Command { subject, command, caller };
        }
        let (high, low) = (self.dice.draw(), self.dice.draw());
        let id = format!("engine/{}/{high:016x}{low:016x}", self.routing.me());
        let body = Hash::of(id.as_bytes());
        let mark = CommandId::parse(&id).ok().map(|id| CommandMark { id, body, keyed: false });
        Request::Command { subject, command, caller: Caller { mark, ..caller } }
    }

    /// Another engine has answered: whoever asked here is told.
    pub(in crate::engine::core) fn forwarded(&mut self, ticket: ForwardTicket, response: Response) {
        let number = match ticket {
            ForwardTicket::Asker(ticket) => return self.answer(ticket, response),
            ForwardTicket::Own(number) => number,
        };
        match self.outbox.comes_back(number) {
            Some(Sent::Command { subject, origin: Origin::Grant { environment, run, number } }) => {
                self.grant_answered(&subject, &environment, run, number, &response);
            }
            Some(Sent::Lease(sent)) => self.leased_elsewhere(sent, Some(response)),
            Some(Sent::Claim { key, to }) => self.claim_told(number, to, &key, Some(response)),
            // Nobody waits for the answer to what an engine asks for itself.
            Some(Sent::Command { .. } | Sent::Grant) | None => {}
        }
    }

    /// Another engine did not answer, which says nothing about what it did: it is decided here.
    pub(in crate::engine::core) fn not_forwarded(
        &mut self,
        ticket: ForwardTicket,
        request: Request,
    ) {
        let number = match ticket {
            // Only its driver can note what a job asks for; the job asks again.
            ForwardTicket::Asker(_) if matches!(request, Request::AskGrant { .. }) => return,
            ForwardTicket::Asker(ticket) => return self.request(ticket, request, true),
            ForwardTicket::Own(number) => number,
        };
        match self.outbox.comes_back(number) {
            Some(Sent::Command { subject, origin }) => {
                if planted::on(Planted::GrantFreedBySilence)
                    && let Origin::Grant { environment, run, number } = &origin
                {
                    let answer = Response::Command { answer: Answer::Nothing, shown: None };
                    return self.grant_answered(&subject, environment, *run, *number, &answer);
                }
                if let Request::Command { command, caller, .. } = request {
                    let waiting = Waiting::Command { origin, command, caller, tries: 0 };
                    self.enqueue(&subject, waiting, false);
                }
            }
            Some(Sent::Lease(sent)) => self.leased_elsewhere(sent, None),
            Some(Sent::Claim { key, to }) => self.claim_told(number, to, &key, None),
            Some(Sent::Grant) | None => {}
        }
    }

    /// What needs no append does not wait for those of others: a heartbeat that keeps its lease, and a look, where the
    /// committed state is at hand and nobody else can drive the subject. Answers whether it was answered.
    fn at_once(&mut self, subject: &SubjectId, waiting: &Waiting) -> bool {
        // Where others may write, who drives may have changed with what is heard next.
        if !self.settings.alone {
            return false;
        }
        let Some(ix) = self.slots.find(subject) else { return false };
        let fits = |slot: &Slot| {
            slot.reading.is_ready()
                && slot.stage.is_settled()
                && !slot.transient
                && slot.damaged.is_none()
        };
        if !self.slots.get(ix).is_some_and(fits) {
            return false;
        }
        let answer = |core: &mut Self, slot: &mut Slot| match waiting {
            Waiting::Read { ticket } => {
                Some((*ticket, Response::Read(slot.entity.as_ref().map(Entity::shown))))
            }
            Waiting::Heartbeat { ticket, lease, beat } => {
                Some((*ticket, core.heartbeat(slot, *lease, beat)))
            }
            Waiting::Command { .. } => None,
        };
        let Some((asker, response)) = self.with_slot(ix, answer).flatten() else { return false };
        // A no rests on the newest events, which others may have written.
        let is_yes = matches!(response, Response::Read(Some(_)) | Response::Heartbeat { .. });
        if is_yes {
            self.respond(asker, response);
        }
        is_yes
    }

    /// Answers whoever waits, if anybody does.
    fn respond(&mut self, asker: Option<Ticket>, response: Response) {
        if let Some(ticket) = asker {
            self.answer(ticket, response);
        }
    }

    /// Puts something to a subject's queue, loading the subject first where it is not in memory. A first command is
    /// tried without a look: the append says whether the stream exists.
    pub(super) fn enqueue(&mut self, subject: &SubjectId, waiting: Waiting, optimistic: bool) {
        let known = self.slots.find(subject);
        let ix = known.unwrap_or_else(|| self.open(subject, optimistic));
        if known.is_some() {
            self.prioritize_load(ix);
        }
        let urgency = waiting.urgency();
        let Some(slot) = self.slots.get_mut(ix) else { return };
        self.backlog.push_back(&mut slot.queue, waiting);
        if known.is_none() {
            // The read that it asks for itself begins after it.
            slot.reading.waits_too();
        }
        if slot.transient && slot.reading.is_ready() && slot.seq > 0 {
            slot.reading.set_stale(true);
        }
        if slot.reading.is_ready() && !slot.stage.is_in_flight() {
            self.backlog.is_runnable(ix, urgency, self.now);
        }
    }

    /// The stream of a slot is read before those that nobody asks for. Once is enough.
    fn prioritize_load(&mut self, ix: u32) {
        let waits = |slot: &&Slot| slot.reading.phase() == Phase::Loading && slot.queue.is_empty();
        if let Some(slot) = self.slots.get(ix).filter(waits) {
            self.outputs.push_back(Output::PrioritizeLoad { subject: slot.subject.clone() });
        }
    }

    /// A new slot for somebody who asks; its stream is read unless it is believed not to exist.
    pub(super) fn open(&mut self, subject: &SubjectId, absent: bool) -> u32 {
        self.open_slot(subject, (!absent).then_some(ASKED))
    }

    /// A new slot for what is due then.
    pub(super) fn open_due(&mut self, subject: &SubjectId, due: Millis) -> u32 {
        self.open_slot(subject, Some(due))
    }

    /// A new slot; its stream is read when it says when that is due.
    fn open_slot(&mut self, subject: &SubjectId, due: Option<Millis>) -> u32 {
        let phase = if due.is_none() { Phase::Ready } else { Phase::Loading };
        let genesis = domain::history::genesis(subject);
        let mut slot = Slot::new(subject.clone(), phase, genesis, self.now);
        slot.transient = !self.routing.drives(subject);
        let transient = slot.transient;
        if let Some(due) = due {
            self.outputs.push_back(Output::Load { subject: subject.clone(), due });
        }
        let ix = self.slots.add(slot);
        if due.is_some() {
            self.projection.unread(ix, self.now);
            if !transient {
                self.unread.reads(ix);
            }
        }
        ix
    }

    /// Refuses everything that waits for a subject.
    pub(super) fn refuse_all(&mut self, ix: u32, slot: &mut Slot, failure: &Failure) {
        slot.reading.covers_nobody();
        for waiting in self.backlog.take_all(&mut slot.queue) {
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
            Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. } => {
                self.respond(*ticket, Response::Failed(failure.clone()));
            }
            Waiting::Command { origin, command, .. } => match origin {
                Origin::Asked(ticket) => self.fail(*ticket, failure.clone()),
                Origin::Lease { request, nodes } => {
                    self.end_reservation(ix, slot, nodes);
                    self.lease_part(*request, Err(failure.clone()));
                }
                Origin::Clock => self.clock_later(ix, slot, command),
                Origin::Grant { .. } | Origin::Admission { .. } | Origin::Nobody => {}
            },
        }
    }
}
