//! Two whole engines, executor and all, over one store and one process: what the core asks of others goes there and
//! comes back.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{GroupId, JobId, Millis};
use domain::job::command::{JobCommand, Outcome, Report};
use domain::payload::Hash;
use orrery::engine::core::CoreSettings;
use orrery::engine::core::message::{
    Caller, Command, EngineId, Granted, LeaseRequest, Request, Response,
};
use orrery::engine::executor::{self, Parts};
use orrery::engine::handle::Engine;
use orrery::engine::leases::ReportOutcome;
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;

use crate::harness::jobs::{START, claim, diamond, namespace, poll, subject, submission};
use crate::harness::peer_transport::{Neighbours, Way};

const ENGINES: [EngineId; 2] = [1, 2];
const JOBS: u128 = 20;

async fn engines() -> Vec<Engine> {
    let (store, view) = (Arc::new(MemoryEventStore::new("two")), Arc::new(MemoryView::default()));
    let drivers: Vec<Option<EngineId>> = GroupId::all()
        .map(|group| Some(ENGINES[usize::from(group.index()) % ENGINES.len()]))
        .collect();
    let all = Arc::new(Neighbours::default());
    let mut engines = Vec::new();
    for me in ENGINES {
        let (surroundings, _clock) = orrery_testing::simulated(START, u64::from(me));
        let parts = Parts {
            settings: CoreSettings::default(),
            me,
            drivers: drivers.clone(),
            store: Arc::clone(&store) as _,
            view: Arc::clone(&view) as _,
            surroundings,
            append_deadline: Duration::from_secs(10),
            forward: Some(Arc::new(Way { me, all: Arc::clone(&all) })),
        };
        let (engine, _running) = executor::start(parts).await.expect("an engine");
        engine.cluster().drives_until(Millis::MAX).await;
        engine.cluster().routes(drivers.clone(), ENGINES.to_vec()).await;
        all.joins(me, engine.clone());
        engines.push(engine);
    }
    engines
}

fn report(granted: &Granted) -> (JobId, Report, Caller) {
    let outcome = Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
    let (node, epoch) = (granted.lease.node, granted.lease.epoch);
    let report = Report { node, epoch, hash: Hash::of(b"done"), outcome };
    (granted.lease.job, report, Caller::engine())
}

#[test]
fn a_worker_of_one_engine_does_the_work_of_both() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let engines = engines().await;
        let worker = async {
            let mut done = 0;
            while done < JOBS * 4 {
                let poll = LeaseRequest { wait_until: START + 60_000, ..poll("worker", 3) };
                let granted = engines[0].leases().lease(poll).await.expect("an answer");
                let reports: Vec<_> = granted.iter().map(report).collect();
                let (reported, _) = engines[0].leases().report(&namespace(), reports, None).await;
                assert!(reported.iter().all(|one| *one == ReportOutcome::Recorded), "{reported:?}");
                done += reported.len() as u128;
            }
        };
        let client = async {
            for number in 1..=JOBS {
                let id = JobId(subject(number).id);
                let submission = submission(id, diamond(), START);
                let command = Command::Job(JobCommand::Submit(Arc::new(submission)));
                let request = Request::Command {
                    subject: subject(number),
                    command,
                    caller: Caller::engine(),
                };
                let answer = engines[1].ask(request).await.expect("an answer");
                assert!(matches!(answer, Response::Command { .. }), "{answer:?}");
            }
        };
        tokio::join!(worker, client);
    });
}

#[test]
fn a_claim_that_comes_again_at_the_other_engine_gives_the_same_leases() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let engines = engines().await;
        for number in 1..=4 {
            let submission = submission(JobId(subject(number).id), diamond(), START);
            let command = Command::Job(JobCommand::Submit(Arc::new(submission)));
            let (subject, caller) = (subject(number), Caller::engine());
            let request = Request::Command { subject, command, caller };
            engines[0].ask(request).await.expect("an answer");
        }
        let poll = LeaseRequest { claim: Some(claim("one")), ..poll("worker", 4) };
        let mut leased = Vec::new();
        for engine in [0, 1, 0] {
            let granted = engines[engine].leases().lease(poll.clone()).await.expect("an answer");
            let mut names: Vec<_> = granted.iter().map(|one| one.lease).collect();
            names.sort_by_key(|lease| lease.job);
            leased.push(names);
        }
        assert_eq!(leased[0].len(), 4);
        assert!(leased.iter().all(|names| *names == leased[0]));
    });
}
