//! A random script of commands gives the same on every store: answers, states, histories byte for byte, marks, append notices
//! and lists. Two engines over one store: the first drives, the second decides what it is asked by itself and append notices.
//! A script follows from its seed; a store that answers differently anywhere leads to another transcript.
//! With answers lost on the way the same holds, and nothing is doubled, lost or stuck in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::ids::{EnvironmentName, GroupId, Millis, QueueName, SubjectId};
use domain::job::command::{JobCommand, Outcome};
use domain::job::event::{AttemptError, JobEvent};
use domain::job::status::JobStatus;
use orrery::engine::core::entity::{Entity, EntityEvent};
use orrery::engine::core::message::{
    Caller, Command, Granted, Input, LeaseRequest, Output, Request, Response, Ticket,
};
use orrery::engine::core::{Core, CoreSettings};
use orrery::engine::{deletion, loader};
use orrery::event_store::contract::EventStore;
use orrery::view::contract::{JobQuery, JobSort, PageStart, View};
use orrery::view::sqlite::SqliteView;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

use super::lost_answers::LostAnswers;
use super::mongodb::Database;
use crate::harness::one::One as _;
use crate::harness::{history, jobs, lab};
use crate::simulation::dice::Dice;
use crate::simulation::orders::{self, Order};

/// Steps of a script.
const STEPS: usize = 220;
/// How often an engine looks for what is due and what others wrote.
const LOOK_EVERY_MS: Millis = 20_000;
/// How often a request without an outcome is made again, 400 ms apart.
const ASKED_MAX: usize = 12;
/// Ten seconds each, in which everything must come to its end.
const ROUNDS_MAX: usize = 90;
/// A step that needs more turns than this spins.
const TURNS_MAX: usize = 5_000;

/// The stores of one run.
struct Stores {
    store: Arc<dyn EventStore>,
    view: Arc<dyn View>,
}

impl Stores {
    /// Loses so many of a thousand answers; which, follows from the seed.
    fn lossy(self, seed: u64, per_mille: u64) -> Self {
        Self {
            store: Arc::new(LostAnswers::some(self.store, seed, per_mille)),
            view: Arc::new(LostAnswers::some(self.view, !seed, per_mille)),
        }
    }
}

/// A script being carried out.
struct Script {
    stores: Stores,
    engines: Vec<Core>,
    looks_at: [Millis; 2],
    now: Millis,
    dice: Dice,
    next_ticket: Ticket,
    answers: BTreeMap<Ticket, Response>,
    orders: Vec<Order>,
    subjects: BTreeSet<SubjectId>,
    granted: Vec<Granted>,
    starts: u64,
    transcript: Vec<String>,
}

impl Script {
    async fn run(stores: Stores, seed: u64, steps: usize) -> Self {
        let mut script = Self {
            stores,
            engines: Vec::new(),
            looks_at: [jobs::START; 2],
            now: jobs::START,
            dice: Dice::new(seed),
            next_ticket: 0,
            answers: BTreeMap::new(),
            orders: Vec::new(),
            subjects: BTreeSet::new(),
            granted: Vec::new(),
            starts: 0,
            transcript: Vec::new(),
        };
        script.engines = vec![script.engine(0), script.engine(1)];
        script
            .pool(EnvironmentCommand::Define {
                namespace: jobs::namespace(),
                name: EnvironmentName::parse(orders::POOL).expect("a name"),
                definition: slots(2),
            })
            .await;
        for _ in 0..steps {
            script.step().await;
        }
        script
    }

    /// Engine 0 drives everything; engine 1 drives nothing, and reaches nobody.
    fn engine(&mut self, me: u32) -> Core {
        self.starts += 1;
        let settings = CoreSettings {
            alone: false,
            park_after_ms: 30_000,
            snapshot_every_events: 9,
            ..CoreSettings::default()
        };
        let mut core = Core::new(settings, me, 1, self.starts, self.now);
        core.handle(self.now, Input::Drives { until: Millis::MAX });
        core.handle(self.now, Input::Routes { drivers: vec![Some(0); GroupId::all().count()] });
        core
    }

