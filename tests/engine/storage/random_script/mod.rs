//! A random script of commands gives the same on every store: answers, states, histories byte for byte, marks, append notices
//! and lists. Two engines over one store: the first drives, the second decides what it is asked by itself and append notices.
//! A script follows from its seed; a store that answers differently anywhere leads to another transcript.
//! With answers lost on the way the same holds, and nothing is doubled, lost or stuck in the end.

mod passing_time;
mod requests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::ids::{EnvironmentName, GroupId, Millis, SubjectId};
use orrery::engine::core::message::{Granted, Input, Response, Ticket};
use orrery::engine::core::{Core, CoreSettings};
use orrery::event_store::contract::EventStore;
use orrery::view::contract::View;
use orrery::view::sqlite::SqliteView;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

use super::lost_answers::LostAnswers;
use super::mongodb::Database;
use crate::harness::jobs;
use crate::simulation::dice::Dice;
use crate::simulation::random_jobs::{self, Order};

/// Steps of a script.
const STEPS: usize = 220;

/// The stores of one run.
struct Stores {
    store: Arc<dyn EventStore>,
    view: Arc<dyn View>,
}

impl Stores {
    /// Loses so many of a thousand answers; which, follows from the seed.
    fn lossy(self, seed: u64, per_mille: u64) -> Self {
        Self {
            store: Arc::new(LostAnswers::some(self.store, seed, per_mille)),
            view: Arc::new(LostAnswers::some(self.view, !seed, per_mille)),
        }
    }
}

/// A script being carried out.
struct Script {
    stores: Stores,
    engines: Vec<Core>,
    looks_at: [Millis; 2],
    now: Millis,
    dice: Dice,
    next_ticket: Ticket,
    answers: BTreeMap<Ticket, Response>,
    orders: Vec<Order>,
    subjects: BTreeSet<SubjectId>,
    granted: Vec<Granted>,
    starts: u64,
    transcript: Vec<String>,
}

impl Script {
    async fn run(stores: Stores, seed: u64, steps: usize) -> Self {
        let mut script = Self {
            stores,
            engines: Vec::new(),
            looks_at: [jobs::START; 2],
            now: jobs::START,
            dice: Dice::new(seed),
            next_ticket: 0,
            answers: BTreeMap::new(),
            orders: Vec::new(),
            subjects: BTreeSet::new(),
            granted: Vec::new(),
            starts: 0,
            transcript: Vec::new(),
        };
        script.engines = vec![script.engine(0), script.engine(1)];
        script
            .pool(EnvironmentCommand::Define {
                namespace: jobs::namespace(),
                name: EnvironmentName::parse(random_jobs::POOL).expect("a name"),
                definition: slots(2),
            })
            .await;
        for _ in 0..steps {
            script.step().await;
        }
        script
    }

    /// Engine 0 drives everything; engine 1 drives nothing, and reaches nobody.
    fn engine(&mut self, me: u32) -> Core {
        self.starts += 1;
        let settings = CoreSettings {
            alone: false,
            park_after_ms: 30_000,
            snapshot_every_events: 9,
            ..CoreSettings::default()
        };
        let mut core = Core::new(settings, me, 1, self.starts, self.now);
        core.handle(self.now, Input::Drives { until: Millis::MAX });
        core.handle(self.now, Input::Routes { drivers: vec![Some(0); GroupId::all().count()] });
        core
    }

    async fn step(&mut self) {
        let at = usize::from(self.dice.chance(200));
        match self.dice.below(20) {
            0..=3 => self.submits(at).await,
            4..=8 => self.leases(at).await,
            9..=13 => self.reports(at).await,
            14 => self.operates(at).await,
            15 => {
                let slots = slots(self.dice.between(1, 3));
                self.pool(EnvironmentCommand::Update(slots)).await;
            }
            16 => self.reads(at).await,
            17 if self.dice.chance(300) => {
                let me = u32::try_from(at).expect("two engines");
                self.answers.clear();
                self.engines[at] = self.engine(me);
                self.looks_at[at] = self.now;
                self.settle().await;
            }
            _ => {
                let ms = self.dice.pick(&[1, 40, 700, 6_000, 31_000, 45_000]);
                self.advance(ms).await;
            }
        }
    }
}

fn slots(slots: u64) -> Definition {
    Definition::check(None, BTreeMap::from([("slots".to_owned(), slots)])).expect("a definition")
}

fn in_memory() -> Stores {
    let store = Arc::new(MemoryEventStore::new("store-a"));
    Stores { store, view: Arc::new(MemoryView::default()) }
}

fn embedded(folder: &std::path::Path) -> Stores {
    let view = SqliteView::open(&folder.join("view.db")).expect("a view");
    Stores { store: Arc::new(super::embedded::store_in(folder)), view: Arc::new(view) }
}

async fn on_mongodb(database: &Database) -> Stores {
    Stores { store: Arc::new(database.event_store().await), view: Arc::new(database.view()) }
}

/// Where two transcripts part.
fn same(expected: &[String], found: &[String], which: &str) {
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected, found, "{which}: line {at}");
    }
    assert_eq!(expected.len(), found.len(), "{which}");
}

/// The same script in memory and on other stores; a store that answers otherwise leads to another transcript.
async fn same_transcript(stores: Stores, seed: u64, which: &str) {
    let expected = Script::run(in_memory(), seed, STEPS).await.closing().await;
    let found = Script::run(stores, seed, STEPS).await.closing().await;
    same(&expected, &found, &format!("{which}, seed {seed}"));
}

#[tokio::test]
async fn a_script_of_commands_gives_the_same_in_memory_and_embedded() {
    for seed in [1, 2, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        same_transcript(embedded(folder.path()), seed, "embedded").await;
    }
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_script_of_commands_gives_the_same_in_memory_and_on_mongodb() {
    let database = Database::fresh().await;
    same_transcript(on_mongodb(&database).await, 1, "MongoDB").await;
    database.end().await;
}

/// Answers of a thousand that get lost.
const LOST: u64 = 60;

/// The same where answers get lost, and the script ends well.
async fn same_lossy_transcript(stores: Stores, seed: u64, which: &str) {
    let mut first = Script::run(in_memory().lossy(seed, LOST), seed, STEPS).await;
    first.ends_well().await;
    let mut second = Script::run(stores.lossy(seed, LOST), seed, STEPS).await;
    second.ends_well().await;
    same(&first.closing().await, &second.closing().await, &format!("{which}, seed {seed}"));
}

#[tokio::test]
async fn a_script_whose_answers_get_lost_gives_the_same_embedded_and_ends_well() {
    for seed in [11, 12] {
        let folder = tempfile::tempdir().expect("a folder");
        same_lossy_transcript(embedded(folder.path()), seed, "embedded").await;
    }
}

#[tokio::test]
#[ignore = "needs a mongod: scripts/test fetches one"]
async fn a_script_whose_answers_get_lost_gives_the_same_on_mongodb_and_ends_well() {
    for seed in [11, 12] {
        let database = Database::fresh().await;
        same_lossy_transcript(on_mongodb(&database).await, seed, "MongoDB").await;
        database.end().await;
    }
}
