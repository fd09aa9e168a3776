//! What must hold when everything has come to rest: every acknowledged job exists and is over, nothing is leased, armed
//! or told by an append notice for it, the lists of the view show each job exactly once as it is, and a replay from the store gives the
//! state once more.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{GroupId, SubjectId};
use domain::job::status::JobStatus;
use orrery::engine::core::Core;
use orrery::engine::loader;
use orrery::event_store::contract::EventStore as _;
use orrery::view::contract::{Columns, JobSort, PageStart, Total, View as _};
use orrery_testing::event_store::MemoryEventStore;
use orrery_testing::view::MemoryView;
use uuid::Uuid;

use super::{Checker, Told};
use crate::harness::lab::wait;
use crate::harness::view_document::One as _;
use crate::simulation::list_reader::{id_of, query};
use crate::simulation::random_jobs::Order;

type Held = Result<(), String>;

fn hold(holds: bool, invariant: &str, what: &str) -> Held {
    if holds { Ok(()) } else { Err(format!("invariant {invariant}: {what}")) }
}

impl Checker {
    pub(crate) fn at_rest(
        &mut self,
        store: &MemoryEventStore,
        view: &MemoryView,
        cores: &[&Core],
        orders: &[Order],
    ) {
        let outcome = self
            .orders_exist(orders)
            .and_then(|()| self.streams_replay(store))
            .and_then(|()| self.nothing_is_kept(store, cores))
            .and_then(|()| self.documents_show_heads(view))
            .and_then(|()| self.lists_are_whole(view));
        self.hold(outcome);
    }

    fn orders_exist(&self, orders: &[Order]) -> Held {
        for order in orders {
            let job = self.job(&order.subject);
            hold(!order.acked || job.is_some(), "1", "an acknowledged job does not exist")?;
            hold(job.is_none_or(|job| job.status.is_over()), "1", "a job is not over")?;
        }
        hold(self.jobs().count() <= orders.len(), "2", "more jobs than were asked for")
    }

    fn streams_replay(&self, store: &MemoryEventStore) -> Held {
        for (subject, stream) in &self.streams {
            let loaded = wait(loader::load(store, subject))
                .map_err(|error| format!("invariant 18: {subject}: {error}"))?;
            if matches!(&stream.told, Some(Told::Job(job)) if job.deleted) {
                let gone = loaded.entity.is_none() && loaded.tombstone.is_some();
                hold(gone, "28", &format!("{subject} is deleted and has a stream"))?;
                continue;
            }
            let equal = match (&loaded.entity, &stream.replay) {
                (Some(loaded), Some(replay)) => loaded == replay,
                _ => false,
            };
            hold(equal && loaded.seq == stream.seq, "9", "a replay from the store differs")?;
            if let Some(Told::Environment(story)) = &stream.told {
                hold(story.is_idle(), "28", "a grant is kept by a job that is over")?;
            } else if !matches!(&stream.told, Some(Told::Catalog)) {
                let retired = loaded.mark.is_none();
                hold(retired, "28", &format!("{subject} is over and has a wake-up"))?;
            }
        }
        Ok(())
    }

    fn nothing_is_kept(&self, store: &MemoryEventStore, cores: &[&Core]) -> Held {
        for group in GroupId::all() {
            let notices = wait(store.notices(group)).map_err(|error| error.to_string())?;
            hold(notices.is_empty(), "28", "an append notice is left")?;
        }
        for core in cores {
            let (kept, counts) = (core.kept(), core.counts());
            let [pending, claims, _, sent] = kept;
            hold((pending, claims, sent) == (0, 0, 0), "28", &format!("{kept:?} kept for nobody"))?;
            hold(counts.queued == 0 && counts.appends_in_flight == 0, "28", "something is queued")?;
            hold(counts.ready == 0 && counts.running_attempts == 0, "28", "something is leased")?;
            for (subject, _) in self.jobs() {
                let left = core.committed_state(subject).is_none();
                hold(left, "28", &format!("{subject} is over and in memory"))?;
            }
        }
        Ok(())
    }

    fn documents_show_heads(&self, view: &MemoryView) -> Held {
        for (subject, job) in self.jobs() {
            let document = wait(view.get(subject)).map_err(|error| error.to_string())?;
            if job.deleted {
                hold(document.is_none(), "26", &format!("{subject} is deleted and shown"))?;
                continue;
            }
            let Some(document) = document else {
                return hold(false, "26", &format!("{subject} is not in the view"));
            };
            let Columns::Job(columns) = &document.columns else {
                return hold(false, "26", "a job with another document");
            };
            let shows = document.seq == self.head(subject) && columns.status == job.status.as_str();
            hold(
                shows,
                "26",
                &format!("{subject} is shown as {} at {}", columns.status, document.seq),
            )?;
        }
        Ok(())
    }

    /// Page by page, in every order and by every status, each job comes exactly once.
    fn lists_are_whole(&self, view: &MemoryView) -> Held {
        let all: BTreeSet<Uuid> =
            self.jobs().filter(|(_, job)| !job.deleted).map(|(subject, _)| subject.id).collect();
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for descending in [false, true] {
                let seen = pages(view, &query(sort, descending, 3));
                let unique: BTreeSet<Uuid> = seen.iter().copied().collect();
                hold(
                    seen.len() == unique.len() && unique == all,
                    "26",
                    "a page has it twice or never",
                )?;
            }
        }
        let mut by_status: BTreeMap<JobStatus, BTreeSet<Uuid>> = BTreeMap::new();
        for (SubjectId { id, .. }, job) in self.jobs().filter(|(_, job)| !job.deleted) {
            by_status.entry(job.status).or_default().insert(*id);
        }
        for status in JobStatus::ALL {
            let mut query = query(JobSort::CreatedAt, false, 100);
            query.statuses = vec![status.as_str()];
            let page = wait(view.jobs(query)).map_err(|error| error.to_string())?;
            let listed: BTreeSet<Uuid> = page.items.iter().map(|body| id_of(body)).collect();
            let expected = by_status.remove(&status).unwrap_or_default();
            let counted = page.total == Total::Exact(expected.len() as u64);
            hold(counted && listed == expected, "26", &format!("the list of {status} jobs"))?;
        }
        Ok(())
    }
}

fn pages(view: &MemoryView, query: &orrery::view::contract::JobQuery) -> Vec<Uuid> {
    let (mut seen, mut query) = (Vec::new(), query.clone());
    loop {
        let Ok(page) = wait(view.jobs(query.clone())) else { return seen };
        seen.extend(page.items.iter().map(|body| id_of(body)));
        let Some((value, id)) = page.next else { return seen };
        query.start = PageStart::After { value, id };
    }
}