    async fn step(&mut self) {
        let at = usize::from(self.dice.chance(200));
        match self.dice.below(20) {
            0..=3 => self.submits(at).await,
            4..=8 => self.leases(at).await,
            9..=13 => self.reports(at).await,
            14 => self.operates(at).await,
            15 => {
                let slots = slots(self.dice.between(1, 3));
                self.pool(EnvironmentCommand::Update(slots)).await;
            }
            16 => self.reads(at).await,
            17 if self.dice.chance(300) => {
                let me = u32::try_from(at).expect("two engines");
                self.answers.clear();
                self.engines[at] = self.engine(me);
                self.looks_at[at] = self.now;
                self.settle().await;
            }
            _ => {
                let ms = self.dice.pick(&[1, 40, 700, 6_000, 31_000, 45_000]);
                self.advance(ms).await;
            }
        }
    }

    async fn submits(&mut self, at: usize) {
        let number = self.orders.len();
        let mut order = orders::order(&mut self.dice, number, self.now, 300);
        order.mark.get_or_insert_with(|| orders::mark(&format!("submit {number}"), true));
        self.subjects.insert(order.subject.clone());
        self.orders.push(order);
        // Now and then an earlier one comes again.
        let which = if self.dice.chance(150) { self.dice.index(number + 1) } else { number };
        let order = &self.orders[which];
        let command = Command::Job(JobCommand::Submit(Arc::clone(&order.submission)));
        let caller = Caller { mark: order.mark.clone(), ..Caller::engine() };
        let subject = order.subject.clone();
        self.asks(at, Request::Command { subject, command, caller }).await;
    }

    async fn leases(&mut self, at: usize) {
        let most = self.dice.pick(&[1, 2, 5]);
        let claim = self.dice.chance(300).then(|| format!("claim-{}", self.dice.below(8)));
        let request = LeaseRequest {
            claim: claim.map(|word| jobs::claim(&word)),
            lease_ms: self.dice.pick(&[5_000, 30_000]),
            ..jobs::poll("worker", most)
        };
        if let Some(Response::Leases(granted)) = self.asks(at, Request::Lease(request)).await {
            self.granted.extend(granted);
        }
    }

    async fn reports(&mut self, at: usize) {
        if self.granted.is_empty() {
            return;
        }
        let which = self.dice.index(self.granted.len());
        // Some are reported on again, and some when they are long over.
        let one = if self.dice.chance(800) {
            self.granted.swap_remove(which)
        } else {
            self.granted[which].clone()
        };
        if self.dice.chance(100) {
            self.asks(at, lab::heartbeat(&one)).await;
            return;
        }
        let outcome = match self.dice.below(10) {
            0..=6 => {
                let large = self.dice.chance(150);
                let text = if large { "y".repeat(2_500) } else { "done".to_owned() };
                let output = Some(orders::raw(&format!("\"{text}\"")));
                Outcome::Complete { output, warnings: Vec::new(), artifacts: Vec::new() }
            }
            7 => Outcome::Release { undelivered: false },
            _ => Outcome::Fail { error: failure(), details: Some(orders::raw("{\"why\":1}")) },
        };
        self.asks(at, lab::report_of(&one, outcome, b"a report")).await;
    }

    async fn operates(&mut self, at: usize) {
        let Some(order) = self.some_order() else { return };
        let subject = self.orders[order].subject.clone();
        let command = match self.dice.below(6) {
            0 => JobCommand::Pause { reason: Some("wait".to_owned()) },
            1 => JobCommand::Resume { reason: None },
            2 => JobCommand::Cancel { reason: None },
            3 => JobCommand::Start,
            _ => JobCommand::Delete { unchanged_since: self.now },
        };
        self.commands(at, subject, command).await;
    }

    async fn commands(&mut self, at: usize, subject: SubjectId, command: JobCommand) {
        let mark = orders::mark(&format!("command {}", self.next_ticket), false);
        let caller = Caller { mark: Some(mark), ..Caller::engine() };
        let command = Command::Job(command);
        self.asks(at, Request::Command { subject, command, caller }).await;
    }

    async fn reads(&mut self, at: usize) {
        let Some(order) = self.some_order() else { return };
        let subject = self.orders[order].subject.clone();
        self.asks(at, Request::Read { subject }).await;
    }

    fn some_order(&mut self) -> Option<usize> {
        (!self.orders.is_empty()).then(|| self.dice.index(self.orders.len()))
    }

