//! Engines as plain values: cores over one in-memory store, driven by hand. Outputs are carried out at once unless the
//! test holds them; time passes only in `advance`, from one due moment to the next.
//! Always holds: after every step the state of each subject in memory equals the replay of its stream, and no engine
//! wants a turn at a moment that is over (it would spin).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::state::EnvironmentState;
use domain::ids::{CommandId, EnvironmentName, GroupId, JobId, LeaseId, Millis, SubjectId};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::job::spec::JobSpec;
use domain::job::status::JobStatus;
use domain::job::summary::JobSnapshot;
use domain::payload::Hash;
use domain::subject::answer::Answer;
use domain::subject::envelope::CommandMark;
use orrery::engine::core::entity::Entity;
use orrery::engine::core::message::{
    Caller, Command, Granted, Input, LeaseRequest, Output, Request, Response, Shown, Ticket,
};
use orrery::engine::core::{Core, CoreSettings};
use orrery::engine::{deletion, loader};
use orrery::event_store::contract::EventStore;
use orrery::view::contract::View;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

use super::{history, jobs};

use crate::harness::one::One as _;

/// How often an engine looks for what is due.
const LOOK_EVERY_MS: Millis = 5_000;
/// More turns than this at one moment are a spin.
const TURNS_MAX: usize = 20_000;

/// Waits for a future that waits for nothing outside.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("a future that waits for something outside")
}

/// Carries a request to the storage out, at once. Answers what comes back, if anything does.
pub(crate) fn carry(store: &MemoryEventStore, view: &MemoryView, output: Output) -> Option<Input> {
    Some(match output {
        Output::Append { notices, items } => {
            let subjects = items.iter().map(|item| item.subject.clone()).collect();
            let noticed =
                if notices.is_empty() { Ok(()) } else { wait(store.write_notices(notices)) };
            Input::Appended { subjects, outcome: noticed.and_then(|()| wait(store.append(items))) }
        }
        Output::Load { subject, .. } => {
            let result = wait(loader::load(store, &subject)).map(Box::new);
            Input::Loaded { subject, result }
        }
        Output::LoadTail { subject, after, chain } => {
            let result = wait(loader::tail(store, &subject, after, chain));
            Input::Tail { subject, after, result }
        }
        Output::MoveMarks { moves } => {
            Input::MarksMoved { result: wait(store.move_marks(moves.clone())), moves }
        }
        Output::Flush { documents } => {
            let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
            let durable = wait(view.flush(documents)).is_ok() && wait(view.sync()).is_ok();
            Input::Flushed { shown, durable }
        }
        Output::Remove { subject, seq, chain, keep_until } => {
            let result = wait(deletion::remove(store, &subject, seq, chain, keep_until));
            Input::Removed { subject, result }
        }
        Output::ClearNotices { notices } => {
            drop(wait(store.clear_notices(notices)));
            return None;
        }
        Output::Snapshot { subject, snapshot } => {
            drop(wait(store.save_snapshot(&subject, snapshot)));
            return None;
        }
        Output::Answer { .. }
        | Output::Forward { .. }
        | Output::Announce { .. }
        | Output::PrioritizeLoad { .. } => return None,
    })
}

/// What becomes of requests between engines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They arrive, and so do the answers.
    Works,
    /// They do not arrive.
    Cut,
    /// They arrive, their answers do not.
    AnswersLost,
    /// They arrive when whoever asked has long decided by itself (`late_arrive`).
    Late,
}

struct Member {
    core: Core,
    look_at: Millis,
    drivers: Vec<Option<u32>>,
}

