//! What tests ask of the engines: jobs, leases, reports, environments, with and without waiting for the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::state::EnvironmentState;
use domain::ids::{CommandId, EnvironmentName, JobId, LeaseId, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::job::summary::JobSnapshot;
use domain::payload::Hash;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::message::{
    Beat, Caller, Command, Granted, Input, LeaseRequest, Request, Response, Shown, Ticket,
};

use super::Lab;
use crate::harness::jobs;

impl Lab {
    /// Asks without waiting.
    pub(crate) fn send(&mut self, at: usize, request: Request) -> Ticket {
        let ticket = self.give(at, request, false);
        self.settle();
        ticket
    }

    /// Asks, and lets nobody have a turn yet.
    pub(crate) fn give(&mut self, at: usize, request: Request, forwarded: bool) -> Ticket {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.members[at].core.handle(self.now, Input::Request { ticket, request, forwarded });
        ticket
    }

    /// Asks for many things in one breath, without waiting.
    pub(crate) fn send_all(&mut self, at: usize, requests: Vec<Request>) -> Vec<Ticket> {
        let first = self.next_ticket + 1;
        for request in requests {
            self.next_ticket += 1;
            let input = Input::Request { ticket: self.next_ticket, request, forwarded: false };
            self.members[at].core.handle(self.now, input);
        }
        self.settle();
        (first..=self.next_ticket).collect()
    }

    /// Asks, and changes who drives before the engine has had its turn.
    pub(crate) fn send_and_route(
        &mut self,
        at: usize,
        request: Request,
        drivers: Vec<Option<u32>>,
    ) -> Ticket {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let input = Input::Request { ticket, request, forwarded: false };
        self.members[at].core.handle(self.now, input);
        self.route(at, drivers);
        ticket
    }

    /// What came as an answer so far, if anything did.
    pub(crate) fn heard(&mut self, ticket: Ticket) -> Option<Response> {
        self.answers.remove(&ticket)
    }

    /// The client does not wait any more; whoever carries answers may know it (`noticed`) or find out at the answer.
    pub(crate) fn leave(&mut self, at: usize, ticket: Ticket, noticed: bool) {
        if noticed {
            self.members[at].core.handle(self.now, Input::Gone { ticket });
        } else {
            self.gone.insert(ticket);
        }
        self.settle();
    }

    /// Asks, and has the answer at once.
    pub(crate) fn ask(&mut self, at: usize, request: Request) -> Response {
        let ticket = self.send(at, request);
        self.heard(ticket).expect("an answer")
    }

    pub(crate) fn command(&mut self, at: usize, subject: &SubjectId, job: JobCommand) -> Response {
        self.next_ticket += 1;
        let id = CommandId::parse(&format!("minted {}", self.next_ticket)).expect("an id");
        let mark = Some(CommandMark { id, body: Hash::of(b"a body"), keyed: false });
        self.command_by(at, subject, job, Caller { mark, ..Caller::engine() })
    }

    pub(crate) fn command_by(
        &mut self,
        at: usize,
        subject: &SubjectId,
        job: JobCommand,
        caller: Caller,
    ) -> Response {
        let command = Command::Job(job);
        self.ask(at, Request::Command { subject: subject.clone(), command, caller })
    }

    /// The request that makes a job.
    pub(crate) fn submission(&mut self, number: u128, job: JobSpec) -> (SubjectId, Request) {
        let subject = jobs::subject(number);
        self.subjects.insert(subject.clone());
        let submission = jobs::submission(JobId(subject.id), job, self.now);
        let command = Command::Job(JobCommand::Submit(Arc::new(submission)));
        let request =
            Request::Command { subject: subject.clone(), command, caller: Caller::engine() };
        (subject, request)
    }

    pub(crate) fn submit(&mut self, at: usize, number: u128, job: JobSpec) -> SubjectId {
        let (subject, request) = self.submission(number, job);
        let response = self.ask(at, request);
        assert!(matches!(response, Response::Command { .. }), "{response:?}");
        subject
    }

    pub(crate) fn lease(&mut self, at: usize, request: LeaseRequest) -> Vec<Granted> {
        match self.ask(at, Request::Lease(request)) {
            Response::Leases(granted) => granted,
            other => panic!("no leases but {other:?}"),
        }
    }

    pub(crate) fn complete(&mut self, at: usize, granted: &Granted) -> Response {
        let outcome =
            Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
        self.ask(at, report_of(granted, outcome, b"done"))
    }

    pub(crate) fn heartbeat(&mut self, at: usize, granted: &Granted) -> Response {
        self.ask(at, heartbeat(granted))
    }

    /// Leases and completes until there is nothing; answers how many.
    pub(crate) fn work(&mut self, at: usize) -> usize {
        let mut done = 0;
        loop {
            let granted = self.lease(at, jobs::poll("worker", 1_000));
            if granted.is_empty() {
                return done;
            }
            for one in &granted {
                assert!(recorded(&self.complete(at, one)));
                done += 1;
            }
        }
    }

    pub(crate) fn job(&mut self, at: usize, subject: &SubjectId) -> Option<JobSnapshot> {
        match self.ask(at, Request::Read { subject: subject.clone() }) {
            Response::Read(Some(Shown::Job(job))) => Some(*job),
            Response::Read(None) => None,
            other => panic!("no job but {other:?}"),
        }
    }

    pub(crate) fn status(&mut self, subject: &SubjectId) -> JobStatus {
        self.job(0, subject).expect("the job").head.status
    }

    pub(crate) fn define(&mut self, at: usize, name: &str, slots: u64) -> SubjectId {
        let name = EnvironmentName::parse(name).expect("a name");
        let capacity = BTreeMap::from([("slots".to_owned(), slots)]);
        let definition = Definition::check(None, capacity).expect("a definition");
        let subject = SubjectId::environment(jobs::namespace(), &name);
        self.subjects.insert(subject.clone());
        let namespace = jobs::namespace();
        let command =
            Command::Environment(EnvironmentCommand::Define { namespace, name, definition });
        let request =
            Request::Command { subject: subject.clone(), command, caller: Caller::engine() };
        assert!(matches!(self.ask(at, request), Response::Command { .. }));
        subject
    }

    pub(crate) fn environment(&mut self, subject: &SubjectId) -> EnvironmentState {
        match self.ask(0, Request::Read { subject: subject.clone() }) {
            Response::Read(Some(Shown::Environment(state))) => *state,
            other => panic!("no environment but {other:?}"),
        }
    }
}

pub(crate) fn recorded(response: &Response) -> bool {
    matches!(response, Response::Command { answer: Answer::Recorded, .. })
}

pub(crate) fn replayed(response: &Response) -> bool {
    matches!(response, Response::Command { answer: Answer::RecordedBefore, .. })
}

pub(crate) fn heartbeat(granted: &Granted) -> Request {
    Request::Heartbeat {
        namespace: granted.namespace.clone(),
        lease: granted.lease,
        beat: Beat::default(),
    }
}

pub(crate) fn report_of(granted: &Granted, outcome: Outcome, body: &[u8]) -> Request {
    let LeaseId { job, node, epoch } = granted.lease;
    let report = Report { node, epoch, hash: Hash::of(body), outcome };
    Request::Command {
        subject: SubjectId::job(granted.namespace.clone(), job),
        command: Command::Job(JobCommand::Report(Box::new(report))),
        caller: Caller::engine(),
    }
}
