//! One of everything that engines ask and answer one another, and drawn ones.
//! Always holds: the lists have every variant; a new one does not compile until it is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::bounds::Bounds;
use domain::catalog::command::CatalogCommand;
use domain::catalog::paused::{CatalogPause, PauseEnd, PauseTarget};
use domain::catalog::policy::{CatalogPolicy, CheckedDefinition, PolicyDefinition};
use domain::catalog::state::CatalogState;
use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::event::ReleaseCause;
use domain::environment::state::{EnvironmentState, Grant};
use domain::ids::{
    ActionType, CommandId, CorrelationId, EnvironmentName, Epoch, JobId, LeaseId, NodePath,
    PolicyId, PolicyName, QueueName, SubjectId, WorkerName,
};
use domain::job::check::{CheckSettings, check_node_patch};
use domain::job::command::{JobCommand, LeaseOrder, Outcome, Report};
use domain::job::fact::Patch;
use domain::job::repair::{NodePatch, NodePatchSpec, TimeoutsPatch};
use domain::job::status::JobStatus;
use domain::job::summary::JobSnapshot;
use domain::node::attempt::{AttemptError, AttemptRef, Heard};
use domain::node::status::NodeStatus;
use domain::payload::{Hash, Payload, StoredPayload};
use domain::refusal::{FieldError, Refusal};
use domain::retry::named::NamedPolicies;
use domain::retry::policy::RetryPolicy;
use domain::retry::spec::RetrySpec;
use domain::subject::answer::{Answer, FirstAnswer};
use domain::subject::envelope::CommandMark;
use domain::subject::remembered::Answered;
use orrery::engine::core::message::{
    Asks, Beat, Caller, Command, Failure, GrantRequest, Granted, Held, LeaseRequest, Names,
    QueueFacts, Request, Response, Shown, SubjectInspection, Work, WorkerFacts,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::harness::jobs::{
    START, claim, diamond, in_environment, namespace, node, poll, spec, subject, submission,
};
use crate::harness::lab::Lab;
use orrery::engine::core::CoreSettings;

/// What differs between two values of the same variant.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) text: String,
    pub(super) number: u64,
    pub(super) given: bool,
}

impl Draw {
    pub(super) fn fixed() -> Self {
        Self { text: "why \"not\"\n\u{1f30d}".to_owned(), number: 7, given: true }
    }

    fn some<T>(&self, value: T) -> Option<T> {
        self.given.then_some(value)
    }

    fn small(&self) -> u32 {
        u32::try_from(self.number % 1_000).unwrap_or(0)
    }

    fn at(&self) -> i64 {
        START + i64::from(self.small())
    }

    fn job(&self) -> JobId {
        JobId(Uuid::from_u128(u128::from(self.number)))
    }

    fn lease(&self) -> LeaseId {
        LeaseId { job: self.job(), node: self.small(), epoch: Epoch(self.number >> 11) }
    }

    /// As a person writes it: spaces, a line break and a number that no float holds; or null, which is not nothing.
    fn raw(&self) -> Box<RawValue> {
        if self.number.is_multiple_of(5) {
            return RawValue::from_string("null".to_owned()).expect("JSON");
        }
        let text = serde_json::to_string(&self.text).expect("text has a JSON");
        let text = format!("{{ \"a\" :\n [1, 12345678901234567890123, {text}] }}");
        RawValue::from_string(text).expect("JSON")
    }

    fn resources(&self) -> BTreeMap<String, u64> {
        BTreeMap::from([("slots".to_owned(), self.number >> 11), ("gpu".to_owned(), 0)])
    }

    fn caller(&self) -> Caller {
        Caller {
            actor: Arc::from(self.text.as_str()),
            mark: self.some(CommandMark {
                id: CommandId::parse("POST /jobs key").expect("an id"),
                body: Hash::of(self.text.as_bytes()),
                keyed: self.number.is_multiple_of(2),
            }),
            correlation: self.some(CorrelationId::parse("request-1").expect("an id")),
            expected_version: self.some(self.number >> 11),
        }
    }

    fn poll(&self) -> LeaseRequest {
        let mut poll = poll("worker", self.small() as usize);
        poll.claim = self.some(claim("again"));
        poll.wait_until = self.at();
        poll.action_types =
            self.some(ActionType::parse("a/b c").expect("one")).into_iter().collect();
        poll
    }

