//! A whole service in memory and a client for it: the real router, engine, store and view, simulated time.
//! Always holds: what a request stored can be told from what was appended before and after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use domain::ids::{JobId, Namespace, SubjectId};
use orrery::config::{Secret, Settings};
use orrery::engine::core::CoreSettings;
use orrery::engine::executor;
use orrery::engine::forward::Forward;
use orrery::engine::forwarding::{Forwarding, PeerDirectory};
use orrery::engine::handle::Engine;
use orrery::environment::{Clock, SimulatedClock, Surroundings};
use orrery::event_store::contract::EventStore as _;
use orrery::http::hosts::Hosts;
use orrery::http::lease_tokens::LeaseTokens;
use orrery::http::parked::Served;
use orrery::http::problem::PROBLEM_JSON;
use orrery::http::router::router;
use orrery::http::state::{Api, ApiParts, ApiSettings};
use orrery::membership::alone::Alone;
use orrery::membership::contract::{Introduction, Membership};
use orrery::membership::peers::Peers;
use orrery::services::driver::{Driver, DriverPart};
use orrery::services::job_scheduler::{JobScheduler, SubmissionBounds};
use orrery::services::lifecycle::{Operations, ServiceHost};
use orrery::services::queries::Queries;
use orrery::services::retry_manager::RetryManager;
use orrery::telemetry::metrics;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::membership::MemoryMembership;
use orrery_testing::view::MemoryView;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Groups of subjects, all driven by the one engine.
const GROUPS: usize = 64;

/// A running service.
pub(crate) struct Service {
    pub(crate) router: Served,
    pub(crate) clock: SimulatedClock,
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) engine: Engine,
    pub(crate) driver: Arc<Driver>,
}

/// One engine's place in a deployment.
pub(crate) struct Place {
    pub(crate) me: u32,
    pub(crate) drivers: Vec<Option<u32>>,
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) view: Arc<MemoryView>,
    pub(crate) outside: Surroundings,
    pub(crate) clock: SimulatedClock,
    pub(crate) others: Option<PeerDirectory>,
    /// Where the engines meet; none: this one is alone.
    pub(crate) membership: Option<MemoryMembership>,
}

impl Place {
    /// Of the only engine, with an empty view.
    fn alone(store: Arc<MemoryEventStore>, outside: Surroundings, clock: SimulatedClock) -> Self {
        Self {
            me: 1,
            drivers: vec![Some(1); GROUPS],
            store,
            view: Arc::new(MemoryView::default()),
            outside,
            clock,
            others: None,
            membership: None,
        }
    }
}

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the answer is JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A problem with this status and code; gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), PROBLEM_JSON);
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        problem
    }

    /// A 2xx with this status; gives its body.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }
}

