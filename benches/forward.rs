//! What asking another engine costs: two engines in one process over a store in memory, the real way between them over
//! the loopback. Figures: the time of one read and one command, here and there, and the processor time of a thousand
//! when many are asked at once. `cargo bench --bench forward`.
//! Absent: assertions on figures. They are for people.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench prints and gives up aloud")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum::body::Body;
use axum::http::Request as HttpRequest;
use axum::serve::ListenerExt as _;
use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::check::{CheckSettings, check};
use domain::job::command::{JobCommand, Submission};
use domain::job::spec::JobSpec;
use domain::node::spec::NodeSpec;
use futures_util::future::join_all;
use orrery::config::{Secret, Settings};
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, Command, Request, Response};
use orrery::engine::executor;
use orrery::engine::forward::Forward;
use orrery::engine::forwarding::{Forwarding, PeerDirectory};
use orrery::engine::handle::Engine;
use orrery::environment::Surroundings;
use orrery::http::hosts::Hosts;
use orrery::http::lease_tokens::LeaseTokens;
use orrery::http::router::router;
use orrery::http::state::{Api, ApiParts, ApiSettings};
use orrery::membership::alone::Alone;
use orrery::membership::contract::{Introduction, Membership as _};
use orrery::membership::peers::{PeerEngine, Peers, PeersSeen};
use orrery::services::driver::{Driver, DriverPart};
use orrery::services::job_scheduler::{JobScheduler, SubmissionBounds};
use orrery::services::lifecycle::{Operations, ServiceHost};
use orrery::services::queries::Queries;
use orrery::services::retry_manager::RetryManager;
use orrery::telemetry::metrics;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;
use rustix::time::{ClockId, clock_gettime};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One after the other.
const ALONE: usize = 5_000;
/// At once, so often.
const TOGETHER: usize = 64;
const ROUNDS: usize = 500;

struct Member {
    key: String,
    engine: Engine,
    seen: PeersSeen,
    address: String,
}

