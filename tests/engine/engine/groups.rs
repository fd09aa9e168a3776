//! Several engines on one store, as in the product: executors, drivers stepped by hand, records in memory on the
//! store's clock, and clocks of their own that may be wrong. Nobody forwards: what reaches the wrong engine is decided
//! there, and its driver is told by an append notice.
//! Always holds: time passes only in `pass`, in every clock alike; nothing is lost and nothing counts twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{GroupId, JobId, Millis};
use domain::job::command::{Outcome, Report};
use domain::job::status::JobStatus;
use domain::payload::Hash;
use orrery::config::Secret;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, Granted};
use orrery::engine::executor::{self, Parts};
use orrery::engine::handle::Engine;
use orrery::engine::leases::ReportOutcome;
use orrery::environment::{Clock, SimulatedClock};
use orrery::membership::contract::{EngineId, Introduction, Membership};
use orrery::membership::peers::Peers;
use orrery::services::driver::{Driver, DriverPart};
use orrery::services::housekeeping::{Keep, Retention};
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::membership::MemoryMembership;
use orrery_testing::view::MemoryView;
use uuid::Uuid;

use crate::harness::history;
use crate::harness::jobs::{self, START, diamond, namespace, poll, submission};

/// Time passes in steps of it.
const STEP: Duration = Duration::from_millis(100);
/// Steps between two looks of a driver.
const LOOK_STEPS: u64 = 5;
/// Turns that everything under way gets at one moment.
const TURNS: usize = 60;

struct Member {
    engine: Engine,
    driver: Arc<Driver>,
    clock: SimulatedClock,
    door: MemoryMembership,
    joined_as: EngineId,
    /// Stopped, as by SIGSTOP: its driver takes no steps.
    stopped: bool,
}

struct Deployment {
    server: SimulatedClock,
    records: MemoryMembership,
    store: Arc<MemoryEventStore>,
    view: Arc<MemoryView>,
    members: Vec<Member>,
    steps: u64,
    submitted: u128,
}

impl Deployment {
    fn new() -> Self {
        let server = SimulatedClock::at(START);
        Self {
            records: MemoryMembership::new(Arc::new(server.clone())),
            server,
            store: Arc::new(MemoryEventStore::new("together")),
            view: Arc::new(MemoryView::default()),
            members: Vec::new(),
            steps: 0,
            submitted: 0,
        }
    }

    /// Another engine, whose wall clock is wrong by so much. Answers its place.
    async fn start(&mut self, skew: Millis) -> usize {
        let seed = 7 + self.members.len() as u64;
        let now = self.server.now_ms();
        let (surroundings, clock) = orrery_testing::simulated(now + skew, seed);
        clock.sampled(now);
        let door = self.records.door();
        let introduction = Introduction {
            name: String::new(),
            address: "127.0.0.1:1".to_owned(),
            version: "test".to_owned(),
            public_key: String::new(),
        };
        let joined_as = door.join(&introduction).await.expect("a number");
        let drivers: Vec<Option<EngineId>> = vec![None; 64];
        let parts = Parts {
            settings: CoreSettings { alone: false, ..CoreSettings::default() },
            me: joined_as,
            drivers: drivers.clone(),
            store: Arc::clone(&self.store) as _,
            view: Arc::clone(&self.view) as _,
            surroundings,
            append_deadline: Duration::from_secs(5),
            forward: None,
        };
        let (engine, _running) = executor::start(parts).await.expect("an engine");
        let (told, peers) = Peers::new(Secret::new("secret"));
        let membership: Arc<dyn Membership> = Arc::new(door.clone());
        let part = DriverPart { membership, introduction, joined_as, told, peers, drivers };
        let driver = Driver::new(engine.clone(), Arc::new(clock.clone()), false, part);
        driver.step().await.expect("a first look");
        self.members.push(Member { engine, driver, clock, door, joined_as, stopped: false });
        self.members.len() - 1
    }