/// That of an engine after its first look.
async fn driver(
    engine: &Engine,
    clock: &Arc<dyn Clock>,
    membership: Option<MemoryMembership>,
) -> Arc<Driver> {
    let membership: Arc<dyn Membership> = match membership {
        Some(shared) => Arc::new(shared),
        None => Arc::new(Alone::new(Arc::clone(clock))),
    };
    let introduction = Introduction {
        name: String::new(),
        address: "127.0.0.1:8080".to_owned(),
        version: "test".to_owned(),
        public_key: String::new(),
    };
    let joined_as = membership.join(&introduction).await.expect("a number");
    let (told, peers) = Peers::new(Secret::new("secret"));
    let drivers = vec![Some(joined_as); GROUPS];
    let part = DriverPart { membership, introduction, joined_as, told, peers, drivers };
    let driver = Driver::new(engine.clone(), Arc::clone(clock), true, part);
    driver.step().await.expect("a look");
    driver
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(CoreSettings::default(), |_| {}).await
    }

    /// With settings of its own.
    pub(crate) async fn start_with(core: CoreSettings, change: impl FnOnce(&mut Settings)) -> Self {
        let (outside, clock) = orrery_testing::simulated(1_700_000_000_000, 7);
        let store = Arc::new(MemoryEventStore::new("test"));
        Self::start_at(Place::alone(store, outside, clock), core, change).await
    }

    /// A service as it would be started again on what this one stored.
    pub(crate) async fn started_again(self) -> Self {
        let Self { store, clock, .. } = self;
        let (outside, _) = orrery_testing::simulated(1_700_000_000_000, 8);
        let outside = Surroundings { clock: Arc::new(clock.clone()), ..outside };
        Self::start_at(Place::alone(store, outside, clock), CoreSettings::default(), |_| {}).await
    }

    /// At a place in a deployment.
    pub(crate) async fn start_at(
        place: Place,
        core: CoreSettings,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let Place { me, drivers, store, view, outside, clock, others, membership } = place;
        let forward = others.clone().map(|others| {
            let forwarding = Forwarding::new(others, Arc::clone(&outside.clock));
            Arc::new(forwarding.expect("an HTTP client")) as Arc<dyn Forward>
        });
        let parts = executor::Parts {
            settings: core,
            me,
            drivers: drivers.clone(),
            store: Arc::clone(&store) as _,
            view,
            surroundings: outside.clone(),
            append_deadline: Duration::from_secs(10),
            forward,
        };
        let (engine, _executor) = executor::start(parts).await.expect("the engine starts");
        let mut settings = Settings::defaults().expect("the defaults are settings");
        change(&mut settings);
        let operations =
            |name| Operations::new(name, settings.services.of(name), Arc::clone(&outside.clock));
        let (scheduling, retrying) = (operations("job_scheduler"), operations("retry_manager"));
        let bounds = SubmissionBounds {
            bounds: settings.bounds.to_bounds(),
            queue_timeout: settings.engine.default_queue_timeout,
        };
        let lease_key = store.info().await.expect("a store").lease_key;
        let host = ServiceHost::builder().build(settings.services.clone(), outside.clone());
        let kept = engine.clone();
        let driver = driver(&engine, &outside.clock, membership).await;
        let kept_driver = Arc::clone(&driver);
        if others.is_some() {
            // Not alone after all.
            engine.cluster().drives_until(domain::ids::Millis::MAX).await;
            let living = drivers.iter().flatten().copied().collect::<BTreeSet<_>>();
            engine.cluster().routes(drivers.clone(), living.into_iter().collect()).await;
        }
        let api = Api::new(ApiParts {
            scheduler: JobScheduler::new(engine.clone(), outside.clone(), scheduling, bounds),
            retries: RetryManager::new(engine.clone(), retrying),
            queries: Queries::new(engine.clone(), outside.clock.clone()),
            outside,
            engine,
            driver,
            others,
            host: Arc::new(host.expect("no services")),
            recorder: metrics::install().expect("metrics can be recorded"),
            ready: Box::new(Vec::new),
            leases: LeaseTokens::new(&lease_key, None),
            hosts: Hosts::new(settings.server.listen, "", None, &settings.server.hosts),
            settings: ApiSettings::from(&settings),
        });
        Self { router: router(api), clock, store, engine: kept, driver: kept_driver }
    }

    /// Every answer is held to the served document.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.expect("the body is whole");
        let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        super::described::check(&method, &path, &answer);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, &[], None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request(Method::POST, path, &[], Some(&body.to_string()))).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        self.send(request(method, path, headers, body)).await
    }

    /// A stored job; gives its id.
    pub(crate) async fn job(&self, body: &Value) -> String {
        let job = self.post("/api/v1/jobs", body).await.ok(201);
        job["id"].as_str().expect("a job has an id").to_owned()
    }

    /// Time goes on, and the engine with it.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        for _ in 0..100 {
            tokio::task::yield_now().await;
            self.clock.advance(Duration::from_millis(1));
        }
    }

    /// Time goes on by so much and no more; what it wakes runs when the caller lets it.
    pub(crate) fn pass_exactly(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Time goes on until only the tombstone of a job is left.
    pub(crate) async fn until_removed(&self, job: &str) {
        let id = JobId::parse(job).expect("a job id");
        let subject = SubjectId::job(Namespace::default_namespace(), id);
        for _ in 0..10_000 {
            let part = self.store.read(&subject, 1, 1).await.expect("a store");
            if part.tombstone.is_some() {
                return;
            }
            tokio::task::yield_now().await;
            self.clock.advance(Duration::from_millis(1));
        }
        panic!("{job} stays");
    }

    /// A list once the view shows what was stored before: time goes on until then.
    pub(crate) async fn settled_list(&self, path: &str) -> Answer {
        let join = if path.contains('?') { '&' } else { '?' };
        let request = request(Method::GET, &format!("{path}{join}consistent=true"), &[], None);
        let mut answer = Box::pin(self.send(request));
        for _ in 0..100_000 {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = tokio::task::yield_now() => self.clock.advance(Duration::from_millis(1)),
            }
        }
        panic!("the view never caught up")
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Request<Body> {
    let mut request =
        Request::new(body.map_or_else(Body::empty, |text| Body::from(text.to_owned())));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    if body.is_some() {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).expect("a header name");
        request.headers_mut().insert(name, HeaderValue::try_from(*value).expect("a header value"));
    }
    request
}

/// A job of one node in the queue `default`.
pub(crate) fn one_node() -> Value {
    json!({"name": "one", "nodes": [{"key": "a"}]})
}

/// Two nodes, one after the other.
pub(crate) fn chain() -> Value {
    json!({"name": "chain", "input": {"n": 1}, "nodes": [
        {"key": "a", "action_type": "first", "input": {"x": 1.50}},
        {"key": "b", "depends_on": ["a"]},
    ]})
}
