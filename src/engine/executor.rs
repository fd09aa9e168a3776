//! Runs the core: takes what is asked from a channel, gives it time and randomness, carries its outputs to the stores
//! and back. Thin on purpose; whatever can be decided is decided in `core`.
//! Always holds: inputs that are at hand are heard before time is, so that no lease runs out under a heartbeat that has
//! arrived.

mod inbox;
mod loads;
mod outage;
mod peer_rpc;
mod reads;
mod replies;
mod store_io;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::ids::{GroupId, Millis};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::loads::Loads;
use self::outage::Outages;
use self::reads::Reads;
use self::replies::Replies;
use self::store_io::{LOOK_EVERY_MS, driven, look_every_ms};
use crate::engine::catalog_copies::CatalogCopies;
use crate::engine::core::message::{EngineId, Input, Output, Response, Ticket};
use crate::engine::core::{Core, CoreSettings};
use crate::engine::forward::Forward;
use crate::engine::gauges::Gauges;
use crate::engine::handle::Engine;
use crate::engine::mailbox::{Mailbox, Message, refused};
use crate::engine::shared::Shared;
use crate::engine::watch::Watchers;
use crate::engine::{evaluation, loader, rebuild};
use crate::environment::Surroundings;
use crate::environment::fail_points::{self, Point};
use crate::event_store::contract::{EventStore, EventStoreError, StoreResult};
use crate::view::contract::View;

/// Messages heard before the core gets its turn.
const HEARD_MAX: usize = 4_096;
/// Marks read at once.
const MARKS_PAGE: usize = 5_000;
/// Why an engine ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorEnd {
    /// Nothing more can be made durable.
    #[error(transparent)]
    Store(#[from] EventStoreError),
    /// Nothing more can be shown; what is stored is untouched.
    #[error("the view cannot go on, and is made anew at the next start: {0}")]
    View(String),
}

/// What an engine is made of.
#[derive(Debug)]
pub struct Parts {
    /// For the core.
    pub settings: CoreSettings,
    /// This engine's number.
    pub me: EngineId,
    /// The driver of each group, until `Cluster::routes` says otherwise. An engine that is not alone keeps no heartbeat
    /// and ends no lease before it has heard how long its groups are its own (`Cluster::drives_until`).
    pub drivers: Vec<Option<EngineId>>,
    pub store: Arc<dyn EventStore>,
    pub view: Arc<dyn View>,
    /// Clock, dice, ids.
    pub surroundings: Surroundings,
    /// After so long the outcome of an append counts as unknown; it is settled by writing it again.
    pub append_deadline: Duration,
    /// The way to other engines; none: nobody is asked. Then nobody else writes either, unless the settings say so
    /// (`alone`).
    pub forward: Option<Arc<dyn Forward>>,
}

/// Starts an engine. It serves at once; subjects of its groups are loaded meanwhile.
///
/// # Errors
/// What the store says when it is asked who it is.
pub async fn start(mut parts: Parts) -> StoreResult<(Engine, JoinHandle<Result<(), ExecutorEnd>>)> {
    let info = parts.store.info().await?;
    let clock = Arc::clone(&parts.surroundings.clock);
    clock.raise_floor(info.newest_at);
    clock.start_serving();
    let seed = parts.surroundings.dice.next_u64();
    parts.settings.alone &= parts.forward.is_none();
    let (look_every_ms, alone) = (look_every_ms(&parts.settings), parts.settings.alone);
    let node_pages = parts.settings.node_pages;
    let mut core = Core::new(parts.settings, parts.me, info.incarnation, seed, clock.now_ms());
    core.handle(clock.now_ms(), Input::Routes { drivers: parts.drivers.clone() });
    let (mailbox, messages) = Mailbox::new(Arc::clone(&clock));
    let (returns, came) = mpsc::unbounded_channel();
    let gauges = Arc::new(Gauges::default());
    gauges.store_ok.store(true, Ordering::Relaxed);
    let watchers = Arc::new(Watchers::default());
    let catalogs = Arc::new(CatalogCopies::default());
    let engine = Engine(Arc::new(Shared {
        mailbox,
        store: Arc::clone(&parts.store),
        view: Arc::clone(&parts.view),
        clock: Arc::clone(&clock),
        ids: parts.surroundings.ids.clone(),
        gauges: Arc::clone(&gauges),
        forward: parts.forward.clone(),
        watchers: Arc::clone(&watchers),
        catalogs: Arc::clone(&catalogs),
    }));
    let mut executor = Executor {
        core,
        store: parts.store,
        view: parts.view,
        clock,
        gauges,
        catalogs,
        watchers,
        forward: parts.forward,
        me: parts.me,
        alone,
        groups: Vec::new(),
        append_deadline: parts.append_deadline,
        returns,
        replies: Replies::default(),
        loads: Loads::default(),
        reads: Reads::default(),
        stopping: false,
        look_now: false,
        look_again: Arc::default(),
        outages: Arc::default(),
        look_every_ms,
        queues_told_at: Millis::MIN,
        under_way: 0,
        stepped_to: Millis::MIN,
        fatal: None,
    };
    executor.drive(driven(&parts.drivers, parts.me));
    executor.reads.begins_after(info.newest_at);
    executor.spawn(rebuild::adopt_view(Arc::clone(&engine.0), info.view_id(), node_pages));
    let task = tokio::spawn(executor.run(messages, came));
    Ok((engine, task))
}

