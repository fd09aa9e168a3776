//! What the handlers work with, put together once by `app`. Cheap to clone. Absent: any state of its own; what
//! changes lives in the engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use domain::bounds::Bounds;
use domain::ids::{Millis, Namespace};
use domain::job::check::CheckSettings;
use domain::job::status::JobStatus;

use super::bodies::Bodies;
use super::engine_header::EngineHeader;
use super::extract::headers::ApiCaller;
use super::extract::json::Parsers;
use super::hosts::Hosts;
use super::lease_tokens::{HeldLease, LeaseTokens};
use super::problem::{Code, Problem};
use super::queue_metrics;
use super::shedding::Submissions;
use super::waiters::{WaiterPermit, Waiters};
use crate::config::Settings;
use crate::engine::core::CoreCounts;
use crate::engine::forwarding::PeerDirectory;
use crate::engine::gauges::ByGroup;
use crate::engine::handle::Engine;
use crate::environment::Surroundings;
use crate::membership::contract::EngineId;
use crate::services::driver::{Driver, Seen};
use crate::services::job_scheduler::JobScheduler;
use crate::services::lifecycle::{ServiceHost, ServiceSnapshot, ServiceState};
use crate::services::queries::Queries;
use crate::services::retry_manager::RetryManager;
use crate::telemetry::metrics::{
    APPENDS, CLOCK_AHEAD, COMMAND_QUEUE, CONFLICTS, EVENTS, GROUP_READING, GROUP_SUBJECTS,
    HEARTBEAT_DETAILS_DROPPED, JOBS, JOBS_ENDED, JOBS_SUBMITTED, LEASE_EXPIRATIONS, NODE_ATTEMPTS,
    READY_NODES, RETRIES, RUNNING_ATTEMPTS, Recorder, STALE_REPORTS, SUBJECTS, SUBJECTS_LEFT,
    VIEW_LAG,
};

/// What the API takes from the configuration.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Bytes of the largest request body.
    pub body_bytes_max: usize,
    /// The whole request, long poll included.
    pub request_timeout: Duration,
    /// The longest wait of one lease request.
    pub long_poll_max: Duration,
    /// Lease requests waiting at once.
    pub long_polls_max: usize,
    /// Lease requests of one namespace waiting at once.
    pub long_polls_namespace_max: usize,
    /// A body of which nothing more comes for so long is given up.
    pub body_idle_timeout: Duration,
    /// Bytes a second at which a body must come.
    pub body_least_rate: u32,
    /// Submissions that are worked on at once.
    pub submissions_max: usize,
    /// Bytes of request bodies that are held at once.
    pub bodies_bytes_max: usize,
    /// The same of reports, heartbeats and cancels, beside the others.
    pub urgent_bodies_bytes_max: usize,
    /// The share of each bound that one address may have, percent.
    pub peer_share_pct: u8,
    /// Of a worker that does not say how long.
    pub default_lease: Duration,
    /// What running attempts get to report after a cancel.
    pub cancel_grace: Duration,
    /// Of a node that says none itself.
    pub default_queue_timeout: Option<Duration>,
    /// Of jobs and payloads.
    pub bounds: Bounds,
}

impl From<&Settings> for ApiSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            body_bytes_max: settings.server.body_max_bytes,
            request_timeout: settings.server.request_timeout,
            long_poll_max: settings.server.long_poll_max,
            long_polls_max: settings.server.long_polls_max,
            long_polls_namespace_max: settings.server.long_polls_namespace_max,
            body_idle_timeout: settings.server.body_idle_timeout,
            body_least_rate: settings.server.body_least_bytes_per_s,
            submissions_max: settings.server.submissions_max,
            bodies_bytes_max: settings.server.bodies_max_bytes,
            urgent_bodies_bytes_max: settings.server.urgent_bodies_max_bytes,
            peer_share_pct: settings.server.peer_share_pct,
            default_lease: settings.engine.default_lease,
            cancel_grace: settings.engine.cancel_grace,
            default_queue_timeout: settings.engine.default_queue_timeout,
            bounds: settings.bounds.to_bounds(),
        }
    }
}

/// Looks at what must hold for the engine to get requests, beside its services; never waits.
pub type ReadyChecks = dyn Fn() -> Vec<ReadyCheck> + Send + Sync;

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyCheck {
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Why not; or what somebody should look at, although it holds.
    pub detail: Option<String>,
}

