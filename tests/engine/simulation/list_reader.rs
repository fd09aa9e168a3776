//! Somebody who reads the list of jobs page by page while it changes: whatever was in it all the time is seen exactly
//! once, in order.

use std::collections::BTreeSet;

use domain::ids::Millis;
use orrery::view::contract::{JobQuery, JobSort, PageStart, View as _};
use orrery_testing::view::every_job;
use uuid::Uuid;

use super::world::{Happening, World};
use crate::harness::jobs;
use crate::harness::lab::wait;

#[derive(Debug, Default)]
pub(crate) struct Lister {
    /// What was there when the reading began.
    expected: BTreeSet<Uuid>,
    seen: Vec<Uuid>,
    next: Option<(i64, Uuid)>,
    descending: bool,
    page_size: u32,
}

/// All jobs, this order.
pub(crate) fn query(sort: JobSort, descending: bool, page_size: u32) -> JobQuery {
    JobQuery { sort, descending, page_size, ..every_job(jobs::namespace()) }
}

/// The id of a listed job.
pub(crate) fn id_of(body: &str) -> Uuid {
    #[derive(serde::Deserialize)]
    struct Listed {
        id: Uuid,
    }
    serde_json::from_str::<Listed>(body).expect("a summary has an id").id
}

const EVERY_MS: Millis = 1_500;

impl World {
    pub(crate) fn lists(&mut self) {
        self.steps += 1;
        self.after(EVERY_MS, Happening::Lists);
        let lister = &mut self.lister;
        if lister.next.is_none() {
            lister.expected = all(&self.view);
            lister.seen.clear();
            lister.descending = self.dice.chance(500);
            lister.page_size = u32::try_from(self.dice.between(1, 5)).expect("a small page");
        }
        let lister = &mut self.lister;
        let mut query = query(JobSort::CreatedAt, lister.descending, lister.page_size);
        if let Some((value, id)) = lister.next {
            query.start = PageStart::After { value, id };
        }
        let page = wait(self.view.jobs(query)).expect("a view");
        lister.seen.extend(page.items.iter().map(|body| id_of(body)));
        lister.next = page.next;
        if page.next.is_some() {
            return;
        }
        let seen: BTreeSet<Uuid> = lister.seen.iter().copied().collect();
        // A power failure takes away what was not synced: what is gone now was not there all the time.
        let there = all(&self.view);
        let missed = lister.expected.iter().any(|id| there.contains(id) && !seen.contains(id));
        if seen.len() != lister.seen.len() || missed {
            self.checker.break_at("26", "a job is missing in the pages, or there twice");
        }
    }
}

/// The ids of all jobs, read at once.
pub(crate) fn all(view: &orrery_testing::view::MemoryView) -> BTreeSet<Uuid> {
    let page = wait(view.jobs(query(JobSort::CreatedAt, false, 100))).expect("a view");
    page.items.iter().map(|body| id_of(body)).collect()
}
