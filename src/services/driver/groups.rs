//! The groups that this engine drives: renewing its tenure, evicting the dead, taking over, handing over. Each step looks
//! at the records, changes what is this engine's to change, and tells the core and the peers what it saw.
//! Always holds: the core lets go of a group before its record names somebody else; an engine that was evicted gives up
//! everything before it begins a new life under a new number; a step may be cut off at any await, and the next one
//! decides by what it reads. Absent: who should drive what (`membership::share`), waiting, and any safety: the append says
//! who wrote.

mod former;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::{GroupId, Millis};

use crate::engine::cluster::Cluster;
use crate::environment::Clock;
use crate::membership::contract::{
    EngineId, EngineRecord, GroupRecord, Introduction, Membership, MembershipResult, Renewal,
    Roster, TENURE,
};
use crate::membership::peers::{PeerEngine, Peers, PeersSeen};
use crate::membership::share::{self, ReleasedFences, SharePlan};
use crate::services::lifecycle::{Tick, TickReport};
use crate::telemetry::metrics::{
    ENGINES, GROUP_DRIVEN, GROUP_HAND_OVERS, GROUP_TAKEOVERS, GROUPS_DRIVEN, RENEWAL_AGE,
};

/// Between two looks: a graceful stop and a new engine's share take one of them, and the answer to it, so that both are
/// done within a second. A look is two reads of some dozens of documents.
const LOOK_MS: Millis = 500;
/// Between two renewals: three fit into a tenure, so that one may be lost.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// An engine believes in its tenure so much shorter than others do, by its own monotonic clock.
const SAFETY_MARGIN: Duration = Duration::from_secs(2);
/// An answer that took longer says little about what time it is at the store.
const SAMPLE_TOOK_MAX: Duration = Duration::from_millis(500);

const GROUPS: usize = domain::bounds::GROUPS as usize;

/// What a look showed.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// This engine's number, which another start or an eviction changes.
    pub me: EngineId,
    pub roster: Roster,
    /// Who drives what as the core was told: itself (under the number it joined as), another that lives, nobody known.
    pub drivers: Vec<Option<EngineId>>,
    /// When, on this engine's clock.
    pub at: Millis,
}

/// What this engine must know to take its part.
#[derive(Debug)]
pub struct DriverPart {
    /// Where the engines meet.
    pub membership: Arc<dyn Membership>,
    /// What it says of itself.
    pub introduction: Introduction,
    /// The number under which it joined, which its core goes by for all its life.
    pub joined_as: EngineId,
    /// Where it is told who the others are.
    pub told: PeersSeen,
    /// Who the others are, for whoever asks them.
    pub peers: Peers,
    /// Who drives what at the start, as the core was told.
    pub drivers: Vec<Option<EngineId>>,
}

/// The tick `groups`.
#[derive(Debug)]
pub(super) struct Groups {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    membership: Arc<dyn Membership>,
    introduction: Introduction,
    joined_as: EngineId,
    told: PeersSeen,
    peers: Peers,
    leaving: AtomicBool,
    state: tokio::sync::Mutex<GroupsState>,
    shown: Mutex<GroupsShown>,
}

#[derive(Debug)]
struct GroupsState {
    me: EngineId,
    /// By the monotonic clock.
    renew_at: Duration,
    released: ReleasedFences,
    /// What the core was told last.
    drivers: Vec<Option<EngineId>>,
    living: Vec<EngineId>,
    /// What other engines wrote could not be read the last time.
    notices_unread: bool,
}

#[derive(Debug, Default)]
struct GroupsShown {
    seen: Arc<Seen>,
    /// When the last renewal that was answered had been sent, by the monotonic clock.
    renewed_at: Duration,
}

impl Groups {
    pub(super) fn new(cluster: Cluster, clock: Arc<dyn Clock>, part: DriverPart) -> Self {
        let state = GroupsState {
            me: part.joined_as,
            // At once: how long ago it joined is not known here.
            renew_at: Duration::ZERO,
            released: [0; GROUPS],
            drivers: part.drivers,
            living: Vec::new(),
            notices_unread: false,
        };
        let shown = GroupsShown { renewed_at: clock.monotonic(), ..GroupsShown::default() };
        Self {
            cluster,
            clock,
            membership: part.membership,
            introduction: part.introduction,
            joined_as: part.joined_as,
            told: part.told,
            peers: part.peers,
            leaving: AtomicBool::new(false),
            state: tokio::sync::Mutex::new(state),
            shown: Mutex::new(shown),
        }
    }

