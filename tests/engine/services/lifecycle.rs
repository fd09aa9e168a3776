//! The life of hosted services on a simulated clock: order, degradation, panics, wake-ups, drains, operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use orrery::config::{ConfigError, ServicesSettings, Settings};
use orrery::environment::{Clock as _, SimulatedClock, Surroundings};
use orrery::services::lifecycle::{
    FailedStart, Health, HostError, Need, OperationError, OperationVerdict, Operations, Service,
    ServiceError, ServiceHost, ServiceSnapshot, ServiceState, Tick, TickReport, Ticks, Wake,
};
use orrery_testing::stress::start_and_stop;

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Diary = Arc<Mutex<Vec<String>>>;

const START: i64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// What a scripted service does beside writing into the diary.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    Plain,
    FailsToStart,
    NeverStarts,
    PanicsAtStart,
    NeverDrains,
}

struct Scripted {
    name: &'static str,
    needs: Vec<Need>,
    script: Script,
    diary: Diary,
    counter: Arc<Counter>,
    panicker: Arc<Panicker>,
}

/// Counts its runs; due every ten seconds, and when woken.
#[derive(Default)]
struct Counter {
    runs: AtomicU64,
    seen_at: Mutex<Vec<i64>>,
    wake: Wake,
}

/// Panics, or hangs, as often as it is told to.
#[derive(Default)]
struct Panicker {
    panics_left: AtomicU64,
    hangs_left: AtomicU64,
    wake: Wake,
}

struct CounterTick(Arc<Counter>);
struct PanickerTick(Arc<Panicker>);

impl Tick for CounterTick {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn wake(&self) -> Option<Wake> {
        Some(self.0.wake.clone())
    }

    async fn tick(&self, now: i64) -> TickReport {
        self.0.runs.fetch_add(1, Ordering::Relaxed);
        self.0.seen_at.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        TickReport::did(1, Some(now + 10_000))
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Tick for PanickerTick {
    fn name(&self) -> &'static str {
        "panicker"
    }

    fn wake(&self) -> Option<Wake> {
        Some(self.0.wake.clone())
    }

    async fn tick(&self, _now: i64) -> TickReport {
        if take_one(&self.0.panics_left) {
            std::panic::panic_any("as the test wants it");
        }
        if take_one(&self.0.hangs_left) {
            std::future::pending::<()>().await;
        }
        TickReport::idle()
    }
}

impl Service for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Vec<Need> {
        self.needs.clone()
    }

    async fn start(&self) -> Result<(), ServiceError> {
        self.write("start");
        match self.script {
            Script::FailsToStart => Err(ServiceError::new("as the test wants it")),
            Script::NeverStarts => std::future::pending().await,
            Script::PanicsAtStart => std::panic::panic_any("as the test wants it"),
            Script::Plain | Script::NeverDrains => Ok(()),
        }
    }

    fn ticks(self: &Arc<Self>) -> Ticks {
        Ticks::none()
            .with(CounterTick(Arc::clone(&self.counter)))
            .with(PanickerTick(Arc::clone(&self.panicker)))
    }