    fn definition(&self) -> Definition {
        Definition::check(self.some(self.text.clone()), self.capacity()).expect("it is right")
    }

    fn capacity(&self) -> BTreeMap<String, u64> {
        BTreeMap::from([("slots".to_owned(), u64::from(self.small()))])
    }
}

fn large() -> Box<RawValue> {
    RawValue::from_string(format!("[ {}1]", "0, ".repeat(2_000))).expect("JSON")
}

fn node_patch(draw: &Draw) -> NodePatch {
    let policy = RetryPolicy { max_attempts: 1 + draw.small() % 9, ..RetryPolicy::default() };
    let spec = NodePatchSpec {
        queue: draw.some(draw.some("q".to_owned())),
        action_type: Some(draw.some("kind".to_owned())),
        priority: draw.some(draw.some(3)),
        timeouts: TimeoutsPatch {
            queue_ms: draw.some(draw.some(4_000)),
            ..TimeoutsPatch::default()
        },
        retry: Some(draw.some(RetrySpec::from(policy))),
        input: draw.some(draw.some(draw.raw())),
        at_most_once: draw.some(true),
    };
    let settings = CheckSettings { bounds: Bounds::default(), queue_timeout_ms: None, now: START };
    check_node_patch(spec, None, &settings, &NamedPolicies::default()).expect("it is right")
}

fn job_commands(draw: &Draw) -> Vec<JobCommand> {
    let reason = || draw.some(draw.text.clone());
    let report = |outcome| {
        let (node, epoch) = (draw.small(), Epoch(draw.number >> 11));
        JobCommand::Report(Box::new(Report { node, epoch, hash: Hash::of(b"it"), outcome }))
    };
    let mut job = in_environment(diamond(), "lab");
    job.description = draw.some("described".to_owned());
    job.input = draw.some(draw.raw());
    job.scheduled_at = draw.some(draw.at() + 10_000);
    job.nodes[1].input = Some(large());
    job.nodes[2].input = draw.some(draw.raw());
    job.nodes[3].priority = draw.some(3);
    job.nodes[3].metadata =
        BTreeMap::from([("k".to_owned(), (&serde_json::json!([1.5, null])).into())]);
    let error = AttemptError {
        error_type: "E".to_owned(),
        message: draw.text.clone(),
        class: "bug".to_owned(),
        code: draw.some(draw.text.clone()),
        status: draw.some(503),
        retryable: draw.some(false),
        retry_after_ms: draw.some(draw.number),
        details: None,
    };
    vec![
        JobCommand::Submit(Arc::new(submission(draw.job(), job, START))),
        JobCommand::Start,
        JobCommand::Pause { reason: reason() },
        JobCommand::Resume { reason: reason() },
        JobCommand::Cancel { reason: reason() },
        JobCommand::Patch(Box::new(Patch {
            name: reason(),
            description: draw.some(None),
            timeout_ms: draw.some(draw.some(draw.number)),
            ..Patch::default()
        })),
        JobCommand::PatchNode {
            node: "g/m".to_owned(),
            patch: Box::new(node_patch(draw)),
            reason: reason(),
        },
        JobCommand::TakeGrant { number: draw.number },
        JobCommand::Lease(Arc::new(LeaseOrder {
            worker: WorkerName::parse("w").expect("a name"),
            claim: draw.some(claim("c")),
            lease_ms: draw.number,
            nodes: vec![0, draw.small()],
            changes: draw.small(),
        })),
        report(Outcome::Complete {
            output: draw.some(large()),
            warnings: reason().into_iter().collect(),
            artifacts: draw
                .some((&serde_json::json!({"at": draw.text})).into())
                .into_iter()
                .collect(),
        }),
        report(Outcome::Fail { error, details: draw.some(draw.raw()) }),
        report(Outcome::Release { undelivered: draw.given }),
        report(Outcome::ReleaseFor { after_ms: draw.number }),
        JobCommand::ExpireLease { node: draw.small(), epoch: Epoch(draw.number >> 11) },
        JobCommand::Delete { unchanged_since: draw.at() },
        JobCommand::Wake { nodes: vec![1, draw.small()] },
    ]
}

