//! What a service is: a name, what it needs, how it starts and drains, and its ticks.
//! A tick is one bounded step: it looks at the present state, does at most one batch of work, says what it did and
//! when it is next due. Everything that waits, repeats, times out, counts or survives a panic is the pump's.
//! Always holds: a tick may run too often, too early or again after being cut off, so it decides from state, never
//! from having been called.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::Operations;

/// A part of the engine with a life of its own. Hosted as `Arc<Self>`; several ticks and requests use it at once.
pub trait Service: Send + Sync + 'static {
    /// The name in the configuration, logs, metrics and GET /services: `[a-z_]+`, one of its kind in a host.
    fn name(&self) -> &'static str;

    /// Which services it needs. Nothing by default.
    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    /// Prepares itself; when it returns, the service is ready. Called again after an error, so it must not rely on
    /// being the first call. Cut off when it takes longer than the longest time anybody waits for it.
    fn start(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { Ok(()) }
    }

    /// The steps that the pump repeats. Asked for once, when the service has started. None by default.
    fn ticks(self: &Arc<Self>) -> Ticks {
        Ticks::none()
    }

    /// Gives back what it holds, within `deadline` from now; its ticks have ended. Called once at the end of every
    /// life, also after an error or when it never started.
    fn drain(&self, deadline: Duration) -> impl Future<Output = Result<(), ServiceError>> + Send {
        let _ = deadline;
        async { Ok(()) }
    }

    /// The tracked operations of this service, if it has any, to be shown beside its ticks.
    fn operations(&self) -> Option<Operations> {
        None
    }
}

/// One bounded step of a service, repeated by the pump.
pub trait Tick: Send + Sync + 'static {
    /// The name of the job it does, such as `admission`: `[a-z_]+`, one of its kind in its service.
    fn name(&self) -> &'static str;

    /// What makes it due at once. Without one it runs only when its last report said.
    fn wake(&self) -> Option<Wake> {
        None
    }

    /// Takes one step. `now` is the engine's time in milliseconds since 1970. Cut off (its future dropped) after the
    /// service's operation time-out, so nothing may be half done at an await.
    fn tick(&self, now: i64) -> impl Future<Output = TickReport> + Send;
}

/// What a tick did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickReport {
    /// How many things it did; 0 when there was nothing to do.
    pub did: u64,
    /// When it is next due, in milliseconds since 1970 on the engine's clock; in the past: at once, after the other
    /// ticks had their turn. `None`: only when woken.
    pub next_due: Option<i64>,
    /// Why it could not do what it should have, if so. Counted and logged; without a `next_due` it is tried again
    /// after a growing wait.
    pub failure: Option<String>,
}

impl TickReport {
    /// Did `did` things, and is next due at `next_due`.
    pub fn did(did: u64, next_due: Option<i64>) -> Self {
        Self { did, next_due, failure: None }
    }

    /// Found nothing to do until it is woken.
    pub fn idle() -> Self {
        Self::did(0, None)
    }

    /// Could not do its work, for this reason.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self { did: 0, next_due: None, failure: Some(reason.to_string()) }
    }
}

/// Makes a tick due. Cheap to clone and to fire; fired while the tick runs, it runs once more. Any number of
/// firings before a run are one.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    fired: Arc<AtomicU64>,
    notify: Arc<Notify>,
}

impl Wake {
    /// A new one, not fired.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tick is due now.
    pub fn fire(&self) {
        self.fired.fetch_add(1, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// How often it was fired so far. A reader that registered (`registered`) before reading misses nothing.
    pub(super) fn count(&self) -> u64 {
        self.fired.load(Ordering::Acquire)
    }

    /// Ends at the first firing after this call.
    pub(super) fn registered(&self) -> Pin<Box<OwnedNotified>> {
        let mut notified = Box::pin(Arc::clone(&self.notify).notified_owned());
        notified.as_mut().enable();
        notified
    }
}

/// The ticks of a service.
#[derive(Default)]
pub struct Ticks(pub(super) Vec<Box<dyn HostedTick>>);

impl Ticks {
    /// No ticks: a service that only answers.
    pub fn none() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(mut self, tick: impl Tick) -> Self {
        self.0.push(Box::new(tick));
        self
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|tick| tick.name())).finish()
    }
}

/// One service's need of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The other's name.
    pub service: &'static str,
    /// Without it this service cannot start; an optional one that is missing or down leaves it degraded.
    pub required: bool,
    /// Waited for before this one starts. A lazy one is not: it is looked at only after its start time-out, and two
    /// services may need each other lazily.
    pub eager: bool,
    /// How long the other may take to run before this service goes on without it or, when it is required, fails.
    pub start_timeout: Duration,
}

impl Need {
    /// Cannot start without it; waits up to `start_timeout` for it.
    pub fn required(service: &'static str, start_timeout: Duration) -> Self {
        Self { service, required: true, eager: true, start_timeout }
    }

    /// Waits up to `start_timeout` for it, then starts without it.
    pub fn optional(service: &'static str, start_timeout: Duration) -> Self {
        Self { service, required: false, eager: true, start_timeout }
    }

    /// Not waited for at the start.
    pub fn lazy(self) -> Self {
        Self { eager: false, ..self }
    }
}

/// Why a service could not start or drain, in words for the log and GET /services.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(String);

impl ServiceError {
    /// The cause with those behind it.
    pub fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A service of any type, as the host holds it.
pub(super) trait HostedService: Send + Sync {
    fn name(&self) -> &'static str;
    fn needs(&self) -> Vec<Need>;
    fn start(&self) -> BoxFuture<'_, Result<(), ServiceError>>;
    fn ticks(&self) -> Ticks;
    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Result<(), ServiceError>>;
    fn operations(&self) -> Option<Operations>;
}

impl<S: Service> HostedService for Arc<S> {
    fn name(&self) -> &'static str {
        S::name(self)
    }

    fn needs(&self) -> Vec<Need> {
        S::needs(self)
    }

    fn start(&self) -> BoxFuture<'_, Result<(), ServiceError>> {
        Box::pin(S::start(self))
    }

    fn ticks(&self) -> Ticks {
        S::ticks(self)
    }

    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Result<(), ServiceError>> {
        Box::pin(S::drain(self, deadline))
    }

    fn operations(&self) -> Option<Operations> {
        S::operations(self)
    }
}

/// A tick of any type, as the pump holds it.
pub(super) trait HostedTick: Send + Sync {
    fn name(&self) -> &'static str;
    fn wake(&self) -> Option<Wake>;
    fn tick(&self, now: i64) -> BoxFuture<'_, TickReport>;
}

impl<T: Tick> HostedTick for T {
    fn name(&self) -> &'static str {
        T::name(self)
    }

    fn wake(&self) -> Option<Wake> {
        T::wake(self)
    }

    fn tick(&self, now: i64) -> BoxFuture<'_, TickReport> {
        Box::pin(T::tick(self, now))
    }
}