/// Engines over one store.
pub(crate) struct Lab {
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) view: Arc<MemoryView>,
    pub(crate) now: Millis,
    pub(crate) settings: CoreSettings,
    pub(crate) way: Way,
    /// What is on its way to which engine, too late.
    late: Vec<(usize, Request)>,
    /// Appends wait in `held` until `release_appends`.
    pub(crate) holds_appends: bool,
    /// And so do flushes.
    pub(crate) holds_flushes: bool,
    /// Flushes answer with a failure.
    pub(crate) view_fails: bool,
    /// Which pages of whose nodes were flushed, in order.
    pub(crate) pages: Vec<(SubjectId, Vec<u32>)>,
    held: VecDeque<(usize, Output)>,
    members: Vec<Member>,
    answers: BTreeMap<Ticket, Response>,
    forwards: BTreeMap<Ticket, (usize, Ticket)>,
    gone: BTreeSet<Ticket>,
    next_ticket: Ticket,
    /// The seq of each subject of each engine that was compared last.
    compared: BTreeMap<(usize, SubjectId), u64>,
    seeds: u64,
    engines: usize,
    /// Requests between engines.
    pub(crate) forwarded: u64,
    /// Times that an engine told others of work.
    pub(crate) announcements: u64,
    /// Turns taken, by which idleness is judged.
    pub(crate) turns: u64,
    pub(crate) subjects: BTreeSet<SubjectId>,
}

impl Lab {
    /// One engine that drives everything.
    pub(crate) fn new() -> Self {
        Self::of(1, CoreSettings::default())
    }

    /// `engines` engines; group g is driven by engine g modulo their number.
    pub(crate) fn of(engines: usize, settings: CoreSettings) -> Self {
        let mut lab = Self {
            store: Arc::new(MemoryEventStore::new("lab")),
            view: Arc::new(MemoryView::default()),
            now: jobs::START,
            settings,
            way: Way::Works,
            late: Vec::new(),
            holds_appends: false,
            holds_flushes: false,
            view_fails: false,
            pages: Vec::new(),
            held: VecDeque::new(),
            members: Vec::new(),
            answers: BTreeMap::new(),
            forwards: BTreeMap::new(),
            gone: BTreeSet::new(),
            next_ticket: 0,
            compared: BTreeMap::new(),
            seeds: 0,
            engines,
            forwarded: 0,
            announcements: 0,
            turns: 0,
            subjects: BTreeSet::new(),
        };
        for at in 0..engines {
            let drivers: Vec<_> = GroupId::all()
                .map(|group| u32::try_from(usize::from(group.index()) % engines).ok())
                .collect();
            let core = lab.core(at, &drivers);
            lab.members.push(Member { core, look_at: lab.now, drivers });
        }
        lab.settle();
        lab
    }

    fn core(&mut self, at: usize, drivers: &[Option<u32>]) -> Core {
        self.seeds += 1;
        let me = u32::try_from(at).expect("few engines");
        let incarnation = wait(self.store.info()).map_or(1, |info| info.incarnation);
        let settings = CoreSettings { alone: self.engines == 1, ..self.settings.clone() };
        let mut core = Core::new(settings, me, incarnation, self.seeds, self.now);
        core.handle(self.now, Input::Drives { until: Millis::MAX });
        let engines = (0..self.engines).filter_map(|at| u32::try_from(at).ok()).collect();
        core.handle(self.now, Input::Peers { engines });
        core.handle(self.now, Input::Routes { drivers: drivers.to_vec() });
        core
    }

    pub(crate) fn core_of(&self, at: usize) -> &Core {
        &self.members[at].core
    }

    /// The engine dies with everything that is not durable, and a new one takes its place.
    pub(crate) fn restart(&mut self, at: usize) {
        self.held.retain(|(of, _)| *of != at);
        self.forwards.retain(|_, (from, _)| *from != at);
        let drivers = self.members[at].drivers.clone();
        self.compared.clear();
        self.members[at].core = self.core(at, &drivers);
        self.members[at].look_at = self.now;
        self.settle();
    }

    /// Who drives what, as one engine sees it.
    pub(crate) fn route(&mut self, at: usize, drivers: Vec<Option<u32>>) {
        let input = Input::Routes { drivers: drivers.clone() };
        self.members[at].core.handle(self.now, input);
        self.members[at].drivers = drivers;
        self.members[at].look_at = self.now;
        self.settle();
    }

    /// The engine that drives a subject, as engine 0 sees it.
    pub(crate) fn driver_of(&self, subject: &SubjectId) -> usize {
        let driver = self.members[0].drivers[usize::from(subject.group().index())];
        usize::try_from(driver.expect("a driver")).expect("few engines")
    }