fn environment_commands(draw: &Draw) -> Vec<EnvironmentCommand> {
    let name = EnvironmentName::parse("lab").expect("a name");
    let (job, run) = (draw.job(), draw.small());
    let definition = draw.definition();
    let mut all = vec![
        EnvironmentCommand::Define { namespace: namespace(), name, definition: draw.definition() },
        EnvironmentCommand::Update(definition),
        EnvironmentCommand::Delete { waiting: draw.small() as usize },
        EnvironmentCommand::Grant { job, run, resources: draw.resources() },
    ];
    for why in [ReleaseCause::Declined, ReleaseCause::RunOver, ReleaseCause::JobDeleted] {
        all.push(EnvironmentCommand::Release { job, run, number: draw.number, why });
    }
    all
}

fn policy_definition(draw: &Draw) -> CheckedDefinition {
    let policy = RetryPolicy { max_attempts: 1 + draw.small(), ..RetryPolicy::default() };
    let definition = PolicyDefinition {
        description: draw.some("why \"not\"".to_owned()),
        tags: vec!["night".to_owned()],
        metadata: BTreeMap::from([("k".to_owned(), (&serde_json::json!([1.5, null])).into())]),
        applicable_job_types: draw.some("etl.*".to_owned()).into_iter().collect(),
        policy: Arc::new(policy),
    };
    CheckedDefinition::check(definition).expect("it is right")
}

fn catalog_commands(draw: &Draw) -> Vec<CatalogCommand> {
    let policy = PolicyId(Uuid::from_u128(u128::from(draw.number)));
    let (name, definition) = (policy_name(), policy_definition(draw));
    vec![
        CatalogCommand::CreatePolicy { namespace: namespace(), name, definition },
        CatalogCommand::ReplacePolicy { policy, definition: policy_definition(draw) },
        CatalogCommand::DeletePolicy { policy },
        CatalogCommand::Pause {
            namespace: namespace(),
            target: pause_target(draw),
            until: draw.some(PauseEnd::After(draw.number)),
            reason: draw.some(draw.text.clone()),
        },
        CatalogCommand::Resume { target: pause_target(draw), reason: draw.some(draw.text.clone()) },
    ]
}

fn pause_target(draw: &Draw) -> PauseTarget {
    match draw.number % 3 {
        0 => PauseTarget::Queue(QueueName::parse("q").expect("a name")),
        1 => PauseTarget::ActionType(ActionType::parse("kind").expect("a name")),
        _ => PauseTarget::job_type("nightly \u{1f30d}", "").expect("a name"),
    }
}

fn policy_name() -> PolicyName {
    PolicyName::parse_given("flaky \u{1f30d}").expect("a name")
}

fn catalog(draw: &Draw) -> CatalogState {
    let definition = Arc::clone(policy_definition(draw).shared());
    let policy = CatalogPolicy {
        id: PolicyId::of_name(&namespace(), &policy_name()),
        name: policy_name(),
        version: draw.number,
        bytes: definition.bytes(),
        definition,
        created_at: START,
        updated_at: draw.at(),
    };
    CatalogState {
        namespace: namespace(),
        seq: draw.number,
        policies: BTreeMap::from([(policy_name(), Arc::new(policy))]),
        pauses: BTreeMap::from([(
            pause_target(draw),
            Arc::new(CatalogPause {
                reason: draw.some(draw.text.clone()),
                by: Arc::from("client"),
                since: START,
                until: draw.some(draw.at()),
            }),
        )]),
        newest_at: draw.at(),
        commands: BTreeMap::new(),
    }
}

