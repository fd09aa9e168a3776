//! Requests of clients on their way: sent to an engine, lost, late, doubled, answered, given up. The client's side of
//! the truth: what was asked, and what an answer that left an engine claims.
//! Always holds: an answer is shown to the checker when it leaves its engine, whoever hears of it.

use domain::ids::{Claim, CorrelationId, LeaseId, Millis, QueueName, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::Hash;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::message::{Caller, Command, Granted, Input, Request, Response, Ticket};

use super::checker::Checker;
use super::world::{Happening, Whose, World};

/// A client waits so long for an answer that should come at once.
const PATIENCE_MS: Millis = 4_000;

/// What was asked, as far as its answer must fit.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Submit {
        order: usize,
    },
    Errand {
        errand: usize,
        command: JobCommand,
    },
    Environment {
        errand: usize,
    },
    /// `again`: the same request another time, at the same moment.
    Lease {
        worker: usize,
        claim: Option<Claim>,
        queue: QueueName,
        again: bool,
    },
    Heartbeat {
        held: u64,
        lease: LeaseId,
    },
    Report {
        held: u64,
        lease: LeaseId,
        hash: Hash,
    },
    Read,
}

/// A request of a client.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) asked: Asked,
    pub(crate) subject: Option<SubjectId>,
    pub(crate) mark: Option<CommandMark>,
    /// By which its event is known, if it is of a kind that nothing else tells apart.
    pub(crate) correlation: Option<CorrelationId>,
    /// The life of the engine that it reached, and the head of its subject then.
    pub(crate) arrived: Option<(Whose, u64)>,
    /// Its client still waits.
    pub(crate) waits: bool,
    /// An answer has left an engine.
    pub(crate) answered: bool,
    /// Events of its subject that somebody had been answered about when it was sent.
    pub(crate) acknowledged: u64,
    /// The engine that it reached asked another one: what it answers was perhaps decided there.
    pub(crate) relayed: bool,
}

impl World {
    /// Asks some engine. Whether anything arrives is the network's.
    pub(crate) fn asks(&mut self, asked: Asked, request: Request, wait_ms: Millis) {
        let at = self.dice.index(self.members.len());
        self.asks_engine(at, vec![(asked.clone(), request.clone())], wait_ms);
        let repeated = self.mix.network.repeated;
        if self.dice.chance(repeated) && !matches!(asked, Asked::Lease { claim: None, .. }) {
            let asked = match asked {
                Asked::Lease { worker, claim, queue, .. } => {
                    Asked::Lease { worker, claim, queue, again: true }
                }
                asked => asked,
            };
            let at = self.dice.index(self.members.len());
            self.asks_engine(at, vec![(asked, request)], wait_ms);
        }
    }

    /// Asks one engine for some things in one breath; their tickets follow one another.
    pub(crate) fn asks_engine(&mut self, at: usize, all: Vec<(Asked, Request)>, wait_ms: Millis) {
        let mut requests = Vec::with_capacity(all.len());
        for (asked, mut request) in all {
            self.steps += 1;
            let ticket = self.ticket();
            let correlation = correlated(&asked, ticket, &mut request);
            let (subject, mark) = match &request {
                Request::Command { subject, caller, .. } => {
                    (Some(subject.clone()), caller.mark.clone())
                }
                Request::Heartbeat { namespace, lease, .. } => {
                    (Some(SubjectId::job(namespace.clone(), lease.job)), None)
                }
                Request::Read { subject } => (Some(subject.clone()), None),
                Request::Lease(_)
                | Request::NextWork { .. }
                | Request::Claimed { .. }
                | Request::AskGrant { .. }
                | Request::Queues { .. }
                | Request::Workers { .. }
                | Request::Inspect { .. } => (None, None),
            };
            let call = Call {
                asked,
                subject: subject.clone(),
                mark,
                correlation,
                arrived: None,
                waits: true,
                answered: false,
                relayed: false,
                acknowledged: subject.as_ref().map_or(0, |of| self.checker.acknowledged(of)),
            };
            if let Call { subject: Some(subject), asked: Asked::Errand { command, .. }, .. } = &call
            {
                self.checker.asks(subject, command);
            }
            self.calls.insert(ticket, call);
            self.after(wait_ms + PATIENCE_MS, Happening::GivesUp { ticket });
            requests.push((ticket, request));
        }
        let lost = self.mix.network.lost_requests;
        if !self.dice.chance(lost) {
            let wait = self.network_wait();
            self.after(wait, Happening::Arrives { at, requests });
        }
    }

    pub(crate) fn network_wait(&mut self) -> Millis {
        let (late, late_ms) = (self.mix.network.late, self.mix.network.late_ms);
        if self.dice.chance(late) {
            return self.dice.wait(0, late_ms);
        }
        let latency = self.mix.network.latency_ms;
        self.dice.wait(0, latency)
    }