    async fn drain(&self, _deadline: Duration) -> Result<(), ServiceError> {
        self.write("drain");
        if self.script == Script::NeverDrains {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

impl Scripted {
    fn write(&self, what: &str) {
        self.diary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{what} {}", self.name));
    }

    fn runs(&self) -> u64 {
        self.counter.runs.load(Ordering::Relaxed)
    }
}

/// A host's surroundings, and the services put into it.
struct Stage {
    outside: Surroundings,
    clock: SimulatedClock,
    settings: ServicesSettings,
    diary: Diary,
}

impl Stage {
    fn new() -> Result<Self, ConfigError> {
        let (outside, clock) = orrery_testing::simulated(START, 7);
        Ok(Self {
            outside,
            clock,
            settings: Settings::defaults()?.services,
            diary: Diary::default(),
        })
    }

    fn service(&self, name: &'static str, needs: &[Need], script: Script) -> Arc<Scripted> {
        let (needs, diary) = (needs.to_vec(), Arc::clone(&self.diary));
        Arc::new(Scripted {
            name,
            needs,
            script,
            diary,
            counter: Arc::default(),
            panicker: Arc::default(),
        })
    }

    fn host(&self, services: &[&Arc<Scripted>]) -> Result<ServiceHost, HostError> {
        let builder =
            services.iter().fold(ServiceHost::builder(), |builder, service| builder.with(service));
        builder.build(self.settings.clone(), self.outside.clone())
    }

    fn diary(&self) -> Vec<String> {
        std::mem::take(&mut *self.diary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work`, letting time pass from sleeper to sleeper while it waits.
    async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = settle() => { self.clock.advance_to_next_sleeper(); }
            }
        }
    }

    /// Lets `span` pass, with everybody having a turn at each moment somebody waits for.
    async fn pass(&self, span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            settle().await;
            let left = end.saturating_sub(self.clock.monotonic());
            match self.clock.next_wake_in() {
                Some(wait) if wait < left => self.clock.advance(wait),
                Some(_) | None => break,
            }
        }
        self.clock.advance(end.saturating_sub(self.clock.monotonic()));
        settle().await;
    }
}

/// Gives every task of this one-threaded runtime its turn until all of them wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn of<'a>(snapshot: &'a [ServiceSnapshot], name: &str) -> Result<&'a ServiceSnapshot, String> {
    snapshot.iter().find(|service| service.name == name).ok_or_else(|| format!("no {name}"))
}

#[tokio::test]
async fn services_start_in_order_and_drain_in_reverse() -> Outcome {
    let stage = Stage::new()?;
    let store = stage.service("store", &[], Script::Plain);
    let view = stage.service("view", &[Need::required("store", SECOND)], Script::Plain);
    let scheduler = stage.service("scheduler", &[Need::required("view", SECOND)], Script::Plain);
    let host = stage.host(&[&scheduler, &store, &view])?;
    assert_eq!(host.start().await, []);
    assert!(host.snapshot().iter().all(|service| service.state == ServiceState::Running));
    assert_eq!(stage.diary(), ["start store", "start view", "start scheduler"]);
    host.drain(SECOND).await;
    assert_eq!(stage.diary(), ["drain scheduler", "drain view", "drain store"]);
    assert!(host.snapshot().iter().all(|service| service.state == ServiceState::Stopped));
    host.drain(SECOND).await;
    assert_eq!(host.start().await, []);
    assert!(stage.diary().is_empty(), "a host lives once");
    Ok(())
}

#[tokio::test]
async fn a_missing_optional_service_leaves_the_others_running_and_degraded() -> Outcome {
    let stage = Stage::new()?;
    let failing = stage.service("failing", &[], Script::FailsToStart);
    let needs = [Need::optional("failing", SECOND), Need::optional("nowhere", SECOND)];
    let scheduler = stage.service("scheduler", &needs, Script::Plain);
    let host = stage.host(&[&failing, &scheduler])?;
    let failed = host.start().await;
    let reason = "as the test wants it".to_owned();
    assert_eq!(failed, [FailedStart { service: "failing", reason: reason.clone() }]);
    let snapshot = host.snapshot();
    let scheduler = of(&snapshot, "scheduler")?;
    assert_eq!(
        (scheduler.state, scheduler.health, scheduler.degraded),
        (ServiceState::Running, Health::Healthy, true)
    );
    assert_eq!(
        scheduler.reasons,
        ["runs without failing, which is error", "runs without nowhere, which is missing"]
    );
    assert_eq!(of(&snapshot, "failing")?.reasons, [reason]);
    host.drain(SECOND).await;
    Ok(())
}

#[tokio::test]
async fn a_required_service_that_is_down_keeps_the_other_from_starting() -> Outcome {
    for (script, why) in [
        (Script::FailsToStart, "as the test wants it"),
        (Script::PanicsAtStart, "start panicked: as the test wants it"),
        (Script::NeverStarts, "did not start within 2s"),
    ] {
        let stage = Stage::new()?;
        let store = stage.service("store", &[], script);
        let view = stage.service("view", &[Need::required("store", SECOND * 2)], Script::Plain);
        let host = stage.host(&[&store, &view])?;
        let failed = stage.while_time_passes(host.start()).await;
        let reasons: Vec<&str> = failed.iter().map(|failed| failed.reason.as_str()).collect();
        assert_eq!(reasons.first(), Some(&why));
        assert!(
            reasons.get(1).is_some_and(|reason| reason.starts_with("needs store")),
            "{reasons:?}"
        );
        assert_eq!(stage.diary(), ["start store"], "the view never began");
        stage.while_time_passes(host.drain(SECOND)).await;
        assert!(
            host.snapshot().iter().all(|service| service.state == ServiceState::Stopped),
            "{script:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_lazy_need_is_not_waited_for_and_missed_only_after_its_time() -> Outcome {
    let stage = Stage::new()?;
    let late = stage.service("late", &[], Script::NeverStarts);
    let eager =
        stage.service("eager", &[Need::required("late", SECOND * 60).lazy()], Script::Plain);
    let host = Arc::new(stage.host(&[&eager, &late])?);
    let starting = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.start().await }
    });
    settle().await;
    let health = |host: &ServiceHost| {
        of(&host.snapshot(), "eager").map(|eager| (eager.state, eager.health, eager.degraded))
    };
    assert_eq!(health(&host)?, (ServiceState::Running, Health::Healthy, false));
    stage.pass(SECOND * 61).await;
    assert_eq!(health(&host)?, (ServiceState::Running, Health::Unhealthy, true));
    host.drain(SECOND).await;
    starting.await?;
    Ok(())
}

#[tokio::test]
async fn a_start_or_drain_that_is_dropped_leaves_nothing_behind() -> Outcome {
    let stage = Stage::new()?;
    let (slow, plain) = (
        stage.service("slow", &[], Script::NeverStarts),
        stage.service("plain", &[], Script::Plain),
    );
    let stuck = stage.service("stuck", &[], Script::NeverDrains);
    let host = stage.host(&[&plain, &slow, &stuck])?;
    {
        let mut start = std::pin::pin!(host.start());
        assert!(futures_util::poll!(start.as_mut()).is_pending());
    }
    settle().await;
    let states: Vec<_> = host.snapshot().iter().map(|service| service.state).collect();
    assert_eq!(states, [ServiceState::Running, ServiceState::Initializing, ServiceState::Running]);
    {
        let mut drain = std::pin::pin!(host.drain(SECOND));
        assert!(futures_util::poll!(drain.as_mut()).is_pending());
        settle().await;
        assert!(futures_util::poll!(drain.as_mut()).is_pending());
    }
    let began = stage.clock.monotonic();
    stage.while_time_passes(host.drain(SECOND * 3)).await;
    assert_eq!(stage.clock.monotonic(), began + SECOND, "only the stuck one used up its share");
    let states: Vec<_> = host.snapshot().iter().map(|service| service.state).collect();
    assert_eq!(
        states,
        [ServiceState::Stopped, ServiceState::Stopped, ServiceState::Error],
        "stuck did not drain"
    );
    let runs = plain.runs();
    stage.pass(SECOND * 60).await;
    assert_eq!(plain.runs(), runs);
    Ok(())
}

#[tokio::test]
async fn a_tick_runs_when_it_is_due_and_at_once_when_it_is_woken() -> Outcome {
    let stage = Stage::new()?;
    let service = stage.service("job_scheduler", &[], Script::Plain);
    let host = stage.host(&[&service])?;
    host.start().await;
    stage.pass(SECOND).await;
    assert_eq!(service.runs(), 1, "first within the stagger");
    stage.pass(SECOND * 8).await;
    assert_eq!(service.runs(), 1, "not before it is due");
    stage.pass(SECOND * 2).await;
    assert_eq!(service.runs(), 2);
    for _ in 0..3 {
        service.counter.wake.fire();
    }
    settle().await;
    assert_eq!(service.runs(), 3, "firings before a run are one");
    let snapshot = host.snapshot();
    let counter =
        of(&snapshot, "job_scheduler")?.ticks.iter().find(|tick| tick.name == "counter").cloned();
    let counter = counter.ok_or("no tick")?;
    let last =
        service.counter.seen_at.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
    assert_eq!((counter.runs, counter.last_did, counter.failures), (3, 1, 0));
    assert_eq!((counter.last_run_at, counter.next_due), (last, last.map(|at| at + 10_000)));
    host.drain(SECOND).await;
    service.counter.wake.fire();
    stage.pass(SECOND * 60).await;
    assert_eq!(service.runs(), 3, "nothing runs after the drain");
    Ok(())
}

#[tokio::test]
async fn a_panic_in_one_tick_marks_the_service_and_the_others_go_on() -> Outcome {
    let stage = Stage::new()?;
    let (service, other) = (
        stage.service("job_scheduler", &[], Script::Plain),
        stage.service("other", &[], Script::Plain),
    );
    let host = stage.host(&[&service, &other])?;
    host.start().await;
    stage.pass(SECOND).await;
    service.panicker.panics_left.store(1, Ordering::Relaxed);
    service.panicker.wake.fire();
    service.counter.wake.fire();
    settle().await;
    let snapshot = host.snapshot();
    let marked = of(&snapshot, "job_scheduler")?;
    assert_eq!(
        (marked.state, marked.health, marked.panics),
        (ServiceState::Error, Health::Unhealthy, 1)
    );
    assert_eq!(marked.reasons, ["tick panicker panicked: as the test wants it"]);
    assert_eq!(of(&snapshot, "other")?.state, ServiceState::Running);
    assert_eq!(service.runs(), 2, "the other tick of the same service ran after the panic");
    stage.pass(SECOND * 2).await;
    let snapshot = host.snapshot();
    let again = of(&snapshot, "job_scheduler")?;
    assert_eq!(
        (again.state, again.health, again.restarts),
        (ServiceState::Running, Health::Healthy, 1)
    );
    assert_eq!(stage.diary(), ["start job_scheduler", "start other", "start job_scheduler"]);
    host.drain(SECOND).await;
    Ok(())
}

#[tokio::test]
async fn a_tick_that_hangs_is_cut_off_and_seen_and_tried_again() -> Outcome {
    let stage = Stage::new()?;
    let service = stage.service("job_scheduler", &[], Script::Plain);
    let host = stage.host(&[&service])?;
    host.start().await;
    stage.pass(SECOND).await;
    service.panicker.hangs_left.store(3, Ordering::Relaxed);
    service.panicker.wake.fire();
    // Three times ten seconds until it is cut off, with one and two seconds between.
    stage.pass(SECOND * 34).await;
    let snapshot = host.snapshot();
    let scheduler = of(&snapshot, "job_scheduler")?;
    assert_eq!((scheduler.state, scheduler.health), (ServiceState::Running, Health::Unhealthy));
    assert!(
        scheduler.reasons.iter().any(|reason| reason.contains("3 times in a row")),
        "{:?}",
        scheduler.reasons
    );
    stage.pass(SECOND * 5).await;
    assert_eq!(of(&host.snapshot(), "job_scheduler")?.health, Health::Healthy);
    host.drain(SECOND).await;
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_that_stops_is_noticed() -> Outcome {
    let stage = Stage::new()?;
    let service = stage.service("job_scheduler", &[], Script::Plain);
    let host = stage.host(&[&service])?;
    host.start().await;
    stage.pass(SECOND * 30).await;
    assert_eq!(of(&host.snapshot(), "job_scheduler")?.health, Health::Healthy);
    // The pump gets no turn while this much time passes at once.
    stage.clock.advance(SECOND * 16);
    let snapshot = host.snapshot();
    assert_eq!(of(&snapshot, "job_scheduler")?.health, Health::Unhealthy);
    assert!(
        of(&snapshot, "job_scheduler")?
            .reasons
            .iter()
            .any(|reason| reason.contains("no heartbeat"))
    );
    settle().await;
    assert_eq!(of(&host.snapshot(), "job_scheduler")?.health, Health::Healthy);
    host.drain(SECOND).await;
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_within_its_deadline_whatever_hangs() -> Outcome {
    let stage = Stage::new()?;
    let stuck = stage.service("stuck", &[], Script::NeverDrains);
    let hanging = stage.service("hanging", &[Need::required("stuck", SECOND)], Script::Plain);
    let host = stage.host(&[&stuck, &hanging])?;
    host.start().await;
    stage.pass(SECOND).await;
    hanging.panicker.hangs_left.store(1, Ordering::Relaxed);
    hanging.panicker.wake.fire();
    settle().await;
    let began = stage.clock.monotonic();
    stage.while_time_passes(host.drain(SECOND * 5)).await;
    assert!(stage.clock.monotonic() <= began + SECOND * 5);
    let snapshot = host.snapshot();
    assert_eq!(of(&snapshot, "stuck")?.reasons, ["did not drain within the deadline"]);
    assert_eq!(of(&snapshot, "hanging")?.reasons, ["a tick did not end within the deadline"]);
    assert_eq!(stage.diary().last().map(String::as_str), Some("drain stuck"));
    Ok(())
}

#[tokio::test]
async fn services_survive_the_start_and_stop_stress() -> Outcome {
    let stage = Stage::new()?;
    start_and_stop(20, &stage.settings, &stage.outside, |builder| {
        builder.with(&stage.service("job_scheduler", &[], Script::Plain))
    })
    .await?;
    let same = stage.service("job_scheduler", &[], Script::Plain);
    start_and_stop(20, &stage.settings, &stage.outside, |builder| builder.with(&same)).await?;
    start_and_stop(4, &stage.settings, &stage.outside, |builder| {
        builder.with(&stage.service("x", &[], Script::FailsToStart))
    })
    .await?;
    Ok(())
}

fn operations(stage: &Stage) -> Operations {
    let mut settings = stage.settings.of("job_scheduler");
    settings.operations_max = 2;
    (settings.breaker.window_calls, settings.breaker.min_calls) = (4, 4);
    Operations::new("job_scheduler", settings, Arc::clone(&stage.outside.clock))
}

fn worked<T>(_: &T) -> OperationVerdict {
    OperationVerdict::Worked
}

#[tokio::test]
async fn operations_are_bounded_seen_and_counted() -> Outcome {
    let stage = Stage::new()?;
    let operations = operations(&stage);
    let (open, gate) = tokio::sync::watch::channel(false);
    let spawn = |correlation_id: &'static str| {
        let (operations, mut gate) = (operations.clone(), gate.clone());
        tokio::spawn(async move {
            let work = async { gate.wait_for(|open| *open).await.map_or(0, |_| 1) };
            operations.run("schedule_job", correlation_id, worked, work).await
        })
    };
    let running: Vec<_> = ["a", "b", "c", "d"].into_iter().map(spawn).collect();
    settle().await;
    assert_eq!(
        operations.run("schedule_job", "e", worked, async { 1 }).await,
        Err(OperationError::Busy { service: "job_scheduler", max: 2 })
    );
    let seen: Vec<String> =
        operations.running().into_iter().map(|running| running.correlation_id).collect();
    assert_eq!(seen, ["a", "b", "c", "d"], "those that wait for a place are seen too");
    open.send(true)?;
    for running in running {
        assert_eq!(running.await?, Ok(1));
    }
    let kind = operations.kinds().pop().ok_or("no kind")?;
    assert_eq!((kind.kind, kind.running, kind.succeeded, kind.refused), ("schedule_job", 0, 4, 1));
    assert_eq!(operations.running().len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_operation_that_hangs_panics_or_is_left_frees_its_place() -> Outcome {
    let stage = Stage::new()?;
    let operations = operations(&stage);
    let hanging = operations.run("hangs", "a", worked::<u32>, std::future::pending());
    let ended = stage.while_time_passes(hanging).await;
    assert!(
        matches!(ended, Err(OperationError::TimedOut { timeout, .. }) if timeout == SECOND * 10)
    );
    let panics = operations
        .run("panics", "b", worked::<u32>, async { std::panic::panic_any("as the test wants it") })
        .await;
    assert!(matches!(panics, Err(OperationError::Panicked { .. })));
    {
        let mut left =
            std::pin::pin!(operations.run("left", "c", worked::<u32>, std::future::pending()));
        assert!(futures_util::poll!(left.as_mut()).is_pending());
        assert_eq!(operations.running().len(), 1);
    }
    assert_eq!(operations.running().len(), 0);
    let counts: Vec<_> = operations
        .kinds()
        .iter()
        .map(|kind| (kind.kind, kind.timed_out, kind.failed, kind.abandoned))
        .collect();
    assert_eq!(counts, [("hangs", 1, 0, 0), ("left", 0, 0, 1), ("panics", 0, 1, 0)]);
    Ok(())
}

#[tokio::test]
async fn an_operation_kind_that_keeps_failing_is_stopped_and_shown() -> Outcome {
    let stage = Stage::new()?;
    let operations = operations(&stage);
    for _ in 0..4 {
        operations.run("append", "a", |_| OperationVerdict::Failed, async { 0 }).await?;
    }
    let stopped = operations.run("append", "b", worked, async { 0 }).await;
    assert!(
        matches!(stopped, Err(OperationError::Stopped { retry_after, .. }) if retry_after == SECOND * 5)
    );
    assert_eq!(operations.run("read", "c", worked, async { 5 }).await, Ok(5), "other kinds go on");
    let shown: Vec<_> = operations
        .breakers()
        .iter()
        .map(|breaker| (breaker.operation, breaker.state, breaker.opened))
        .collect();
    assert_eq!(shown, [("append", "open", 1), ("read", "closed", 0)]);
    stage.clock.advance(SECOND * 5);
    assert_eq!(operations.run("append", "d", worked, async { 6 }).await, Ok(6));
    assert!(operations.stopped_kinds().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_the_store_does_not_answer_fails_an_operation_and_opens_no_breaker() -> Outcome {
    let stage = Stage::new()?;
    let operations = operations(&stage);
    for _ in 0..50 {
        operations.run("append", "a", |_| OperationVerdict::Unanswered, async { 0 }).await?;
    }
    let kinds = operations.kinds();
    assert_eq!((kinds[0].failed, kinds[0].refused), (50, 0), "{kinds:?}");
    assert!(operations.stopped_kinds().is_empty());
    Ok(())
}

#[tokio::test]
async fn counted_operations_are_seen_and_never_refused() -> Outcome {
    let stage = Stage::new()?;
    let operations = operations(&stage);
    let reports = operations.counted("report");
    let worked = |_: &u32| OperationVerdict::Worked;
    let mut held: Vec<_> =
        (0..100).map(|_| Box::pin(reports.run(worked, std::future::pending::<u32>()))).collect();
    for one in &mut held {
        assert!(one.now_or_never().is_none(), "it runs");
    }
    assert_eq!(reports.run(worked, async { 7 }).await, 7, "however many run");
    reports.run(|_| OperationVerdict::Failed, async { 0 }).await;
    let seen = |operations: &Operations| {
        let kinds = operations.kinds();
        let kind = kinds.into_iter().find(|kind| kind.kind == "report");
        kind.map(|kind| (kind.running, kind.succeeded, kind.failed, kind.abandoned))
    };
    assert_eq!(seen(&operations), Some((100, 1, 1, 0)));
    drop(held);
    assert_eq!(seen(&operations), Some((0, 1, 1, 100)), "who left is counted so");
    Ok(())
}
