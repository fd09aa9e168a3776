//! What the engine's core costs by itself: one core, stores that answer at once, no HTTP, no disk, one thread.
//! `cargo bench --bench core [-- STEPS]`; each line is one shape with the microseconds of CPU that a step takes and the
//! events of an append. The thread's CPU time is measured, so that a busy machine disturbs little.
//! Absent: assertions. The figures are for people.

#![expect(clippy::expect_used, reason = "a bench that cannot go on says why")]

use std::collections::VecDeque;
use std::io::{Write, stdout};
use std::sync::Arc;

use domain::bounds::Bounds;
use domain::ids::{GroupId, JobId, Namespace, QueueName, SubjectId, WorkerName};
use domain::job::check::{CheckSettings, check};
use domain::job::command::{JobCommand, Outcome, Report, Submission};
use domain::job::plan::CheckedSpec;
use domain::job::spec::JobSpec;
use domain::node::spec::NodeSpec;
use domain::payload::Hash;
use orrery::engine::core::message::{
    Caller, Command, Granted, Input, LeaseRequest, Output, Request, Response, Ticket,
};
use orrery::engine::core::{Core, CoreSettings};
use orrery::event_store::contract::Appended;
use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;
use uuid::Uuid;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START: i64 = 1_800_000_000_000;

/// A job, how many are open at once, how many are submitted together, and leases of one request.
struct Shape {
    name: &'static str,
    nodes: Vec<(String, Vec<String>)>,
    open: usize,
    batch: usize,
    lease_max: usize,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let steps = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let only = arguments.next();
    for shape in shapes() {
        if only.as_ref().is_none_or(|only| shape.name.starts_with(only.as_str())) {
            Bench::of(&shape).run(steps);
        }
    }
}

fn shapes() -> Vec<Shape> {
    let named = |nodes: &[(&str, &[&str])]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        nodes.iter().map(|(key, parents)| ((*key).to_owned(), owned(parents))).collect()
    };
    let chain = (0..100_usize).map(|at| {
        let parent = at.checked_sub(1).map(|parent| format!("s{parent}"));
        (format!("s{at}"), Vec::from_iter(parent))
    });
    let wide: Vec<String> = (0..1_000).map(|at| format!("m{at}")).collect();
    let mut fan = vec![("root".to_owned(), Vec::new())];
    fan.extend(wide.iter().map(|key| (key.clone(), vec!["root".to_owned()])));
    fan.push(("join".to_owned(), wide));
    let dag: &[(&str, &[&str])] = &[
        ("a", &[]),
        ("b", &["a"]),
        ("c", &["a"]),
        ("d", &["b", "c"]),
        ("e", &["d"]),
        ("f", &["e"]),
        ("g", &["e"]),
        ("h", &["f", "g"]),
        ("i", &["h"]),
        ("j", &["i"]),
    ];
    vec![
        Shape {
            name: "single",
            nodes: named(&[("a", &[])]),
            open: 4_000,
            batch: 100,
            lease_max: 200,
        },
        Shape { name: "chain", nodes: chain.collect(), open: 50, batch: 1, lease_max: 50 },
        Shape { name: "fan", nodes: fan, open: 4, batch: 1, lease_max: 250 },
        Shape { name: "dag", nodes: named(dag), open: 200, batch: 20, lease_max: 100 },
    ]
}

struct Bench<'a> {
    shape: &'a Shape,
    spec: CheckedSpec,
    core: Core,
    /// In tenths of milliseconds: a turn takes a while.
    now: i64,
    ticket: Ticket,
    jobs: u128,
    open: usize,
    leases: VecDeque<Granted>,
    steps: u64,
    appends: u64,
    events: u64,
}

impl<'a> Bench<'a> {
    fn of(shape: &'a Shape) -> Self {
        let node = |(key, parents): &(String, Vec<String>)| NodeSpec {
            key: key.clone(),
            depends_on: parents.clone(),
            input: RawValue::from_string(r#"{"job":12345}"#.to_owned()).ok(),
            ..NodeSpec::default()
        };
        let nodes = shape.nodes.iter().map(node).collect();
        let job = JobSpec { name: "bench".to_owned(), nodes, ..JobSpec::default() };
        let settings =
            CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: START };
        let mut core = Core::new(CoreSettings::default(), 0, 1, 1, START);
        let drivers = GroupId::all().map(|_| Some(0)).collect();
        core.handle(START, Input::Routes { drivers });
        Self {
            shape,
            spec: check(job, &settings).expect("a job that is right"),
            core,
            now: START * 10,
            ticket: 1,
            jobs: 0,
            open: 0,
            leases: VecDeque::new(),
            steps: 0,
            appends: 0,
            events: 0,
        }
    }