    async fn pool(&mut self, command: EnvironmentCommand) {
        let name = EnvironmentName::parse(orders::POOL).expect("a name");
        let subject = SubjectId::environment(jobs::namespace(), &name);
        self.subjects.insert(subject.clone());
        let mark = Some(orders::mark(&format!("pool {}", self.next_ticket), false));
        let caller = Caller { mark, ..Caller::engine() };
        let command = Command::Environment(command);
        self.asks(0, Request::Command { subject, command, caller }).await;
    }

    /// Asks until there is an outcome; what came is written down.
    async fn asks(&mut self, at: usize, request: Request) -> Option<Response> {
        for _ in 0..ASKED_MAX {
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            let input = Input::Request { ticket, request: request.clone(), forwarded: false };
            self.engines[at].handle(self.now, input);
            self.settle().await;
            let response = self.answers.remove(&ticket);
            let line = format!("{} engine {at} {request:?}: {response:?}", self.now);
            self.transcript.push(line);
            match response {
                None | Some(Response::Failed(_)) => self.advance(400).await,
                Some(response) => return Some(response),
            }
        }
        None
    }

    async fn advance(&mut self, ms: Millis) {
        let until = self.now + ms;
        while self.now < until {
            let dues = self.engines.iter().filter_map(Core::next_due).chain(self.looks_at);
            self.now = dues.min().unwrap_or(until).clamp(self.now, until);
            self.settle().await;
        }
    }