/// A request of every kind.
pub(super) fn requests(draw: &Draw) -> Vec<Request> {
    let environment = EnvironmentName::parse("lab").expect("a name");
    let environment = SubjectId::environment(namespace(), &environment);
    let of_jobs = job_commands(draw).into_iter().map(Command::Job);
    let of_environments = environment_commands(draw).into_iter().map(Command::Environment);
    let of_catalogs = catalog_commands(draw).into_iter().map(Command::Catalog);
    let mut all: Vec<Request> = of_jobs
        .chain(of_environments)
        .chain(of_catalogs)
        .map(|command| Request::Command {
            subject: SubjectId::job(namespace(), draw.job()),
            command,
            caller: draw.caller(),
        })
        .collect();
    let grant = GrantRequest {
        job: draw.job(),
        run: draw.small(),
        resources: draw.resources(),
        priority: 3,
        since: draw.at(),
    };
    all.extend([
        Request::Lease(draw.poll()),
        Request::NextWork { request: draw.poll(), reports: draw.number },
        Request::Heartbeat {
            namespace: namespace(),
            lease: draw.lease(),
            beat: Beat { progress: draw.some(0.25), details: draw.some(Arc::from(draw.raw())) },
        },
        Request::Read { subject: subject(u128::from(draw.number)) },
        Request::Claimed {
            namespace: namespace(),
            worker: WorkerName::parse("w").expect("a name"),
            claim: claim("c"),
            by: draw.small(),
        },
        Request::AskGrant { environment, grant },
        Request::Queues { namespace: namespace(), part: Names::default() },
        Request::Workers { namespace: namespace(), part: Names::default() },
        Request::Inspect {
            subject: SubjectId::job(namespace(), draw.job()),
            nodes: vec![0, draw.small()],
            ask: draw.some(draw.job()),
        },
    ]);
    for request in &all {
        // A new kind has its place above.
        match request {
            Request::Command { .. }
            | Request::Lease(_)
            | Request::NextWork { .. }
            | Request::Heartbeat { .. }
            | Request::Read { .. }
            | Request::Claimed { .. }
            | Request::AskGrant { .. }
            | Request::Queues { .. }
            | Request::Workers { .. }
            | Request::Inspect { .. } => {}
        }
    }
    all
}

/// A refusal of every kind.
pub(super) fn refusals(draw: &Draw) -> Vec<Refusal> {
    vec![
        Refusal::JobNotFound,
        Refusal::JobDeleted,
        Refusal::NodeNotFound,
        Refusal::EnvironmentNotFound,
        Refusal::EnvironmentExists,
        Refusal::EnvironmentInUse { jobs: draw.small() as usize },
        Refusal::EnvironmentFixed,
        Refusal::RetryPolicyNotFound,
        Refusal::RetryPolicyExists,
        Refusal::LeaseLost,
        Refusal::ReportedDifferently,
        Refusal::IdempotencyKeyReused,
        Refusal::VersionMismatch { expected: draw.number, current: 3 },
        Refusal::JobState {
            job: draw.job(),
            current: JobStatus::Running,
            ending: draw.some(JobStatus::Cancelled),
            attempted: draw.text.clone().into(),
            allowed: JobStatus::ALL.to_vec(),
        },
        Refusal::NodeState {
            job: draw.job(),
            node: draw.text.clone(),
            current: NodeStatus::Compensating,
            attempted: "skipped".into(),
        },
        Refusal::Invalid(vec![FieldError::new("/a/0", "out_of_range", draw.text.clone())]),
        Refusal::AlreadyStarted { field: draw.text.clone().into() },
    ]
}

fn answers(draw: &Draw) -> Vec<Answer> {
    let attempt = AttemptRef { node: draw.small(), attempt: 1, epoch: Epoch(draw.number >> 11) };
    let first =
        FirstAnswer { id: draw.job(), command: draw.caller().mark, job: Arc::from(draw.raw()) };
    let mut all = vec![
        Answer::Done { seq: draw.number },
        Answer::Replayed { seq: draw.number },
        Answer::Leased(vec![attempt]),
        Answer::Recorded,
        Answer::RecordedBefore,
        Answer::AsFirst(Arc::new(first)),
        Answer::Nothing,
    ];
    all.extend(refusals(draw).into_iter().map(Answer::Refused));
    all
}

fn environment(draw: &Draw) -> EnvironmentState {
    let grant = Grant { number: draw.number, resources: draw.resources(), at: draw.at() };
    let mark = CommandId::parse("made").expect("an id");
    let answered = Answered { body: Hash::of(b"it"), seq: 1, at: START, keyed: true };
    EnvironmentState {
        namespace: namespace(),
        name: EnvironmentName::parse("lab").expect("a name"),
        seq: 4,
        description: draw.some(draw.text.clone()),
        capacity: draw.capacity(),
        grants: BTreeMap::from([((draw.job(), 1), grant)]),
        granted: draw.number,
        deleted: draw.given,
        created_at: START,
        updated_at: draw.at(),
        newest_at: draw.at(),
        commands: BTreeMap::from([(mark, answered)]),
    }
}

