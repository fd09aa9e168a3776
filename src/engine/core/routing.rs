//! Who takes a request: this engine when it drives the subject's group, else the one that does. When nobody is known,
//! or the driver does not answer, it is decided here, which the append makes safe.

use domain::ids::{CommandId, Millis, SubjectId};
use domain::payload::Hash;
use domain::planted::{self, Planted};
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;

use crate::engine::core::claims::ClaimKey;
use crate::engine::core::entity::Entity;
use crate::engine::core::message::{
    ASKED, Caller, Command, EngineId, Failure, LeaseRequest, Output, Request, Response, Ticket,
};
use crate::engine::core::slot::{Origin, Phase, Slot, Waiting};
use crate::engine::core::urgency::Urgency;
use crate::engine::core::{Core, SENT_FROM};
use crate::event_store::contract::ChainHash;
use domain::environment::command::EnvironmentCommand;
use domain::job::command::JobCommand;
use domain::refusal::Refusal;

/// A driver that does not answer in so long is passed over: what it was asked is decided here.
const WITHIN_MS: Millis = 2_000;

/// What this engine itself asked another one.
#[derive(Debug)]
pub(super) enum Sent {
    /// To decide a command, whose answer matters here.
    Command { subject: SubjectId, origin: Origin },
    /// For a part of a pending request for work, on the hint of this number.
    Lease { number: u64, to: EngineId, heard: u64, request: LeaseRequest },
    /// Whether it knows a claim.
    Claim { key: ClaimKey, to: EngineId },
}

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
        let before = std::mem::replace(&mut self.drivers, drivers);
        self.groups_change(&before);
        self.unread.undriven(self.drivers.iter().any(Option::is_none));
        let lost: Vec<u32> = self
            .slots
            .numbers()
            .filter(|ix| {
                self.slots
                    .get(*ix)
                    .is_some_and(|slot| !slot.transient && !self.drives(&slot.subject))
            })
            .collect();
        for ix in lost {
            self.become_transient(ix);
        }
        self.send_notices();
    }

    pub(super) fn route(&mut self, ticket: Ticket, request: Request, forwarded: bool) {
        let subject = match &request {
            Request::Command { subject, .. }
            | Request::Read { subject }
            | Request::Inspect { subject, .. } => subject.clone(),
            Request::Heartbeat { namespace, lease } => SubjectId::job(namespace.clone(), lease.job),
            Request::AskGrant { environment, .. } => environment.clone(),
            Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Claimed { .. }
            | Request::Queues { .. }
            | Request::Workers { .. } => return,
        };
        if let Some(driver) =
            self.driver_of(&subject).filter(|driver| *driver != self.me && !forwarded)
        {
            let request = self.named(request);
            let within_ms = WITHIN_MS;
            self.outputs.push_back(Output::Forward { to: driver, ticket, request, within_ms });
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
            Request::Read { .. } => {
                let waiting = Waiting::Read { ticket };
                if !self.at_once(&subject, &waiting) {
                    self.enqueue(&subject, waiting, false);
                }
            }
            Request::Heartbeat { lease, .. } => {
                if !self.drives(&subject) || !self.owns_groups() {
                    // Expiries are the driver's alone: somebody who does not surely drive can promise nothing.
                    return self.fail(ticket, Failure::Unavailable);
                }
                let waiting = Waiting::Heartbeat { ticket, lease };
                if !self.at_once(&subject, &waiting) {
                    self.enqueue(&subject, waiting, false);
                }
            }
            Request::AskGrant { grant, .. } => {
                self.ask_grant(&subject, grant);
                self.answer(ticket, Response::Read(None));
            }
            Request::Inspect { nodes, ask, .. } => {
                let inspection = self.inspection(&subject, &nodes, ask);
                self.answer(ticket, Response::Inspection(inspection));
            }
            Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Claimed { .. }
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
                let request = Request::Command { subject: subject.clone(), command, caller };
                let sent = Sent::Command { subject: subject.clone(), origin };
                self.send_to(to, request, sent, WITHIN_MS);
            }
            (_, waiting) => self.enqueue(subject, waiting, false),
        }
    }

    /// A command that is passed on gets an id, which goes with it wherever it is decided: asked again, or decided here
    /// after silence, it gets its first answer. Submissions (by the job's id), reports and what engines tell each other are
    /// known again without.
    fn named(&mut self, request: Request) -> Request {
        let Request::Command { subject, command, caller } = request else { return request };
        let changes = match &command {
            Command::Job(command) => matches!(
                command,
                JobCommand::Start
                    | JobCommand::Pause { .. }
                    | JobCommand::Resume { .. }
                    | JobCommand::Cancel { .. }
                    | JobCommand::Patch(_)
            ),
            Command::Environment(command) => matches!(
                command,
                EnvironmentCommand::Define { .. }
                    | EnvironmentCommand::Update(_)
                    | EnvironmentCommand::Delete { .. }
            ),
        };
        if !changes || caller.mark.is_some() || planted::on(Planted::ForwardedTwice) {
            return Request::Command { subject, command, caller };
        }
        let (high, low) = (self.draw(), self.draw());
        let id = format!("engine/{}/{high:016x}{low:016x}", self.me);
        let body = Hash::of(id.as_bytes());
        let mark = CommandId::parse(&id).ok().map(|id| CommandMark { id, body, keyed: false });
        Request::Command { subject, command, caller: Caller { mark, ..caller } }
    }

    /// Another engine has answered: whoever asked here is told.
    pub(super) fn forwarded(&mut self, ticket: Ticket, response: Response) {
        match self.sent.remove(&ticket) {
            Some(Sent::Command { subject, origin: Origin::Grant { environment, run, number } }) => {
                self.grant_answered(&subject, &environment, run, number, &response);
            }
            Some(Sent::Command { .. }) => {}
            Some(Sent::Lease { number, to, heard, request }) => {
                self.leased_elsewhere((number, to, heard), &request, Some(response));
            }
            Some(Sent::Claim { key, to }) => self.claim_told((ticket, to), &key, Some(response)),
            // Nobody waits for the answer to what an engine asks for itself.
            None if ticket >= SENT_FROM || ticket == 0 => {}
            None => self.answer(ticket, response),
        }
    }

    /// Another engine did not answer, which says nothing about what it did: it is decided here.
    pub(super) fn not_forwarded(&mut self, ticket: Ticket, request: Request) {
        match (self.sent.remove(&ticket), request) {
            (Some(Sent::Command { origin, .. }), Request::Command { subject, command, caller }) => {
                if planted::on(Planted::GrantFreedBySilence)
                    && let Origin::Grant { environment, run, number } = &origin
                {
                    let answer = Response::Command { answer: Answer::Nothing, shown: None };
                    return self.grant_answered(&subject, environment, *run, *number, &answer);
                }
                let waiting = Waiting::Command { origin, command, caller, tries: 0 };
                self.enqueue(&subject, waiting, false);
            }
            (Some(Sent::Lease { number, to, heard, request }), _) => {
                self.leased_elsewhere((number, to, heard), &request, None);
            }
            (Some(Sent::Claim { key, to }), _) => self.claim_told((ticket, to), &key, None),
            // Only its driver can note what a job asks for; the job asks again.
            (_, Request::AskGrant { .. }) | (Some(Sent::Command { .. }), _) => {}
            (None, request) => self.request(ticket, request, true),
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
            slot.phase == Phase::Ready
                && slot.is_settled()
                && !slot.transient
                && slot.damaged.is_none()
        };
        if !self.slots.get(ix).is_some_and(fits) {
            return false;
        }
        let Some(mut slot) = self.slots.take(ix) else { return false };
        let response = match waiting {
            Waiting::Read { .. } => Response::Read(slot.entity.as_ref().map(Entity::shown)),
            Waiting::Heartbeat { lease, .. } => self.heartbeat(&mut slot, *lease),
            Waiting::Command { .. } => Self::lease_lost(),
        };
        self.slots.put(ix, slot);
        let (Waiting::Read { ticket } | Waiting::Heartbeat { ticket, .. }) = waiting else {
            return false;
        };
        // A no rests on the newest events, which others may have written.
        let is_yes = matches!(response, Response::Read(Some(_)) | Response::Heartbeat { .. });
        if is_yes {
            self.answer(*ticket, response);
        }
        is_yes
    }

    /// Puts something to a subject's queue, loading the subject first where it is not in memory. A first command is
    /// tried without a look: the append says whether the stream exists.
    pub(super) fn enqueue(&mut self, subject: &SubjectId, waiting: Waiting, optimistic: bool) {
        let known = self.slots.find(subject);
        let ix = known.unwrap_or_else(|| self.open(subject, optimistic));
        if known.is_some() {
            self.prioritize_load(ix);
        }
        let urgency = Urgency::of_waiting(&waiting);
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.queue.push_back(waiting);
            // The read that it asks for itself begins after it.
            slot.read_for += usize::from(known.is_none());
            slot.stale |= slot.transient && slot.phase == Phase::Ready && slot.seq > 0;
            self.queued += 1;
            if slot.phase == Phase::Ready && slot.in_flight.is_none() {
                self.runnable.push(ix, urgency, self.now);
            }
        }
    }

    /// The stream of a slot is read before those that nobody asks for. Once is enough.
    fn prioritize_load(&mut self, ix: u32) {
        let waits = |slot: &&Slot| slot.phase == Phase::Loading && slot.queue.is_empty();
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
        let mut slot = Slot::new(subject.clone(), phase, genesis(subject), self.now);
        slot.transient = !self.drives(subject);
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
        (slot.read_for, slot.covered) = (0, 0);
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