    async fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for at in 0..self.engines.len() {
                if self.looks_at[at] <= self.now {
                    self.looks_at[at] = self.now + LOOK_EVERY_MS;
                    if at == 0 {
                        self.look().await;
                    }
                }
                self.engines[at].turn(self.now);
                while let Some(output) = self.engines[at].poll() {
                    moved = true;
                    self.carries(at, output).await;
                }
                moved |= self.engines[at].next_due().is_some_and(|due| due <= self.now);
            }
            if !moved {
                return;
            }
        }
        panic!("an engine spins at {}", self.now);
    }

    async fn look(&mut self) {
        let until = self.now + LOOK_EVERY_MS + 31_000;
        let groups: BTreeSet<GroupId> = self.subjects.iter().map(SubjectId::group).collect();
        for group in groups {
            if let Ok(marks) = self.stores.store.live(group, until, None, 1_000).await {
                self.engines[0]
                    .handle(self.now, Input::Due { marks, whole: GroupId::all().collect() });
            }
            if let Ok(notices) = self.stores.store.notices(group).await {
                self.engines[0].handle(self.now, Input::Notices { notices });
            }
        }
    }

    async fn carries(&mut self, at: usize, output: Output) {
        let (store, view) = (self.stores.store.as_ref(), self.stores.view.as_ref());
        let input = match output {
            Output::Answer { ticket, response } => {
                self.answers.insert(ticket, response);
                return;
            }
            Output::Forward { ticket, request, .. } => Input::NotForwarded { ticket, request },
            output => match carried(store, view, output).await {
                Some(input) => input,
                None => return,
            },
        };
        self.engines[at].handle(self.now, input);
    }

    /// Everything that can be seen of the stores, and what the driver has in memory.
    async fn closing(&mut self) -> Vec<String> {
        self.advance(LOOK_EVERY_MS * 2).await;
        let mut seen = std::mem::take(&mut self.transcript);
        let store = self.stores.store.as_ref();
        for subject in &self.subjects {
            let mut line = format!("{subject}: mark {:?}", store.mark(subject).await);
            let part = store.read(subject, 1, usize::MAX).await;
            write!(line, " stream {part:?} snapshot ").expect("a text");
            write!(line, "{:?}", store.snapshot(subject).await).expect("a text");
            write!(line, " shown {:?}", self.stores.view.get(subject).await).expect("a text");
            if let Some((seq, Entity::Job(job))) = self.engines[0].committed_state(subject) {
                write!(line, " state {seq} {:?}", job.digest()).expect("a text");
            }
            seen.push(line);
        }
        for group in GroupId::all() {
            seen.push(format!(
                "{group:?}: {:?} {:?}",
                store.live(group, Millis::MAX, None, 1_000).await,
                store.notices(group).await
            ));
        }
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for statuses in [vec![], vec!["completed"], vec!["failed", "running"]] {
                let mut page = self.stores.view.jobs(list(sort, statuses)).await;
                if let (JobSort::Priority, Ok(page)) = (sort, &mut page) {
                    // Views differ in what comes first of one priority.
                    page.items.sort();
                }
                seen.push(format!("{page:?}"));
            }
        }
        seen
    }

    /// Everybody helps until everything is over; then histories keep the promises, replay gives what is in memory, and
    /// the view shows the heads.
    async fn ends_well(&mut self) {
        let mut open: BTreeSet<SubjectId> =
            self.orders.iter().map(|order| order.subject.clone()).collect();
        for _ in 0..ROUNDS_MAX {
            for subject in open.clone() {
                let loaded = loader::load(self.stores.store.as_ref(), &subject).await;
                let status = match loaded.expect("a stream").entity {
                    Some(Entity::Job(job)) => Some(job.head.status),
                    Some(Entity::Environment(_)) | None => None,
                };
                match status {
                    Some(JobStatus::Pending) => self.commands(0, subject, JobCommand::Start).await,
                    Some(JobStatus::Paused) => {
                        self.commands(0, subject, JobCommand::Resume { reason: None }).await;
                    }
                    Some(status) if !status.is_over() => {}
                    Some(_) | None => drop(open.remove(&subject)),
                }
            }
            if open.is_empty() {
                break;
            }
            for queue in orders::QUEUES {
                self.helps(queue).await;
            }
            self.advance(10_000).await;
        }
        assert_eq!(open, BTreeSet::new(), "these are stuck");
        self.advance(LOOK_EVERY_MS).await;
        let store = self.stores.store.as_ref();
        for subject in &self.subjects {
            history::hold(subject, &events(store, subject).await);
            let loaded = loader::load(store, subject).await.expect("a stream");
            if let Some((seq, Entity::Job(job))) = self.engines[0].committed_state(subject) {
                let Some(Entity::Job(replayed)) = &loaded.entity else { panic!("no job") };
                assert_eq!((seq, job.digest()), (loaded.seq, replayed.digest()), "{subject}");
            }
            if loaded.entity.is_some() {
                let shown = self.stores.view.get(subject).await.expect("an answer");
                assert_eq!(shown.map(|shown| shown.seq), Some(loaded.seq), "{subject}");
            }
        }
    }

    /// Completes everything that a queue offers.
    async fn helps(&mut self, queue: &str) {
        let queue = QueueName::parse(queue).expect("a queue");
        let request = LeaseRequest { queue, ..jobs::poll("helper", 500) };
        let granted = self.asks(0, Request::Lease(request)).await;
        let Some(Response::Leases(granted)) = granted else { return };
        for one in granted {
            let outcome =
                Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
            self.asks(0, lab::report_of(&one, outcome, b"help")).await;
        }
    }
}

/// Carries a request to the storage out. Answers what comes back, if anything does.
async fn carried(store: &dyn EventStore, view: &dyn View, output: Output) -> Option<Input> {
    Some(match output {
        Output::Append { notices, items } => {
            let subjects = items.iter().map(|item| item.subject.clone()).collect();
            let noticed =
                if notices.is_empty() { Ok(()) } else { store.write_notices(notices).await };
            let outcome = match noticed {
                Ok(()) => store.append(items).await,
                Err(error) => Err(error),
            };
            Input::Appended { subjects, outcome }
        }
        Output::Load { subject, .. } => {
            let result = loader::load(store, &subject).await.map(Box::new);
            Input::Loaded { subject, result }
        }
        Output::LoadTail { subject, after, chain } => {
            let result = loader::tail(store, &subject, after, chain).await;
            Input::Tail { subject, after, result }
        }
        Output::MoveMarks { moves } => {
            Input::MarksMoved { result: store.move_marks(moves.clone()).await, moves }
        }
        Output::Flush { documents } => {
            let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
            let durable = view.flush(documents).await.is_ok() && view.sync().await.is_ok();
            Input::Flushed { shown, durable }
        }
        Output::Remove { subject, seq, chain, keep_until } => {
            let result = deletion::remove(store, &subject, seq, chain, keep_until).await;
            Input::Removed { subject, result }
        }
        Output::ClearNotices { notices } => {
            // What is not cleared comes again at the next look.
            drop(store.clear_notices(notices).await);
            return None;
        }
        Output::Snapshot { subject, snapshot } => {
            // One that is not kept is made anew.
            drop(store.save_snapshot(&subject, snapshot).await);
            return None;
        }
        Output::Answer { .. }
        | Output::Forward { .. }
        | Output::Announce { .. }
        | Output::PrioritizeLoad { .. } => return None,
    })
}