    /// Lets time pass; each engine that is not stopped looks as often as the pump would let it.
    async fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.server.advance(STEP);
            self.steps += 1;
            for member in &self.members {
                member.clock.advance(STEP);
            }
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            if self.steps.is_multiple_of(LOOK_STEPS) {
                for member in self.members.iter().filter(|member| !member.stopped) {
                    // One that gets no answer tries again.
                    let _ = member.driver.step().await;
                }
            }
        }
    }

    async fn submit(&mut self, at: usize, count: u128) {
        for _ in 0..count {
            self.submitted += 1;
            let engine = &self.members[at].engine;
            let id = JobId(Uuid::from_u128(self.submitted));
            let submission = submission(id, diamond(), engine.now());
            engine.jobs().submit(submission, Caller::engine()).await.expect("a job");
        }
    }

    async fn lease(&self, at: usize, max: usize) -> Vec<Granted> {
        let worker = format!("worker-{at}");
        self.members[at].engine.leases().lease(poll(&worker, max)).await.expect("leases")
    }

    /// Reports all as done to this engine; answers how many counted.
    async fn complete(&self, at: usize, granted: &[Granted]) -> usize {
        let report = |one: &Granted| {
            let outcome =
                Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
            let lease = one.lease;
            let hash = Hash::of(b"done");
            (
                lease.job,
                Report { node: lease.node, epoch: lease.epoch, hash, outcome },
                Caller::engine(),
            )
        };
        let reports: Vec<_> = granted.iter().map(report).collect();
        let (reported, _) =
            self.members[at].engine.leases().report(&namespace(), reports, None).await;
        reported.iter().filter(|one| **one == ReportOutcome::Recorded).count()
    }

    /// Works at all engines that are not stopped until everything is done; answers after how many milliseconds.
    async fn work(&mut self, within_ms: u64) -> u64 {
        let mut passed = 0;
        loop {
            for at in 0..self.members.len() {
                if !self.members[at].stopped {
                    let granted = self.lease(at, 10).await;
                    self.complete(at, &granted).await;
                }
            }
            if self.unfinished() == 0 {
                return passed;
            }
            assert!(passed < within_ms, "{} jobs are not done", self.unfinished());
            self.pass(100).await;
            passed += 100;
        }
    }

    fn unfinished(&self) -> usize {
        let over = |number| {
            let stream = jobs::subject(number);
            let loaded = orrery::engine::loader::load(self.store.as_ref(), &stream);
            let stream = crate::harness::lab::wait(loaded).expect("a stream");
            let job = stream.entity.as_ref().and_then(|entity| entity.job());
            job.is_some_and(|job| job.head.status == JobStatus::Completed)
        };
        (1..=self.submitted).filter(|number| !over(*number)).count()
    }

    /// Everything is recorded once.
    fn check(&self) {
        assert_eq!(self.unfinished(), 0);
        for number in 1..=self.submitted {
            history::check(self.store.as_ref(), &jobs::subject(number));
        }
    }

    /// The groups that this engine's core was told to drive.
    fn driven(&self, at: usize) -> BTreeSet<u8> {
        let member = &self.members[at];
        let seen = member.driver.seen();
        let mine = |(group, driver): (GroupId, &Option<EngineId>)| {
            (*driver == Some(member.joined_as)).then_some(group.index())
        };
        GroupId::all().zip(&seen.drivers).filter_map(mine).collect()
    }

    /// Every group has one engine that believes it drives it, of those that are not stopped.
    fn shared(&self) {
        let mut all = BTreeSet::new();
        for at in (0..self.members.len()).filter(|at| !self.members[*at].stopped) {
            for group in self.driven(at) {
                assert!(all.insert(group), "two drive {group}");
            }
        }
        assert_eq!(all.len(), 64, "nobody drives some group");
    }
}

#[tokio::test]
async fn an_engine_that_joins_gets_its_share_under_load_and_gives_it_back_when_it_leaves() {
    let mut two = Deployment::new();
    two.start(0).await;
    assert_eq!(two.driven(0).len(), 64);
    two.submit(0, 40).await;
    let held = two.lease(0, 20).await;
    assert_eq!(held.len(), 20);
    two.start(0).await;
    two.submit(1, 20).await;
    two.pass(1_000).await;
    two.shared();
    let share = two.driven(1).len();
    assert!((20..=44).contains(&share), "{share}");
    // Leased by one driver, reported to an engine that may not drive it any more.
    assert_eq!(two.complete(0, &held[..10]).await, 10);
    assert_eq!(two.complete(1, &held[10..]).await, 10);
    let granted = two.lease(1, 5).await;
    two.members[1].driver.leave().await;
    assert_eq!(two.driven(1).len(), 0, "all at once");
    two.pass(500).await;
    assert_eq!(two.driven(0).len(), 64);
    assert_eq!(two.complete(1, &granted).await, granted.len(), "it still serves");
    two.work(30_000).await;
    two.check();
}

#[tokio::test]
async fn what_a_dead_engine_drove_is_taken_over_when_its_lease_is_over_and_not_before() {
    let mut three = Deployment::new();
    for _ in 0..3 {
        three.start(0).await;
    }
    three.pass(1_000).await;
    three.shared();
    three.submit(2, 60).await;
    let held = three.lease(2, 10).await;
    assert!(!held.is_empty());
    three.members[2].stopped = true;
    three.pass(6_500).await;
    assert!(three.driven(0).len() + three.driven(1).len() < 64, "its lease holds");
    three.pass(4_500).await;
    three.shared();
    assert_eq!(three.complete(0, &held).await, held.len(), "leases outlive their driver");
    three.work(30_000).await;
    three.check();
}