    /// Runs until nobody has anything to do at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for at in 0..self.members.len() {
                if self.members[at].look_at <= self.now {
                    self.members[at].look_at = self.now + LOOK_EVERY_MS;
                    self.look(at);
                }
                self.turns += 1;
                self.members[at].core.turn(self.now);
                while let Some(output) = self.members[at].core.poll() {
                    moved = true;
                    self.perform(at, output);
                }
                moved |= self.members[at].core.next_due().is_some_and(|due| due <= self.now);
            }
            if !moved {
                self.compare_with_replay();
                return;
            }
        }
        panic!("an engine spins at {}", self.now);
    }

    /// Lets time pass, stopping at every moment at which something is due.
    pub(crate) fn advance(&mut self, ms: Millis) {
        let until = self.now + ms;
        loop {
            let dues = self.members.iter().flat_map(|m| [m.core.next_due(), Some(m.look_at)]);
            let next = dues.flatten().min().expect("the next look");
            self.now = next.clamp(self.now, until);
            self.settle();
            if self.now == until {
                return;
            }
        }
    }

    fn compare_with_replay(&mut self) {
        for (at, member) in self.members.iter().enumerate() {
            for subject in &self.subjects {
                let Some((seq, live)) = member.core.committed_state(subject) else { continue };
                let large = live.job().is_some_and(|job| job.nodes.len() > 100) && seq % 100 != 0;
                let before = self.compared.insert((at, subject.clone()), seq);
                if before == Some(seq) || large {
                    continue;
                }
                let replayed = wait(loader::load_at(self.store.as_ref(), subject, seq));
                // The store may be out of reach by the test's will; what it answers must be the same.
                let Ok(replayed) = replayed else { continue };
                match (live, replayed) {
                    (Entity::Job(live), Some(Entity::Job(replayed))) => {
                        assert_eq!(live.digest(), replayed.digest(), "{subject} at {seq}");
                    }
                    (Entity::Environment(live), Some(Entity::Environment(replayed))) => {
                        assert_eq!(live, &replayed, "{subject} at {seq}");
                    }
                    (_, replayed) => panic!("{subject}: live, but replayed as {replayed:?}"),
                }
            }
        }
    }

    fn look(&mut self, at: usize) {
        let until = self.now + LOOK_EVERY_MS + 1_000;
        for group in GroupId::all() {
            let driver = self.members[at].drivers[usize::from(group.index())];
            if driver.is_none_or(|driver| usize::try_from(driver).ok() != Some(at)) {
                continue;
            }
            if let Ok(marks) = wait(self.store.live(group, until, None, 10_000)) {
                self.members[at].core.handle(self.now, Input::Due { marks, whole: Vec::new() });
                if let Ok(notices) = wait(self.store.notices(group)) {
                    self.members[at].core.handle(self.now, Input::Notices { notices });
                    let whole = vec![group];
                    self.members[at].core.handle(self.now, Input::Due { marks: Vec::new(), whole });
                }
            }
        }
    }

    /// Something reaches one engine.
    pub(crate) fn hears(&mut self, at: usize, input: Input) {
        self.members[at].core.handle(self.now, input);
        self.settle();
    }

    /// The engine could not listen for so long.
    pub(crate) fn stalled(&mut self, at: usize, ms: Millis) {
        self.members[at].core.record_stall(self.now, ms);
        self.settle();
    }

    /// Carries out what was held.
    pub(crate) fn release_appends(&mut self) {
        (self.holds_appends, self.holds_flushes) = (false, false);
        for (at, output) in std::mem::take(&mut self.held) {
            self.perform(at, output);
        }
        self.settle();
    }

    /// Carries out the oldest of what is held; the rest goes on waiting.
    pub(crate) fn release_append(&mut self) {
        let Some((at, output)) = self.held.pop_front() else { return };
        self.holds_appends = false;
        self.perform(at, output);
        self.holds_appends = true;
        self.settle();
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    fn perform(&mut self, at: usize, output: Output) {
        if let Output::Flush { documents } = &output {
            let with_pages = documents.iter().filter(|document| !document.nodes.is_empty());
            self.pages.extend(with_pages.map(|document| {
                let numbers = document.nodes.iter().map(|page| page.number).collect();
                (document.subject.clone(), numbers)
            }));
        }
        let output = match output {
            Output::Append { .. } if self.holds_appends => {
                return self.held.push_back((at, output));
            }
            Output::Flush { .. } if self.holds_flushes => {
                return self.held.push_back((at, output));
            }
            Output::Flush { documents } if self.view_fails => {
                let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                let input = Input::Flushed { shown, durable: false };
                return self.members[at].core.handle(self.now, input);
            }
            Output::Answer { ticket, response } => return self.answered(at, ticket, response),
            Output::Forward { to, ticket, request, .. } => {
                return self.forward(at, to, ticket, request);
            }
            Output::Announce { to, queues } => {
                self.announcements += 1;
                let from = u32::try_from(at).expect("few engines");
                let heard = to.into_iter().filter(|_| self.way != Way::Cut);
                for engine in heard.filter_map(|engine| usize::try_from(engine).ok()) {
                    let input = Input::Announced { from, queues: queues.clone() };
                    self.members[engine].core.handle(self.now, input);
                }
                return;
            }
            output => output,
        };
        let Some(input) = carry(&self.store, &self.view, output) else { return };
        self.members[at].core.handle(self.now, input);
    }

    fn forward(&mut self, at: usize, to: u32, ticket: Ticket, request: Request) {
        let to = usize::try_from(to).expect("few engines");
        self.forwarded += 1;
        if self.way != Way::Works {
            let input = Input::NotForwarded { ticket, request: request.clone() };
            self.members[at].core.handle(self.now, input);
        }
        if self.way == Way::Late {
            return self.late.push((to, request));
        }
        if self.way != Way::Cut {
            self.next_ticket += 1;
            if self.way == Way::Works {
                self.forwards.insert(self.next_ticket, (at, ticket));
            }
            let input = Input::Request { ticket: self.next_ticket, request, forwarded: true };
            self.members[to].core.handle(self.now, input);
        }
    }

    /// What was late arrives; answers what is said to it, which nobody waits for.
    pub(crate) fn late_arrive(&mut self) -> Vec<Response> {
        let late = std::mem::take(&mut self.late);
        let tickets: Vec<_> =
            late.into_iter().map(|(to, request)| self.give(to, request, true)).collect();
        self.settle();
        tickets.into_iter().filter_map(|ticket| self.heard(ticket)).collect()
    }

    fn answered(&mut self, at: usize, ticket: Ticket, response: Response) {
        if let Some((from, ticket)) = self.forwards.remove(&ticket) {
            let input = Input::Forwarded { ticket, response };
            return self.members[from].core.handle(self.now, input);
        }
        if !self.gone.remove(&ticket) {
            let before = self.answers.insert(ticket, response);
            assert!(before.is_none() || ticket == 0, "two answers to one request");
            return;
        }
        let Response::Leases(granted) = response else { return };
        for granted in granted {
            let outcome = Outcome::Release { undelivered: true };
            let request = report_of(&granted, outcome, b"undelivered");
            let input = Input::Request { ticket: 0, request, forwarded: false };
            self.members[at].core.handle(self.now, input);
        }
    }

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

    /// Everything at rest: histories keep the promises, documents show the heads, nothing is kept for nobody.
    pub(crate) fn check_at_rest(&mut self) {
        self.advance(11_000);
        for subject in self.subjects.clone() {
            history::check(self.store.as_ref(), &subject);
            let stream = wait(loader::load(self.store.as_ref(), &subject)).expect("a stream");
            let document = wait(self.view.get(&subject)).expect("a view");
            assert_eq!(document.map(|document| document.seq), Some(stream.seq), "{subject}");
        }
        for at in 0..self.members.len() {
            let [pending, claims, _, sent] = self.core_of(at).kept();
            assert_eq!((pending, claims, sent), (0, 0, 0), "something is kept for nobody");
            assert_eq!(self.core_of(at).counts().queued, 0);
            assert_eq!(self.core_of(at).counts().appends_in_flight, 0);
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
    Request::Heartbeat { namespace: granted.namespace.clone(), lease: granted.lease }
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