/// A job that has got some way.
pub(super) fn job() -> JobSnapshot {
    let mut lab = Lab::of(1, CoreSettings::default());
    let mut wanted = spec(vec![node("a", &[]), node("b", &["a"]), node("c", &["a"])]);
    wanted.input = Some(Draw::fixed().raw());
    let job = lab.submit(0, 1, wanted);
    let held = lab.lease(0, poll("worker", 1));
    lab.complete(0, &held[0]);
    lab.job(0, &job).expect("it is there")
}

fn inspection(draw: &Draw) -> SubjectInspection {
    SubjectInspection {
        by: draw.small(),
        drives: draw.given,
        held: Held::Whole,
        leases: vec![(draw.small(), draw.at())],
        heard: vec![Heard {
            node: draw.small(),
            epoch: Epoch(draw.number >> 11),
            progress: draw.some(0.5),
            details: draw.some(Payload::Inline(Arc::from(draw.raw()))),
        }],
        before: vec![(draw.small(), draw.number)],
        asks: draw.some(Asks { waiting: draw.number, before: draw.some(draw.number) }),
    }
}

fn work(draw: &Draw, input: Option<Payload>) -> Work {
    Work {
        node: NodePath::parse("a").expect("a path"),
        action_type: draw.some(ActionType::parse("resize").expect("one")),
        input,
        previous: draw.some(Arc::new(AttemptError {
            error_type: "E".to_owned(),
            message: draw.text.clone(),
            class: "bug".to_owned(),
            details: Some(Payload::Stored(StoredPayload {
                sha256: Hash::of(b"why"),
                bytes: draw.number,
            })),
            ..AttemptError::default()
        })),
        details: draw.some(Payload::Inline(Arc::from(draw.raw()))),
        max_attempts: draw.small(),
        deadline: draw.some(draw.at()),
    }
}

/// A response of every kind; `job` is one to show.
pub(super) fn responses(draw: &Draw, job: &JobSnapshot) -> Vec<Response> {
    let shown_job = || Shown::Job(Box::new(job.clone()));
    let shown_environment = || Shown::Environment(Box::new(environment(draw)));
    let granted = |input: Option<Payload>| Granted {
        lease: draw.lease(),
        namespace: namespace(),
        work: work(draw, input),
        attempt: draw.small(),
        run: draw.small(),
        expires_at: draw.at(),
        lease_ms: draw.number,
        trace_id: Arc::from("0123"),
    };
    let stored = StoredPayload { sha256: Hash::of(b"it"), bytes: draw.number };
    let queue = QueueName::default_queue();
    let facts = QueueFacts {
        queue: queue.clone(),
        ready: draw.number,
        running: 1,
        oldest_ready_at: draw.some(draw.at()),
        waiting_polls: 2,
        last_poll_at: draw.some(draw.at()),
    };
    let worker = WorkerFacts {
        worker: WorkerName::parse("w").expect("a name"),
        queues: vec![queue],
        last_poll_at: draw.at(),
        leased: draw.number,
    };
    let mut all: Vec<Response> = answers(draw)
        .into_iter()
        .enumerate()
        .map(|(at, answer)| Response::Command { answer, shown: (at == 0).then(shown_job) })
        .collect();
    all.extend(refusals(draw).into_iter().map(Response::Refused));
    all.extend([
        Response::Leases(vec![
            granted(None),
            granted(Some(Payload::Stored(stored))),
            granted(Some(Payload::Inline(Arc::from(draw.raw())))),
        ]),
        Response::Leases(Vec::new()),
        Response::Heartbeat { expires_at: draw.at(), heartbeat_ms: 3, cancel: draw.given },
        Response::Read(None),
        Response::Read(Some(shown_job())),
        Response::Read(Some(shown_environment())),
        Response::Read(Some(Shown::Catalog(Box::new(catalog(draw))))),
        Response::Queues { facts: vec![facts], known: 1 },
        Response::Workers { facts: vec![worker], known: 1 },
        Response::Inspection(inspection(draw)),
    ]);
    let failures = [
        Failure::OutcomeUnknown,
        Failure::Unavailable,
        Failure::Full,
        Failure::Overloaded,
        Failure::ViewBehind,
        Failure::Damaged(draw.text.clone()),
    ];
    all.extend(failures.map(Response::Failed));
    all
}