pub struct ApiParts {
    /// Clock, dice, ids.
    pub outside: Surroundings,
    /// What everything is asked of.
    pub engine: Engine,
    /// The other engines; none: this one is alone.
    pub others: Option<PeerDirectory>,
    /// Reads of what the engine's core does not keep.
    pub queries: Queries,
    pub scheduler: Arc<JobScheduler>,
    pub retries: Arc<RetryManager>,
    /// Knows the engines.
    pub driver: Arc<Driver>,
    /// The services of this engine.
    pub host: Arc<ServiceHost>,
    /// What was measured.
    pub recorder: Recorder,
    /// Whether the engine should get requests, beside its services running.
    pub ready: Box<ReadyChecks>,
    /// Makes and checks the leases that workers hold.
    pub leases: LeaseTokens,
    /// The names that this engine may be called by.
    pub hosts: Hosts,
    /// From the configuration.
    pub settings: ApiSettings,
}

impl fmt::Debug for ApiParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Api(Arc<Held>);

#[derive(Debug)]
struct Held {
    parts: ApiParts,
    waiters: Waiters,
    bodies: Bodies,
    submissions: Arc<Submissions>,
    engine_header: EngineHeader,
    bounds: Arc<Bounds>,
    parsers: Arc<Parsers>,
}

impl Api {
    /// The handlers' state.
    pub fn new(parts: ApiParts) -> Self {
        let ApiSettings { long_polls_max, long_polls_namespace_max, peer_share_pct, .. } =
            parts.settings;
        let waiters = Waiters::new(long_polls_max, long_polls_namespace_max, peer_share_pct);
        let submissions = Arc::new(Submissions::new(parts.settings.submissions_max));
        let ApiSettings { bodies_bytes_max, urgent_bodies_bytes_max, .. } = parts.settings;
        let bodies = Bodies::new(bodies_bytes_max, urgent_bodies_bytes_max, peer_share_pct);
        let engine_header = EngineHeader::default();
        let bounds = Arc::new(parts.settings.bounds.clone());
        let parsers = Arc::new(Parsers::start());
        Self(Arc::new(Held { parts, waiters, bodies, submissions, engine_header, bounds, parsers }))
    }

    /// Clock, dice, ids.
    pub fn outside(&self) -> &Surroundings {
        &self.0.parts.outside
    }

    /// What everything is asked of.
    pub fn engine(&self) -> &Engine {
        &self.0.parts.engine
    }

    /// The other engines; none: this one is alone.
    pub fn others(&self) -> Option<&PeerDirectory> {
        self.0.parts.others.as_ref()
    }

    /// Reads of what the engine's core does not keep.
    pub fn queries(&self) -> &Queries {
        &self.0.parts.queries
    }

    pub fn scheduler(&self) -> &JobScheduler {
        &self.0.parts.scheduler
    }

    pub fn retries(&self) -> &RetryManager {
        &self.0.parts.retries
    }

    /// From the configuration.
    pub fn settings(&self) -> &ApiSettings {
        &self.0.parts.settings
    }

    /// What the check of a submission knows beside the request.
    pub fn check_settings(&self) -> CheckSettings {
        let queue_timeout = self.settings().default_queue_timeout;
        CheckSettings {
            bounds: self.settings().bounds.clone(),
            queue_timeout_ms: queue_timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            now: self.engine().now(),
        }
    }

    /// The names that this engine may be called by.
    pub fn hosts(&self) -> &Hosts {
        &self.0.parts.hosts
    }

    /// Makes the leases that workers hold.
    pub fn leases(&self) -> &LeaseTokens {
        &self.0.parts.leases
    }

    /// The lease that this text proves. What was not handed out here is lost like a lease that another attempt has
    /// overtaken; it reaches no job, so nothing of it is kept.
    pub fn held(&self, namespace: &Namespace, text: &str) -> Result<HeldLease, Problem> {
        let held = self.leases().check(namespace, text);
        held.map_err(|not_held| Problem::new(Code::LeaseLost, not_held.to_string()))
    }

    /// A place among the waiting lease requests.
    pub fn long_poll(&self, caller: &ApiCaller) -> Result<WaiterPermit, Problem> {
        self.0.waiters.place(&caller.namespace, caller.peer)
    }

    /// Of jobs and payloads, as bodies are read within.
    pub(super) fn bounds(&self) -> &Arc<Bounds> {
        &self.0.bounds
    }

    /// Reads large bodies.
    pub(super) fn parsers(&self) -> &Arc<Parsers> {
        &self.0.parsers
    }

    /// The submissions that are worked on now.
    pub(super) fn submissions(&self) -> &Arc<Submissions> {
        &self.0.submissions
    }

    /// The bytes of request bodies that are held now.
    pub(super) fn bodies(&self) -> &Bodies {
        &self.0.bodies
    }

    /// What must hold for the engine to get requests.
    pub fn ready_checks(&self) -> Vec<ReadyCheck> {
        let mut checks = (self.0.parts.ready)();
        checks.extend(self.services().into_iter().map(|service| ReadyCheck {
            name: service.name.to_owned(),
            ok: service.state == ServiceState::Running,
            detail: (!service.reasons.is_empty()).then(|| service.reasons.join("; ")),
        }));
        checks
    }