struct Executor {
    core: Core,
    store: Arc<dyn EventStore>,
    view: Arc<dyn View>,
    clock: Arc<dyn crate::environment::Clock>,
    gauges: Arc<Gauges>,
    catalogs: Arc<CatalogCopies>,
    watchers: Arc<Watchers>,
    forward: Option<Arc<dyn Forward>>,
    me: EngineId,
    /// Nobody else writes.
    alone: bool,
    groups: Vec<GroupId>,
    append_deadline: Duration,
    returns: mpsc::UnboundedSender<Input>,
    replies: Replies,
    loads: Loads,
    reads: Reads,
    stopping: bool,
    /// Other groups are driven now: what is due there is looked for at once.
    look_now: bool,
    /// What is due was not read, or not found: it is looked for again soon.
    look_again: Arc<AtomicBool>,
    outages: Arc<Outages>,
    look_every_ms: Millis,
    /// When queues in use were told of last.
    queues_told_at: Millis,
    /// Writes whose outcome is not back yet.
    under_way: usize,
    /// Where the clock stepped to last.
    stepped_to: Millis,
    fatal: Option<EventStoreError>,
}

impl Executor {
    async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut came: mpsc::UnboundedReceiver<Input>,
    ) -> Result<(), ExecutorEnd> {
        let mut look_at = self.clock.now_ms();
        let mut heard = Vec::with_capacity(HEARD_MAX);
        loop {
            let now = self.clock.now_ms();
            if std::mem::take(&mut self.look_now) {
                look_at = now;
            }
            if self.look_again.swap(false, Ordering::Relaxed) {
                look_at = look_at.min(now.saturating_add(LOOK_EVERY_MS));
            }
            if now >= look_at && !self.stopping {
                look_at = now.saturating_add(self.look_every_ms);
                self.look_for_due(look_at.saturating_add(1_000));
            }
            self.turn();
            if let Some(error) = self.fatal.take() {
                return Err(error.into());
            }
            if let Some(reason) = self.gauges.view_ended.get() {
                tracing::error!(reason, "the engine stops: nothing more can be shown");
                return Err(ExecutorEnd::View(reason.clone()));
            }
            if self.stopping && self.under_way == 0 {
                return Ok(());
            }
            let look = if self.stopping { Millis::MAX } else { look_at };
            let rests_at = self.clock.now_ms();
            // It turns now and then whatever happens, so that one that hangs is told from one that rests.
            let look = look.min(rests_at.saturating_add(LOOK_EVERY_MS));
            let next = self.core.next_due().map_or(look, |due| due.min(look));
            let wait = u64::try_from(next.saturating_sub(rests_at)).unwrap_or(0);
            if wait == 0 {
                // A sleep that is over at once would never let go of the thread.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                Some(input) = came.recv() => self.back(input),
                count = messages.recv_many(&mut heard, HEARD_MAX), if !self.stopping => {
                    self.stopping |= count == 0;
                }
                () = self.clock.sleep(Duration::from_millis(wait)) => {}
            }
            self.look_how_late(next.max(rests_at), &heard);
            self.note_unscanned();
            while let Ok(input) = came.try_recv() {
                self.back(input);
            }
            while heard.len() < HEARD_MAX
                && let Ok(message) = messages.try_recv()
            {
                heard.push(message);
            }
            for message in heard.drain(..) {
                self.hear(message);
            }
        }
    }

    fn turn(&mut self) {
        let now = self.clock.now_ms();
        self.core.turn(now);
        while let Some(output) = self.core.poll() {
            self.perform(output);
        }
        let counts = self.core.counts();
        self.tell_of_groups(&counts);
        self.tell_of_queues(now);
        *self.gauges.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = counts;
        self.gauges.refused.store(refused(|urgency| self.core.refusal(urgency)), Ordering::Relaxed);
        self.gauges.turned_at.store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
    }

    fn back(&mut self, input: Input) {
        if matches!(
            input,
            Input::Appended { .. }
                | Input::Flushed { .. }
                | Input::WakeUpsMoved { .. }
                | Input::Removed { .. }
        ) {
            self.under_way -= 1;
        }
        if let Input::WakeUpsMoved { result, .. } = &input {
            // Subjects were let go of: their marks are not known now.
            self.look_again.fetch_or(result.is_err(), Ordering::Relaxed);
        }
        if let Input::Loaded { subject, result } = &input {
            self.look_again.fetch_or(result.is_err(), Ordering::Relaxed);
            self.was_loaded(subject, result.is_ok());
        }
        if let Input::Appended { outcome, .. } = &input {
            self.gauges.store_ok.store(outcome.is_ok(), Ordering::Relaxed);
            if let Err(error @ EventStoreError::Fatal(_)) = outcome {
                tracing::error!(%error, "the engine stops: nothing more can be made durable");
                self.fatal = Some(error.clone());
            }
        }
        let changed = self.watchers.concerned(&input);
        self.core.handle(self.clock.now_ms(), input);
        // After the core knows of it: whoever looks now sees it.
        for subject in &changed {
            self.watchers.changed(subject);
        }
    }

    fn spawn(&self, work: impl Future<Output = Option<Input>> + Send + 'static) {
        let returns = self.returns.clone();
        tokio::spawn(async move {
            if let Some(input) = work.await {
                // The executor is gone only when the process ends.
                let _ = returns.send(input);
            }
        });
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Append { notices, items } => self.append(notices, items),
            Output::Load { subject, due } => self.load(&subject, due),
            Output::PrioritizeLoad { subject } => self.prioritize_load(&subject),
            Output::LoadTail { subject, after, chain } => {
                let store = Arc::clone(&self.store);
                self.spawn(async move {
                    let result = loader::tail(store.as_ref(), &subject, after, chain).await;
                    Some(Input::Tail { subject, after, result })
                });
            }
            Output::MoveWakeUps { moves } => self.move_wake_ups(moves),
            Output::Remove { subject, seq, chain, keep_until } => {
                self.remove(subject, seq, chain, keep_until);
            }
            Output::Evaluate { subject, order } => {
                let store = Arc::clone(&self.store);
                self.spawn(async move {
                    let result = evaluation::evaluate(store.as_ref(), &subject, &order).await;
                    Some(Input::Evaluated { subject, result })
                });
            }
            Output::ReadCatalog { namespace } => {
                let (store, catalogs) = (Arc::clone(&self.store), Arc::clone(&self.catalogs));
                self.spawn(async move {
                    let result = catalogs.now(store.as_ref(), &namespace).await;
                    Some(Input::CatalogRead { namespace, result })
                });
            }
            Output::ClearNotices { notices } => self.clear_notices(notices),
            Output::Snapshot { subject, snapshot } => self.keep_snapshot(subject, snapshot),
            Output::Flush { documents } => self.flush(documents),
            Output::Answer { ticket, response } => self.reply(ticket, response),
            Output::Forward { to, ticket, request, within_ms } => {
                self.forward(to, ticket, request, within_ms);
            }
            Output::Announce { to, queues } => self.announce(to, queues),
        }
    }

    fn reply(&mut self, ticket: Ticket, response: Response) {
        fail_points::pass(Point::AnswerDecided);
        if let Some(Response::Leases(granted)) = self.replies.answer(ticket, response) {
            self.core.handle(self.clock.now_ms(), Input::Undelivered { granted });
        }
    }
}