/// An engine that drives nothing (1) or everything (2).
async fn member(me: u32, store: &Arc<MemoryEventStore>, outside: &Surroundings) -> Member {
    let secret = || Secret::new("a secret of the bench");
    let (seen, peers) = Peers::new(secret());
    let key = peers.key().public().to_owned();
    let others = PeerDirectory::new(me, peers);
    let forward = Forwarding::new(others.clone(), Arc::clone(&outside.clock)).expect("a client");
    let parts = executor::Parts {
        settings: CoreSettings::default(),
        me,
        drivers: vec![Some(2); 64],
        store: Arc::clone(store) as _,
        view: Arc::new(MemoryView::default()),
        surroundings: outside.clone(),
        append_deadline: Duration::from_secs(5),
        forward: Some(Arc::new(forward) as Arc<dyn Forward>),
    };
    let (engine, _executor) = executor::start(parts).await.expect("it starts");
    let settings = Settings::defaults().expect("the defaults");
    let clock = Arc::clone(&outside.clock);
    let operations =
        |name| Operations::new(name, settings.services.of(name), Arc::clone(&outside.clock));
    let bounds = SubmissionBounds { bounds: settings.bounds.to_bounds(), queue_timeout: None };
    let introduction = Introduction {
        name: String::new(),
        address: String::new(),
        version: "bench".to_owned(),
        public_key: String::new(),
    };
    let membership = Arc::new(Alone::new(Arc::clone(&clock)));
    let joined_as = membership.join(&introduction).await.expect("a number");
    let (told, nobody) = Peers::new(secret());
    let drivers = vec![Some(joined_as); 64];
    let part = DriverPart { membership, introduction, joined_as, told, peers: nobody, drivers };
    let driver = Driver::new(engine.clone(), Arc::clone(&clock), false, part);
    engine.cluster().drives_until(domain::ids::Millis::MAX).await;
    engine.cluster().routes(vec![Some(2); 64], vec![1, 2]).await;
    let host = ServiceHost::builder().build(settings.services.clone(), outside.clone());
    let api = Api::new(ApiParts {
        scheduler: JobScheduler::new(
            engine.clone(),
            outside.clone(),
            operations("job_scheduler"),
            bounds,
        ),
        retries: RetryManager::new(engine.clone(), operations("retry_manager")),
        queries: Queries::new(engine.clone(), clock),
        outside: outside.clone(),
        engine: engine.clone(),
        others: Some(others),
        driver,
        host: Arc::new(host.expect("no services")),
        recorder: metrics::install().expect("metrics"),
        ready: Box::new(Vec::new),
        leases: LeaseTokens::new(&Secret::new("a key of the bench"), None),
        hosts: Hosts::default(),
        settings: ApiSettings::from(&settings),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    // As the product's listener does: otherwise each answer waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let make = ServiceExt::<HttpRequest<Body>>::into_make_service(router(api));
    tokio::spawn(async move { axum::serve(listener, make).await.expect("it serves") });
    Member { key, engine, seen, address }
}

fn submission(outside: &Surroundings) -> Submission {
    let node = NodeSpec { key: "a".to_owned(), ..NodeSpec::default() };
    let job = JobSpec { name: "a job".to_owned(), nodes: vec![node], ..JobSpec::default() };
    let now = outside.clock.now_ms();
    let bounds = domain::bounds::Bounds::default();
    let spec = check(job, &CheckSettings { bounds, queue_timeout_ms: None, now });
    let (namespace, id) = (Namespace::default_namespace(), JobId(outside.ids.mint()));
    Submission { namespace, id, spec: spec.expect("it is right"), trace_id: "0".repeat(32) }
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

async fn figures(what: &str, engine: &Engine, outside: &Surroundings, ask: impl Fn() -> Request) {
    let clock = &outside.clock;
    let mut times = Vec::with_capacity(ALONE);
    for _ in 0..ALONE {
        let began = clock.monotonic();
        let answer = engine.ask(ask()).await.expect("an answer");
        assert!(!matches!(answer, Response::Failed(_) | Response::Refused(_)), "{answer:?}");
        times.push(clock.monotonic().saturating_sub(began));
    }
    times.sort();
    let (began, used) = (clock.monotonic(), processor());
    for _ in 0..ROUNDS {
        join_all((0..TOGETHER).map(|_| engine.ask(ask()))).await;
    }
    let (took, used) = (clock.monotonic().saturating_sub(began), processor().saturating_sub(used));
    let count = u32::try_from(TOGETHER * ROUNDS).map_or(1.0, f64::from);
    println!(
        "{what:24} p50 {:>6} us, p99 {:>6} us; {TOGETHER} at once: {:>7.0}/s, {:.3} CPU s a 1,000",
        times[ALONE / 2].as_micros(),
        times[ALONE * 99 / 100].as_micros(),
        count / took.as_secs_f64(),
        used.as_secs_f64() * 1_000.0 / count,
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let outside = Surroundings::system();
    let store = Arc::new(MemoryEventStore::new("bench"));
    let (one, two) = (member(1, &store, &outside).await, member(2, &store, &outside).await);
    let living = |member: &Member| PeerEngine {
        address: member.address.clone(),
        public_key: member.key.clone(),
        version: "1".to_owned(),
        started_at: 0,
        lives: true,
        leaving: false,
    };
    one.seen.began_at(0);
    two.seen.began_at(0);
    one.seen.tell(BTreeMap::from([(2, living(&two))]));
    two.seen.tell(BTreeMap::from([(1, living(&one))]));
    let made = submission(&outside);
    let subject = SubjectId::job(made.namespace.clone(), made.id);
    let caller = Caller { actor: Arc::from("client"), ..Caller::engine() };
    one.engine.jobs().submit(made, caller.clone()).await.expect("a job");
    let read = || Request::Read { subject: subject.clone() };
    let submit = || {
        let made = submission(&outside);
        Request::Command {
            subject: SubjectId::job(made.namespace.clone(), made.id),
            command: Command::Job(JobCommand::Submit(Arc::new(made))),
            caller: caller.clone(),
        }
    };
    figures("read, at its driver", &two.engine, &outside, read).await;
    figures("read, passed on", &one.engine, &outside, read).await;
    figures("submit, at its driver", &two.engine, &outside, submit).await;
    figures("submit, passed on", &one.engine, &outside, submit).await;
}