#[tokio::test]
async fn a_hung_engine_that_wakes_up_gives_up_everything_and_begins_again() {
    let mut two = Deployment::new();
    two.start(0).await;
    two.start(0).await;
    two.pass(1_000).await;
    two.submit(1, 30).await;
    let held = two.lease(1, 10).await;
    two.members[1].stopped = true;
    two.pass(15_000).await;
    assert_eq!(two.driven(0).len(), 64);
    assert!(!two.driven(1).is_empty(), "it does not know yet");
    assert!(!two.members[1].driver.holds(), "but it does not believe in its lease any more");
    two.members[1].stopped = false;
    two.members[1].driver.step().await.expect("an answer");
    assert_eq!(two.driven(1).len(), 0);
    assert_eq!(two.members[1].driver.seen().me, 3, "a new life");
    assert_eq!(two.members[1].driver.peers().external_id(), Some(3), "which others know it by");
    two.pass(1_500).await;
    two.shared();
    assert!(!two.driven(1).is_empty());
    assert_eq!(two.complete(1, &held).await, held.len());
    two.work(40_000).await;
    two.check();
}

/// The jobs that are deleted.
fn deleted(of: &Deployment) -> BTreeSet<u128> {
    let is_gone = |number: &u128| {
        let subject = jobs::subject(*number);
        let loaded = orrery::engine::loader::load(of.store.as_ref(), &subject);
        crate::harness::lab::wait(loaded).expect("a stream").tombstone.is_some()
    };
    (1..=of.submitted).filter(is_gone).collect()
}

/// The jobs of an engine's groups.
fn jobs_of(of: &Deployment, at: usize) -> BTreeSet<u128> {
    let driven = of.driven(at);
    let is_its = |number: &u128| driven.contains(&jobs::subject(*number).group().index());
    (1..=of.submitted).filter(is_its).collect()
}

/// A whole pass of an engine, and what comes of it.
async fn retains(of: &mut Deployment, at: usize, keep: Keep) {
    let engine = of.members[at].engine.clone();
    let retention = Retention::new(engine.clone(), keep);
    while !retention.step(engine.now()).await.expect("a step").1 {}
    of.pass(2_000).await;
}

#[tokio::test]
async fn each_engine_lets_go_of_old_jobs_of_the_groups_that_it_drives() {
    let mut two = Deployment::new();
    two.start(0).await;
    two.start(0).await;
    two.pass(1_000).await;
    two.shared();
    two.submit(0, 60).await;
    two.work(30_000).await;
    two.pass(1_000).await;
    let [first, second] = [0, 1].map(|at| jobs_of(&two, at));
    assert!(!first.is_empty() && !second.is_empty());
    let every = Duration::from_hours(1);
    // Of those that all engines keep together each keeps what falls to its groups.
    let some = Keep { age: None, jobs: Some(16), every, any_clock: false };
    let kept = |at: usize, two: &Deployment| (two.driven(at).len() * 16).div_ceil(64);
    for (at, own) in [(0, &first), (1, &second)] {
        retains(&mut two, at, some).await;
        let gone = deleted(&two);
        let left = own.difference(&gone).count();
        assert_eq!(left, kept(at, &two).min(own.len()), "of engine {at}");
    }
    let old = Keep { age: Some(Duration::ZERO), jobs: None, every, any_clock: false };
    retains(&mut two, 1, old).await;
    let gone = deleted(&two);
    assert!(second.is_subset(&gone) && !first.is_subset(&gone), "its own, and only these");
    retains(&mut two, 0, old).await;
    assert_eq!(deleted(&two).len(), 60);
}

#[tokio::test]
async fn an_engine_without_an_answer_stops_believing_before_others_may_evict_it() {
    let mut two = Deployment::new();
    two.start(0).await;
    two.start(0).await;
    two.pass(1_000).await;
    two.members[1].door.shut(true);
    let mut believed = true;
    for _ in 0..140 {
        two.pass(100).await;
        believed &= two.members[1].driver.holds();
        let taken = two.driven(0).len() == 64;
        assert!(!(taken && believed), "both believe");
    }
    assert!(!believed && two.driven(0).len() == 64);
    two.members[1].door.shut(false);
    two.pass(2_000).await;
    two.shared();
    assert!(two.members[1].driver.holds());
}

#[tokio::test]
async fn engines_whose_wall_clocks_are_five_minutes_off_do_what_others_do_when_others_do_it() {
    let mut took = Vec::new();
    for skews in [[0, 0], [300_000, -300_000], [-300_000, 300_000]] {
        let mut two = Deployment::new();
        for skew in skews {
            two.start(skew).await;
        }
        two.pass(1_000).await;
        two.shared();
        for member in &two.members {
            assert_eq!(member.engine.now(), two.server.now_ms(), "the store's clock counts");
        }
        two.submit(0, 20).await;
        two.submit(1, 20).await;
        // What is leased now is never reported: it runs out, is retried, and its first driver is dead by then.
        let lost = two.lease(1, 10).await.len();
        two.members[1].stopped = true;
        took.push((lost, two.work(120_000).await));
        two.check();
    }
    assert!(took.iter().all(|run| *run == took[0]), "{took:?}");
}
