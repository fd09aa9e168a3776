//! A store that is out of reach for a while, as the executor meets it: what it could not read it reads later, and it says
//! so once. Time passes in `pass` only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::{JobId, Millis};
use domain::job::command::JobCommand;
use domain::job::spec::Start;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{Caller, Command, Request, Response};
use orrery::engine::executor::{self, Parts};
use orrery::engine::handle::Engine;
use orrery::environment::SimulatedClock;
use orrery::event_store::contract::EventStore as _;
use orrery_testing::event_store::{Faults, MemoryEventStore};
use orrery_testing::view::MemoryView;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::harness::jobs::{START, poll, single, subject, submission};

/// Turns that everything under way gets at one moment.
const TURNS: usize = 60;

/// What the executor tells, word for word.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn times(&self, said: &str) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|text| text.contains(said)).count()
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target().starts_with("orrery::engine::executor") {
            event.record(&mut self.clone());
        }
    }
}

impl tracing::field::Visit for Heard {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let text = format!("{value:?}");
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }
}

/// An engine that is not alone with its store; it drives everything, or knows of no driver and decides what it is asked.
async fn engine(store: &Arc<MemoryEventStore>, me: u32, drives: bool) -> (Engine, SimulatedClock) {
    let (surroundings, clock) = orrery_testing::simulated(START, u64::from(me));
    let parts = Parts {
        settings: CoreSettings { alone: false, ..CoreSettings::default() },
        me,
        drivers: vec![drives.then_some(me); 64],
        store: Arc::clone(store) as _,
        view: Arc::new(MemoryView::default()),
        surroundings,
        append_deadline: Duration::from_secs(5),
        forward: None,
    };
    let (engine, _running) = executor::start(parts).await.expect("an engine");
    engine.cluster().drives_until(Millis::MAX).await;
    (engine, clock)
}

async fn pass(clock: &SimulatedClock, seconds: u64) {
    for _ in 0..seconds * 10 {
        clock.advance(Duration::from_millis(100));
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_others_wrote_while_the_store_was_out_of_reach_is_read_later_and_told_once() {
    let store = Arc::new(MemoryEventStore::new("outages"));
    let (driver, clock) = engine(&store, 1, true).await;
    let (other, _) = engine(&store, 2, false).await;
    let by_hand = domain::job::spec::JobSpec { start: Start::Manual, ..single() };
    let submission = submission(JobId(subject(1).id), by_hand, START);
    driver.jobs().submit(submission, Caller::engine()).await.expect("a job");
    pass(&clock, 12).await;
    assert_eq!(driver.counts().subjects, 0, "only a person wakes it");

    let heard = Heard::default();
    let listening =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(heard.clone()));
    tracing::callsite::rebuild_interest_cache();
    let command = Command::Job(JobCommand::Start);
    let request = Request::Command { subject: subject(1), command, caller: Caller::engine() };
    let started = other.ask(request).await.expect("an answer");
    assert!(matches!(started, Response::Command { .. }), "{started:?}");
    let notices = || async { store.notices(subject(1).group()).await.map(|notices| notices.len()) };
    assert_eq!(notices().await, Ok(1));
    store.set_faults(Faults { seed: 1, call_fails_per_mille: 1_000, ..Faults::default() });
    // The next look comes within a minute; from then on each 5 s until one succeeds.
    pass(&clock, 64).await;
    assert_eq!(heard.times("could not be looked at"), 1);
    assert_eq!(driver.counts().subjects, 0);

    store.set_faults(Faults::default());
    pass(&clock, 6).await;
    assert_eq!((heard.times("could not be looked at"), heard.times("looked at again")), (1, 1));
    assert_eq!(driver.leases().lease(poll("worker", 1)).await.expect("an answer").len(), 1);
    assert_eq!(notices().await, Ok(0));
    drop(listening);
}
