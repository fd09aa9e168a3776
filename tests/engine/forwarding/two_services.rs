//! Two engines over one store in memory, each with its real service on a port of its own, and the real way between
//! them. Time is simulated; the network is the loopback.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::ServiceExt;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::IntoMakeService;
use domain::ids::{CommandId, GroupId, JobId, Millis, Namespace, SubjectId};
use orrery::config::Secret;
use orrery::engine::core::CoreSettings;
use orrery::engine::forwarding::PeerDirectory;
use orrery::environment::SimulatedClock;
use orrery::http::parked::Served;
use orrery::membership::contract::{EngineRecord, Life};
use orrery::membership::peers::{PeerEngine, Peers, PeersSeen};
use orrery::membership::share;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::membership::MemoryMembership;
use orrery_testing::view::MemoryView;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::api::service::{Answer, Place, Service};

/// What both engines know.
pub(super) const SECRET: &str = "between us";

/// When the lives of both began.
pub(super) const STARTED_AT: Millis = 1_699_999_999_000;

/// This life of an engine.
pub(super) fn life(engine: u32) -> Life {
    Life { engine, started_at: STARTED_AT }
}

/// Engines 1 and 2, each driving its share of the groups.
pub(super) struct Pair {
    pub(super) engines: [Service; 2],
    pub(super) others: [PeerDirectory; 2],
    pub(super) homes: [String; 2],
    /// What each shows the other.
    pub(super) keys: [String; 2],
    pub(super) seen: [PeersSeen; 2],
    pub(super) clock: SimulatedClock,
    pub(super) view: Arc<MemoryView>,
}

/// As they share the groups out among themselves.
pub(super) fn drivers() -> Vec<Option<u32>> {
    let record = |engine| EngineRecord {
        engine,
        name: String::new(),
        address: String::new(),
        version: String::new(),
        public_key: String::new(),
        started_at: 0,
        renewed_at: 0,
        lives: true,
        leaving: false,
    };
    let both = [1, 2].map(record);
    GroupId::all().map(|group| share::should_drive(group, &both)).collect()
}

/// A port where nobody listens.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").to_string()
}

pub(super) fn living(address: &str, public_key: &str) -> PeerEngine {
    PeerEngine {
        address: address.to_owned(),
        version: "1".to_owned(),
        started_at: STARTED_AT,
        lives: true,
        leaving: false,
        public_key: public_key.to_owned(),
    }
}

impl Pair {
    pub(super) async fn start() -> Self {
        Self::with_secrets([SECRET, SECRET]).await
    }

    pub(super) async fn with_secrets(secrets: [&str; 2]) -> Self {
        Self::with(secrets, [CoreSettings::default(), CoreSettings::default()]).await
    }

    pub(super) async fn with(secrets: [&str; 2], settings: [CoreSettings; 2]) -> Self {
        let (outside, clock) = orrery_testing::simulated(1_700_000_000_000, 7);
        let store = Arc::new(MemoryEventStore::new("test"));
        let view = Arc::new(MemoryView::default());
        let [first, second] = secrets.map(|secret| Peers::new(Secret::new(secret)));
        let keys = [&first.1, &second.1].map(|peers| peers.key().public().to_owned());
        let others = [PeerDirectory::new(1, first.1), PeerDirectory::new(2, second.1)];
        let seen = [first.0, second.0];
        let membership = MemoryMembership::new(Arc::clone(&outside.clock));
        let place = |at: usize| Place {
            me: others[at].me(),
            drivers: drivers(),
            store: Arc::clone(&store),
            view: Arc::clone(&view),
            outside: outside.clone(),
            clock: clock.clone(),
            others: Some(others[at].clone()),
            membership: Some(membership.door()),
        };
        let engines = [
            Service::start_at(place(0), settings[0].clone(), |_| {}).await,
            Service::start_at(place(1), settings[1].clone(), |_| {}).await,
        ];
        // The first hands over what is the second's, which takes it; then both have seen it.
        for at in [0, 1, 0, 1] {
            engines[at].driver.step().await.expect("a look");
            engines[at].engine.cluster().drives_until(Millis::MAX).await;
        }
        let mut homes = [String::new(), String::new()];
        for (home, service) in homes.iter_mut().zip(&engines) {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            *home = listener.local_addr().expect("an address").to_string();
            let served = axum::serve(listener, make(&service.router));
            tokio::spawn(async move { served.await.expect("it serves") });
        }
        for (seen, other) in seen.iter().zip([2, 1]) {
            let at = other as usize - 1;
            seen.began_at(STARTED_AT);
            seen.tell(BTreeMap::from([(other, living(&homes[at], &keys[at]))]));
        }
        Self { engines, others, homes, keys, seen, clock, view }
    }

    /// The first engine knows that there is no other any more.
    pub(super) fn forget_second(&self) {
        self.seen[0].tell(BTreeMap::new());
    }

    /// The first engine finds the second one at this address from now on.
    pub(super) fn move_second_to(&self, address: &str) {
        self.seen[0].tell(BTreeMap::from([(2, living(address, &self.keys[1]))]));
    }

    /// A job that engine `driver` (1 or 2) drives, asked for at that engine: its id.
    pub(super) async fn job_of(&self, driver: u32, body: &Value) -> String {
        let service = &self.engines[driver as usize - 1];
        for _ in 0..64 {
            let id = service.post("/api/v1/jobs", body).await.ok(201)["id"].clone();
            let id = id.as_str().expect("an id").to_owned();
            if driver_of(&id) == driver {
                return id;
            }
        }
        panic!("no job of this engine in 64")
    }

    /// Lets time pass in steps until `work` is done. The network takes no simulated time, but turns of the runtime: a
    /// millisecond is many of them.
    pub(super) async fn pass_until<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = turns() => self.clock.advance(std::time::Duration::from_millis(1)),
            }
        }
    }
}

/// For `axum::serve`.
pub(super) fn make(router: &Served) -> IntoMakeService<Served> {
    ServiceExt::<Request<Body>>::into_make_service(router.clone())
}

async fn turns() {
    for _ in 0..128 {
        tokio::task::yield_now().await;
    }
}

/// Who drives a job.
pub(super) fn driver_of(job: &str) -> u32 {
    let job = JobId::parse(job).expect("an id");
    let group = SubjectId::job(Namespace::default_namespace(), job).group();
    drivers()[usize::from(group.index())].expect("a driver")
}

/// An Idempotency-Key that begins so, whose job this engine drives.
pub(super) fn key_driven_by(driver: u32, begins: &str) -> String {
    let of_this = |key: &String| {
        let route = CommandId::parse(&format!("POST /jobs {key}")).expect("an id");
        let id = JobId::from_key(&Namespace::default_namespace(), route.as_str());
        driver_of(&id.to_string()) == driver
    };
    let mut keys = (0..).map(|number| format!("{begins}-{number}"));
    keys.find(of_this).expect("one of two keys is")
}

/// A call whose answer depends on nothing but what is asked.
pub(super) async fn call(
    service: &Service,
    method: Method,
    path: &str,
    more: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let mut headers = vec![
        ("x-request-id", "the-same"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    headers.extend_from_slice(more);
    service.call(method, path, &headers, body.map(Value::to_string).as_deref()).await
}