    /// What the last look showed.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner).seen)
    }

    /// The number by which the others know it.
    pub(super) fn number(&self) -> EngineId {
        self.peers.external_id().unwrap_or(self.joined_as)
    }

    /// What the engine of this number is called.
    pub(super) fn name_of(&self, number: EngineId) -> String {
        self.introduction.name_of(number)
    }

    /// The other engines.
    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// How long ago the last renewal that was answered had been sent.
    pub(super) fn renewal_age(&self) -> Duration {
        let renewed_at = self.shown.lock().unwrap_or_else(PoisonError::into_inner).renewed_at;
        self.clock.monotonic().saturating_sub(renewed_at)
    }

    /// Whether the tenure surely holds, with time in hand.
    pub(super) fn holds(&self) -> bool {
        self.renewal_age() < TENURE.saturating_sub(SAFETY_MARGIN)
    }

    /// From now on it gets nothing more and keeps nothing.
    pub(super) async fn leave(&self) -> MembershipResult<()> {
        self.leaving.store(true, Ordering::Relaxed);
        self.state.lock().await.renew_at = Duration::ZERO;
        self.step().await.map(drop)
    }

    /// Ends its life among the engines.
    pub(super) async fn end(&self) -> MembershipResult<()> {
        let state = self.state.lock().await;
        self.membership.leave(state.me).await
    }

    /// One step. Answers how many groups it took and handed over.
    pub(super) async fn step(&self) -> MembershipResult<u64> {
        let mut state = self.state.lock().await;
        let renewed = self.clock.monotonic() >= state.renew_at;
        if renewed {
            self.renew(&mut state).await?;
        }
        let mut roster = self.membership.look().await?;
        let mut evicted = self.evict_former(&state, &roster).await?;
        for engine in share::dead(&roster, state.me) {
            if self.membership.evict(engine).await? {
                evicted.push(engine);
            }
        }
        roster.engines.retain(|record| !evicted.contains(&record.engine));
        let plan = share::plan(&roster, state.me, &evicted, &state.released);
        if !plan.take.is_empty() {
            roster = self.take(&state, &roster, &plan).await?;
            roster.engines.retain(|record| !evicted.contains(&record.engine));
        }
        if !plan.hand_over.is_empty() {
            self.release(&mut state, &roster, &plan).await;
            self.membership.hand_over(state.me, plan.hand_over.clone()).await?;
            metrics::counter!(GROUP_HAND_OVERS).increment(plan.hand_over.len() as u64);
        }
        self.tell(&mut state, &roster).await;
        self.show(&state, roster);
        if renewed && !state.living.is_empty() {
            self.read_notices(&mut state).await;
        }
        Ok((plan.take.len() + plan.hand_over.len()) as u64)
    }

    async fn renew(&self, state: &mut GroupsState) -> MembershipResult<()> {
        let (sent, sent_at) = (self.clock.monotonic(), self.clock.now_ms());
        let leaving = self.leaving.load(Ordering::Relaxed);
        match self.membership.renew(state.me, leaving).await? {
            Renewal::Held { at } => {
                self.held(state, sent, sent_at).await;
                let took = self.clock.monotonic().saturating_sub(sent);
                if let Some(at) = at.filter(|_| took <= SAMPLE_TOOK_MAX) {
                    self.cluster.clock_sampled(at.saturating_add(millis(took / 2))).await;
                }
                Ok(())
            }
            Renewal::Evicted => self.begin_again(state).await,
        }
    }

    /// The tenure holds, reckoned from before it was asked for.
    async fn held(&self, state: &mut GroupsState, sent: Duration, sent_at: Millis) {
        state.renew_at = sent.saturating_add(RENEW_EVERY);
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).renewed_at = sent;
        self.cluster.drives_until(sent_at.saturating_add(millis(TENURE))).await;
    }

    /// Others have evicted this engine: what it drove is theirs. It gives up everything, then rejoins.
    async fn begin_again(&self, state: &mut GroupsState) -> MembershipResult<()> {
        tracing::warn!(
            engine = state.me,
            "this engine was silent for too long and was evicted; it begins again"
        );
        let ours = self.joined_as;
        let given_up = state.drivers.iter().map(|driver| driver.filter(|driver| *driver != ours));
        let given_up: Vec<_> = given_up.collect();
        let living = state.living.clone();
        self.route(state, given_up, living).await;
        if self.leaving.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (sent, sent_at) = (self.clock.monotonic(), self.clock.now_ms());
        state.me = self.membership.join(&self.introduction).await?;
        state.released = [0; GROUPS];
        // What it asks and tells counts under the number that others see among the living.
        self.told.rejoined(state.me);
        self.cluster.external_id(state.me).await;
        self.held(state, sent, sent_at).await;
        Ok(())
    }

    /// What other engines wrote for this one.
    async fn read_notices(&self, state: &mut GroupsState) {
        let mine = |(group, driver): (GroupId, &Option<EngineId>)| {
            (*driver == Some(self.joined_as)).then_some(group)
        };
        let mine = GroupId::all().zip(&state.drivers).filter_map(mine).collect();
        let read = self.cluster.read_notices(mine).await;
        let was_unread = std::mem::replace(&mut state.notices_unread, read.is_err());
        if let Err(error) = read
            && !was_unread
        {
            tracing::warn!(%error, "what other engines wrote is read at the next renewal");
        }
    }

    async fn take(
        &self,
        state: &GroupsState,
        before: &Roster,
        plan: &SharePlan,
    ) -> MembershipResult<Roster> {
        // Whoever drove them may believe for so long that it does.
        self.cluster.former_drivers_until(self.clock.now_ms().saturating_add(millis(TENURE))).await;
        self.membership.take(state.me, plan.take.clone()).await?;
        let after = self.membership.look().await?;
        for taken in &plan.take {
            let at = usize::from(taken.group.index());
            let mine = |record: &GroupRecord| share::is_mine(record, state.me, &state.released);
            if !after.groups.get(at).is_some_and(mine) {
                continue;
            }
            let former = before.groups.get(at).and_then(|record| record.driver);
            let from = if former.is_some() { "dead" } else { "free" };
            metrics::counter!(GROUP_TAKEOVERS, "from" => from).increment(1);
        }
        tracing::info!(groups = plan.take.len(), engine = state.me, "groups are taken over");
        Ok(after)
    }

    /// The core lets go of what is to be handed over, before anybody else may take it.
    async fn release(&self, state: &mut GroupsState, roster: &Roster, plan: &SharePlan) {
        for group in &plan.hand_over {
            if let Some(gone) = state.released.get_mut(usize::from(group.group.index())) {
                *gone = (*gone).max(group.fence);
            }
        }
        tracing::info!(groups = plan.hand_over.len(), engine = state.me, "groups are handed over");
        self.tell(state, roster).await;
    }

    /// Tells the core who drives what, and the peers who is there.
    async fn tell(&self, state: &mut GroupsState, roster: &Roster) {
        let others = || roster.engines.iter().filter(|record| record.engine != state.me);
        let gone = self.gone(state, roster);
        let lives = |record: &EngineRecord| record.lives && !gone.contains(&record.engine);
        let peers = others().map(|record| {
            let peer = PeerEngine {
                address: record.address.clone(),
                version: record.version.clone(),
                started_at: record.started_at,
                lives: lives(record),
                leaving: record.leaving,
                public_key: record.public_key.clone(),
            };
            (record.engine, peer)
        });
        if let Some(own) = roster.engines.iter().find(|record| record.engine == state.me) {
            self.told.began_at(own.started_at);
        }
        self.told.driven_by(roster.groups.iter().map(|record| record.driver).collect());
        self.told.tell(peers.collect::<BTreeMap<_, _>>());
        let living: Vec<EngineId> =
            others().filter(|record| lives(record)).map(|record| record.engine).collect();
        let driver = |record: &GroupRecord| {
            if share::is_mine(record, state.me, &state.released) {
                return Some(self.joined_as);
            }
            // While nobody drives it, whoever should will in a moment.
            let wanted = share::should_drive(record.group, &roster.engines);
            let driver = record.driver.filter(|driver| *driver != state.me).or(wanted);
            driver.filter(|driver| living.contains(driver))
        };
        let drivers = roster.groups.iter().map(driver).collect();
        self.route(state, drivers, living.clone()).await;
    }

    async fn route(
        &self,
        state: &mut GroupsState,
        drivers: Vec<Option<EngineId>>,
        living: Vec<EngineId>,
    ) {
        if state.drivers == drivers && state.living == living {
            return;
        }
        self.cluster.routes(drivers.clone(), living.clone()).await;
        // What is asked after it is answered after it: then the core has let go of what is not its own.
        let _ = self.cluster.has_heard().await;
        (state.drivers, state.living) = (drivers, living);
    }

    fn show(&self, state: &GroupsState, roster: Roster) {
        let (me, drivers) = (state.me, state.drivers.clone());
        let seen = Arc::new(Seen { me, roster, drivers, at: self.clock.now_ms() });
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut shown.seen, Arc::clone(&seen));
        drop(shown);
        let living = u32::try_from(state.living.len()).unwrap_or(u32::MAX);
        metrics::gauge!(ENGINES).set(f64::from(living.saturating_add(1)));
        if before.drivers == seen.drivers {
            return;
        }
        let mut driven = 0_u32;
        for (group, driver) in GroupId::all().zip(&seen.drivers) {
            let mine = *driver == Some(self.joined_as);
            driven += u32::from(mine);
            let label = group.index().to_string();
            metrics::gauge!(GROUP_DRIVEN, "group" => label).set(f64::from(u8::from(mine)));
        }
        metrics::gauge!(GROUPS_DRIVEN).set(f64::from(driven));
    }
}

/// The groups of an engine, as the pump runs them.
pub(super) struct GroupsTick(pub(super) Arc<Groups>);

impl Tick for GroupsTick {
    fn name(&self) -> &'static str {
        "groups"
    }

    async fn tick(&self, now: Millis) -> TickReport {
        let stepped = self.0.step().await;
        metrics::gauge!(RENEWAL_AGE).set(self.0.renewal_age().as_secs_f64());
        let next_due = Some(now.saturating_add(LOOK_MS));
        match stepped {
            Ok(did) => TickReport::did(did, next_due),
            Err(error) => TickReport { next_due, ..TickReport::failed(error) },
        }
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