    fn run(mut self, steps: u64) {
        while self.steps < steps / 10 {
            self.round();
        }
        let (began, before) = (cpu_us(), self.steps);
        (self.appends, self.events) = (0, 0);
        while self.steps - before < steps {
            self.round();
        }
        let per = |count: f64, of: u64| count / f64::from(u32::try_from(of).unwrap_or(u32::MAX));
        let took = per(cpu_us() - began, self.steps - before);
        let events = per(f64::from(u32::try_from(self.events).unwrap_or(u32::MAX)), self.appends);
        let line =
            format!("{:8} {took:6.2} us a step, {events:6.1} events an append", self.shape.name);
        writeln!(stdout(), "{line}").expect("a terminal");
    }

    fn ask(&mut self, request: Request) {
        self.ticket += 1;
        let input = Input::Request { ticket: self.ticket, request, forwarded: false };
        self.core.handle(self.now / 10, input);
    }

    /// Submits what there is room for, reports what is held with a poll for more, and lets the core turn.
    fn round(&mut self) {
        self.now += 1;
        while self.open + self.shape.batch <= self.shape.open {
            for _ in 0..self.shape.batch {
                self.submit();
            }
        }
        let request = self.poll();
        let held: Vec<Granted> = std::mem::take(&mut self.leases).into();
        self.ask(Request::NextWork { request, reports: held.len() as u64 });
        for granted in held {
            self.steps += 1;
            self.complete(&granted);
        }
        self.turn();
    }

    fn submit(&mut self) {
        self.jobs += 1;
        self.open += 1;
        let id = JobId(Uuid::from_u128(self.jobs.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060)));
        let namespace = Namespace::default_namespace();
        let trace_id = "0af7651916cd43dd8448eb211c80319c".to_owned();
        let submission =
            Submission { namespace: namespace.clone(), id, spec: self.spec.clone(), trace_id };
        let command = Command::Job(JobCommand::Submit(Arc::new(submission)));
        let subject = SubjectId::job(namespace, id);
        self.ask(Request::Command { subject, command, caller: Caller::engine() });
    }

    fn poll(&self) -> LeaseRequest {
        LeaseRequest {
            namespace: Namespace::default_namespace(),
            queue: QueueName::default_queue(),
            action_types: Vec::new(),
            worker: WorkerName::parse("worker").expect("a name"),
            claim: None,
            lease_ms: 30_000,
            max: self.shape.lease_max,
            wait_until: 0,
            correlation: None,
        }
    }

    fn complete(&mut self, granted: &Granted) {
        let output = RawValue::from_string(r#"{"ok":true}"#.to_owned()).ok();
        let outcome = Outcome::Complete { output, warnings: Vec::new(), artifacts: Vec::new() };
        let (node, epoch) = (granted.lease.node, granted.lease.epoch);
        let report = Report { node, epoch, hash: Hash([7; 32]), outcome };
        let subject = SubjectId::job(granted.namespace.clone(), granted.lease.job);
        let command = Command::Job(JobCommand::Report(Box::new(report)));
        self.ask(Request::Command { subject, command, caller: Caller::engine() });
    }

    fn turn(&mut self) {
        self.core.turn(self.now / 10);
        while let Some(output) = self.core.poll() {
            let input = match output {
                Output::Append { items, .. } => {
                    self.appends += 1;
                    self.events += items.iter().map(|i| u64::from(i.record.count)).sum::<u64>();
                    let outcome = Ok(vec![Appended::Committed; items.len()]);
                    let subjects = items.into_iter().map(|item| item.subject).collect();
                    Input::Appended { subjects, outcome }
                }
                Output::MoveWakeUps { moves } => {
                    self.open -= moves.iter().filter(|moved| moved.due.is_none()).count();
                    Input::WakeUpsMoved { result: Ok(vec![true; moves.len()]), moves }
                }
                Output::Flush { documents } => {
                    let shown = documents.iter().map(|d| (d.subject.clone(), d.seq)).collect();
                    Input::Flushed { shown, durable: true }
                }
                Output::Answer { response: Response::Leases(granted), .. } => {
                    self.leases.extend(granted);
                    continue;
                }
                _ => continue,
            };
            self.core.handle(self.now / 10, input);
        }
    }
}

/// CPU time of this thread.
fn cpu_us() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u32::try_from(spent.tv_sec).unwrap_or(u32::MAX);
    let nanos = u32::try_from(spent.tv_nsec).unwrap_or(u32::MAX);
    f64::from(seconds) * 1e6 + f64::from(nanos) / 1e3
}