async fn events(store: &dyn EventStore, subject: &SubjectId) -> Vec<JobEvent> {
    let mut events = Vec::new();
    let genesis = domain::history::genesis(subject);
    loader::fold(store, subject, 0, genesis, |_, _, event, _| {
        if let EntityEvent::Job(event) = event {
            events.push((**event).clone());
        }
    })
    .await
    .expect("a stream that can be read");
    events
}

fn slots(slots: u64) -> Definition {
    Definition::check(None, BTreeMap::from([("slots".to_owned(), slots)])).expect("a definition")
}

fn failure() -> AttemptError {
    AttemptError {
        error_type: "Broken".to_owned(),
        message: "it broke".to_owned(),
        class: "worker.error".to_owned(),
        retryable: None,
        retry_after_ms: None,
        details: None,
    }
}

fn list(sort: JobSort, statuses: Vec<&'static str>) -> JobQuery {
    JobQuery {
        namespace: jobs::namespace(),
        statuses,
        job_type: None,
        tag: None,
        name_prefix: None,
        environment: None,
        parent_job_id: None,
        triggered_by: None,
        error_class: None,
        created_after: None,
        created_before: None,
        sort,
        descending: true,
        start: PageStart::Page(1),
        page_size: 100,
    }
}

fn in_memory() -> Stores {
    let store = Arc::new(MemoryEventStore::new("store-a"));
    Stores { store, view: Arc::new(MemoryView::default()) }
}

fn embedded(folder: &std::path::Path) -> Stores {
    let view = SqliteView::open(&folder.join("view.db")).expect("a view");
    Stores { store: Arc::new(super::embedded::store_in(folder)), view: Arc::new(view) }
}

async fn on_mongodb(database: &Database) -> Stores {
    Stores { store: Arc::new(database.event_store().await), view: Arc::new(database.view()) }
}

/// Where two transcripts part.
fn same(expected: &[String], found: &[String], which: &str) {
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected, found, "{which}: line {at}");
    }
    assert_eq!(expected.len(), found.len(), "{which}");
}

#[tokio::test]
async fn a_script_of_commands_gives_the_same_on_every_store() {
    let mongodb = Database::fresh().await;
    for seed in [1, 2, 3] {
        let expected = Script::run(in_memory(), seed, STEPS).await.closing().await;
        let folder = tempfile::tempdir().expect("a folder");
        let found = Script::run(embedded(folder.path()), seed, STEPS).await.closing().await;
        same(&expected, &found, &format!("embedded, seed {seed}"));
        if seed == 1
            && let Some(database) = &mongodb
        {
            let found = Script::run(on_mongodb(database).await, seed, STEPS).await.closing().await;
            same(&expected, &found, &format!("MongoDB, seed {seed}"));
        }
    }
    if let Some(database) = mongodb {
        database.end().await;
    }
}

#[tokio::test]
async fn a_script_whose_answers_get_lost_gives_the_same_on_every_store_and_ends_well() {
    const LOST: u64 = 60;
    for seed in [11, 12] {
        let mut first = Script::run(in_memory().lossy(seed, LOST), seed, STEPS).await;
        first.ends_well().await;
        let expected = first.closing().await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut second = Script::run(embedded(folder.path()).lossy(seed, LOST), seed, STEPS).await;
        second.ends_well().await;
        same(&expected, &second.closing().await, &format!("embedded, seed {seed}"));
        let Some(database) = Database::fresh().await else { continue };
        let stores = on_mongodb(&database).await.lossy(seed, LOST);
        let mut third = Script::run(stores, seed, STEPS).await;
        third.ends_well().await;
        same(&expected, &third.closing().await, &format!("MongoDB, seed {seed}"));
        database.end().await;
    }
}
