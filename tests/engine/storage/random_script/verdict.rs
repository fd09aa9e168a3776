//! The end of a script: all that can be seen of the stores, and whether everything has ended as it must.

use std::collections::BTreeSet;
use std::fmt::Write;

use domain::ids::{GroupId, Millis, QueueName, SubjectId};
use domain::job::command::{JobCommand, Outcome};
use domain::job::event::JobEvent;
use domain::job::status::JobStatus;
use orrery::engine::core::kinds::{Entity, EntityEvent};
use orrery::engine::core::message::{LeaseRequest, Request, Response};
use orrery::engine::loader;
use orrery::event_store::contract::EventStore;
use orrery::view::contract::{JobQuery, JobSort};
use orrery_testing::view::every_job;

use super::Script;
use super::passing_time::LOOK_EVERY_MS;
use crate::harness::view_document::One as _;
use crate::harness::{history, jobs, lab};
use crate::simulation::random_jobs;

/// Ten seconds each, in which everything must come to its end.
const ROUNDS_MAX: usize = 90;

impl Script {
    /// Everything that can be seen of the stores, and what the driver has in memory.
    pub(super) async fn closing(&mut self) -> Vec<String> {
        self.advance(LOOK_EVERY_MS * 2).await;
        let mut seen = std::mem::take(&mut self.transcript);
        let store = self.stores.store.as_ref();
        for subject in &self.subjects {
            let mut line = format!("{subject}: mark {:?}", store.mark(subject).await);
            let part = store.read(subject, 1, usize::MAX).await;
            write!(line, " stream {part:?} snapshot ").expect("a text");
            write!(line, "{:?}", store.snapshot(subject).await).expect("a text");
            write!(line, " shown {:?}", self.stores.view.get(subject).await).expect("a text");
            if let Some((seq, Entity::Job(job))) = self.engines[0].committed_state(subject) {
                write!(line, " state {seq} {:?}", job.digest()).expect("a text");
            }
            seen.push(line);
        }
        for group in GroupId::all() {
            seen.push(format!(
                "{group:?}: {:?} {:?}",
                store.live(group, Millis::MAX, None, 1_000).await,
                store.notices(group).await
            ));
        }
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for statuses in [vec![], vec!["completed"], vec!["failed", "running"]] {
                let mut page = self.stores.view.jobs(list(sort, statuses)).await;
                if let (JobSort::Priority, Ok(page)) = (sort, &mut page) {
                    // Views differ in what comes first of one priority.
                    page.items.sort();
                }
                seen.push(format!("{page:?}"));
            }
        }
        seen
    }

    /// Everybody helps until everything is over; then histories keep the promises, replay gives what is in memory, and
    /// the view shows the heads.
    pub(super) async fn ends_well(&mut self) {
        let mut open: BTreeSet<SubjectId> =
            self.orders.iter().map(|order| order.subject.clone()).collect();
        for _ in 0..ROUNDS_MAX {
            for subject in open.clone() {
                let loaded = loader::load(self.stores.store.as_ref(), &subject).await;
                let status = match loaded.expect("a stream").entity {
                    Some(Entity::Job(job)) => Some(job.head.status),
                    Some(_) | None => None,
                };
                match status {
                    Some(JobStatus::Pending) => self.commands(0, subject, JobCommand::Start).await,
                    Some(JobStatus::Paused) => {
                        self.commands(0, subject, JobCommand::Resume { reason: None }).await;
                    }
                    Some(status) if !status.is_over() => {}
                    Some(_) | None => drop(open.remove(&subject)),
                }
            }
            if open.is_empty() {
                break;
            }
            for queue in random_jobs::QUEUES {
                self.helps(queue).await;
            }
            self.advance(10_000).await;
        }
        assert_eq!(open, BTreeSet::new(), "these are stuck");
        self.advance(LOOK_EVERY_MS).await;
        let store = self.stores.store.as_ref();
        for subject in &self.subjects {
            history::hold(subject, &events(store, subject).await);
            let loaded = loader::load(store, subject).await.expect("a stream");
            if let Some((seq, Entity::Job(job))) = self.engines[0].committed_state(subject) {
                let Some(Entity::Job(replayed)) = &loaded.entity else { panic!("no job") };
                assert_eq!((seq, job.digest()), (loaded.seq, replayed.digest()), "{subject}");
            }
            if loaded.entity.is_some() {
                let shown = self.stores.view.get(subject).await.expect("an answer");
                assert_eq!(shown.map(|shown| shown.seq), Some(loaded.seq), "{subject}");
            }
        }
    }

    /// Completes everything that a queue offers.
    async fn helps(&mut self, queue: &str) {
        let queue = QueueName::parse(queue).expect("a queue");
        let request = LeaseRequest { queue, ..jobs::poll("helper", 500) };
        let granted = self.asks(0, Request::Lease(request)).await;
        let Some(Response::Leases(granted)) = granted else { return };
        for one in granted {
            let outcome =
                Outcome::Complete { output: None, warnings: Vec::new(), artifacts: Vec::new() };
            self.asks(0, lab::report_of(&one, outcome, b"help")).await;
        }
    }
}

async fn events(store: &dyn EventStore, subject: &SubjectId) -> Vec<JobEvent> {
    let mut events = Vec::new();
    let genesis = domain::history::genesis(subject);
    loader::fold(store, subject, 0, genesis, |_, _, event, _| {
        if let EntityEvent::Job(event) = event {
            events.push((**event).clone());
        }
    })
    .await
    .expect("a stream that can be read");
    events
}

fn list(sort: JobSort, statuses: Vec<&'static str>) -> JobQuery {
    JobQuery { statuses, sort, descending: true, ..every_job(jobs::namespace()) }
}