    /// The engines, and who drives what, at the last look.
    pub fn engines(&self) -> Arc<Seen> {
        self.0.parts.driver.seen()
    }

    /// The number of this engine among the engines.
    pub fn engine_number(&self) -> EngineId {
        self.0.parts.driver.number()
    }

    /// Which engine this is, for the header of its answers.
    pub fn engine_header(&self) -> HeaderValue {
        let driver = &self.0.parts.driver;
        self.0.engine_header.header(driver.number(), |number| driver.name_of(number))
    }

    /// Every service at this moment.
    pub fn services(&self) -> Vec<ServiceSnapshot> {
        self.0.parts.host.snapshot()
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        publish(&self.engine().counts(), self.engine().now(), self.outside().clock.ahead_ms());
        publish_groups(&self.engine().cluster().by_group());
        let mut text = self.0.parts.recorder.render();
        queue_metrics::append(&mut text, &self.engine().queues_in_use(), self.engine().now());
        text
    }
}

/// What the core counts by itself, for the recorder.
fn publish(counts: &CoreCounts, now: Millis, ahead_ms: i64) {
    let ahead = Duration::from_millis(ahead_ms.unsigned_abs()).as_secs_f64();
    metrics::gauge!(CLOCK_AHEAD).set(if ahead_ms < 0 { -ahead } else { ahead });
    metrics::gauge!(SUBJECTS).set(gauge(counts.subjects as u64));
    metrics::gauge!(READY_NODES).set(gauge(counts.ready));
    metrics::gauge!(RUNNING_ATTEMPTS).set(gauge(counts.running_attempts));
    let attempts = &counts.attempts;
    for (outcome, count) in [
        ("completed", attempts.completed),
        ("failed", attempts.failed),
        ("expired", attempts.expired),
        ("timed_out", attempts.timed_out),
        ("released", attempts.released),
    ] {
        metrics::counter!(NODE_ATTEMPTS, "outcome" => outcome).absolute(count);
    }
    for (status, count) in JobStatus::ALL.into_iter().zip(counts.live_jobs) {
        if !status.is_over() {
            metrics::gauge!(JOBS, "state" => status.as_str()).set(count);
        }
    }
    metrics::counter!(JOBS_SUBMITTED).absolute(counts.jobs.submitted);
    for (status, count) in [
        (JobStatus::Completed, counts.jobs.completed),
        (JobStatus::Failed, counts.jobs.failed),
        (JobStatus::Timeout, counts.jobs.timeout),
        (JobStatus::Cancelled, counts.jobs.cancelled),
        (JobStatus::Aborted, counts.jobs.aborted),
    ] {
        metrics::counter!(JOBS_ENDED, "outcome" => status.as_str()).absolute(count);
    }
    for (class, retries) in counts.retries.by_class() {
        for (outcome, count) in [
            ("scheduled", retries.scheduled),
            ("succeeded", retries.succeeded),
            ("exhausted", retries.exhausted),
            ("cancelled", retries.cancelled),
        ] {
            if count > 0 {
                metrics::counter!(RETRIES, "class" => class, "outcome" => outcome).absolute(count);
            }
        }
    }
    metrics::counter!(APPENDS).absolute(counts.appends);
    metrics::counter!(EVENTS).absolute(counts.events);
    metrics::counter!(CONFLICTS).absolute(counts.conflicts);
    metrics::counter!(LEASE_EXPIRATIONS).absolute(counts.leases_expired);
    metrics::counter!(STALE_REPORTS).absolute(counts.stale_reports);
    metrics::counter!(HEARTBEAT_DETAILS_DROPPED).absolute(counts.details_dropped);
    metrics::counter!(SUBJECTS_LEFT, "why" => "parked").absolute(counts.parked);
    metrics::counter!(SUBJECTS_LEFT, "why" => "retired").absolute(counts.retired);
    metrics::gauge!(COMMAND_QUEUE).set(u32::try_from(counts.queued).unwrap_or(u32::MAX));
    // From now, not from the core's last turn: a core that hangs leaves the view behind too.
    let lag = counts.unshown_since.map_or(0, |since| now.saturating_sub(since));
    let lag = u64::try_from(lag).unwrap_or(0);
    metrics::gauge!(VIEW_LAG).set(Duration::from_millis(lag).as_secs_f64());
}

/// Of each group, driven or not: a label for each of the 64.
fn publish_groups(by_group: &ByGroup) {
    let numbers = by_group.subjects.iter().zip(&by_group.reading);
    for (group, (subjects, reading)) in numbers.enumerate() {
        let label = group.to_string();
        metrics::gauge!(GROUP_SUBJECTS, "group" => label.clone()).set(*subjects);
        metrics::gauge!(GROUP_READING, "group" => label).set(*reading);
    }
}

/// Gauges are floats; what is counted here stays far below what they hold exactly.
fn gauge(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