    pub(crate) fn arrives(&mut self, at: usize, requests: Vec<(Ticket, Request)>) {
        let of = self.life_of(at);
        let frozen = self.members[at].frozen_until - self.now;
        if self.members[at].core.is_none() {
            return;
        }
        if frozen > 0 {
            return self.after(frozen, Happening::Arrives { at, requests });
        }
        for (ticket, mut request) in requests {
            let Some(call) = self.calls.get_mut(&ticket) else { continue };
            let head = call.subject.as_ref().map_or(0, |subject| self.checker.head(subject));
            call.arrived = Some((of, head));
            if let Request::Lease(poll) | Request::NextWork { request: poll, .. } = &mut request {
                // How long it may wait is said in milliseconds; the engine makes it a time of its own clock.
                poll.wait_until += self.members[at].clock(self.now);
            }
            self.give(of, Input::Request { ticket, request, forwarded: false });
        }
    }

    /// An engine answers somebody: another engine, or a client.
    pub(crate) fn answered(&mut self, of: Whose, ticket: Ticket, response: Response) {
        self.note(ticket ^ kind(&response) << 48 ^ self.now.unsigned_abs() << 16);
        if self.flights.contains_key(&ticket) {
            return self.answers_engine(of, ticket, response);
        }
        let Some(call) = self.calls.get_mut(&ticket).filter(|call| !call.answered) else {
            if ticket != 0 {
                self.checker.break_at("21", &format!("ticket {ticket} is answered twice"));
            }
            return;
        };
        call.answered = true;
        self.checker.answer(of, call, &response);
        let waits = call.waits;
        if self.tells {
            self.tell(&(of, ticket, &response));
        }
        if !waits {
            self.calls.remove(&ticket);
            let noticed = self.mix.network.noticed;
            if self.dice.chance(noticed) {
                self.gives_back(of, response);
            }
            return;
        }
        let lost = self.mix.network.lost_answers;
        if self.dice.chance(lost) {
            // The client finds out by waiting in vain; the engine may have seen that nobody took it.
            let noticed = self.mix.network.noticed;
            if self.dice.chance(noticed) {
                self.gives_back(of, response);
            }
            return;
        }
        let wait = self.network_wait();
        self.after(wait, Happening::Heard { ticket, response });
    }

    /// Leases whose answer could not be written are given back, as the product's executor does.
    pub(crate) fn gives_back(&mut self, of: Whose, response: Response) {
        let Response::Leases(granted) = response else { return };
        for granted in granted {
            self.checker.reports(granted.lease, Hash::of(b"undelivered"), None);
            let input = Input::Undelivered { granted: vec![granted] };
            self.after(0, Happening::Back { of, input });
        }
    }

    pub(crate) fn heard(&mut self, ticket: Ticket, response: Response) {
        let Some(call) = self.calls.remove(&ticket).filter(|call| call.waits) else { return };
        self.hears(&call.asked, Some(response));
    }

    pub(crate) fn gives_up(&mut self, ticket: Ticket) {
        let Some(call) = self.calls.get_mut(&ticket) else { return };
        call.waits = false;
        let asked = call.asked.clone();
        if call.answered {
            // The answer was lost, or is on its way to nobody.
            self.calls.remove(&ticket);
        } else {
            let of = call.arrived.map(|(of, _)| of);
            let leases = matches!(asked, Asked::Lease { .. });
            let noticed = self.mix.network.noticed;
            if let Some(of) = of.filter(|_| leases && self.dice.chance(noticed)) {
                self.after(0, Happening::Back { of, input: Input::Gone { ticket } });
            }
        }
        self.hears(&asked, None);
    }

    /// A client learns what became of what it asked; none: nothing came.
    fn hears(&mut self, asked: &Asked, response: Option<Response>) {
        match *asked {
            Asked::Submit { order } => self.hears_of_order(order, response.as_ref()),
            Asked::Errand { errand, .. } | Asked::Environment { errand } => {
                self.hears_of_errand(errand, response.as_ref());
            }
            Asked::Lease { worker, again: false, .. } => self.hears_of_lease(worker, response),
            Asked::Lease { worker, again: true, .. } => self.hears_again_of_lease(worker, response),
            Asked::Heartbeat { held, .. } => self.hears_of_heartbeat(held, response.as_ref()),
            Asked::Report { held, .. } => self.hears_of_report(held, response.as_ref()),
            Asked::Read => {}
        }
    }
}

/// Each request has a correlation of its own, also when it is the same command again.
fn correlated(asked: &Asked, ticket: Ticket, request: &mut Request) -> Option<CorrelationId> {
    let Request::Command { caller, .. } = request else { return None };
    if Checker::is_named(asked) {
        caller.correlation = CorrelationId::parse(&format!("request-{ticket}")).ok();
    }
    caller.correlation.clone()
}

/// The request that reports on an attempt.
pub(crate) fn report(granted: &Granted, hash: Hash, outcome: Outcome) -> Request {
    let LeaseId { job, node, epoch } = granted.lease;
    let report = Report { node, epoch, hash, outcome };
    Request::Command {
        subject: SubjectId::job(granted.namespace.clone(), job),
        command: Command::Job(JobCommand::Report(Box::new(report))),
        caller: Caller::engine(),
    }
}

/// Tells kinds of answers apart.
fn kind(response: &Response) -> u64 {
    match response {
        Response::Command { .. } => 1,
        Response::Refused(_) => 2,
        Response::Leases(granted) => 8 + granted.len() as u64,
        Response::Heartbeat { .. } => 3,
        Response::Read(_) => 4,
        Response::Queues { .. } | Response::Workers { .. } | Response::Inspection(_) => 5,
        Response::Failed(_) => 6,
    }
}
