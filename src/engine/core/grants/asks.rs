//! The asks of jobs at one environment, in the order in which they are granted: by priority and age. Volatile.
//! Always holds: one ask a run of a job; the next one is found, and one is put or taken away, without a look at the others.

use std::collections::BTreeMap;

use domain::ids::{JobId, Millis};

use crate::engine::core::leases::score;
use crate::engine::core::message::GrantRequest;

/// Asks kept at one environment; the jobs ask again every few seconds.
const ASKS_MAX: usize = 100_000;
/// Asks that are counted before one: beyond it the number says no more.
const BEFORE_MAX: usize = 10_000;

/// A loaded environment grants nothing for so long: those who hold grants are heard first (design, fine print 8).
const GRANTS_AFTER_LOAD_MS: Millis = 2_000;

/// In this order asks are granted.
type Order = (Millis, JobId, u32);

/// All asks at one environment.
#[derive(Debug, Default)]
pub(crate) struct GrantQueue {
    by_order: BTreeMap<Order, GrantRequest>,
    order_of: BTreeMap<(JobId, u32), Order>,
    /// Nothing is granted before this.
    granted_from: Millis,
}

impl GrantQueue {
    /// The environment was loaded: for a while only what is held is heard of.
    pub(crate) fn wait_for_holders(&mut self, now: Millis) {
        self.granted_from = now.saturating_add(GRANTS_AFTER_LOAD_MS);
    }

    /// When the first grant may be made, if that is not yet.
    pub(crate) fn granted_from(&self, now: Millis) -> Option<Millis> {
        Some(self.granted_from).filter(|from| now < *from)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Notes what a job asks for, in place of what the same run asked for before. Beyond the bound it is not noted.
    pub(crate) fn put(&mut self, ask: GrantRequest) {
        let run = (ask.job, ask.run);
        if let Some(before) = self.order_of.remove(&run) {
            self.by_order.remove(&before);
        }
        if self.by_order.len() < ASKS_MAX {
            let order = (score(ask.since, ask.priority), ask.job, ask.run);
            self.order_of.insert(run, order);
            self.by_order.insert(order, ask);
        }
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<&GrantRequest> {
        self.by_order.values().next()
    }

    /// Takes away whose turn it is.
    pub(crate) fn take_first(&mut self) -> Option<GrantRequest> {
        let (_, ask) = self.by_order.pop_first()?;
        self.order_of.remove(&(ask.job, ask.run));
        Some(ask)
    }

    /// How many asks are granted before that of a job; none: it does not ask.
    pub(crate) fn before(&self, job: JobId) -> Option<u64> {
        let (_, own) = self.order_of.range((job, 0)..=(job, u32::MAX)).next()?;
        Some(self.by_order.range(..*own).take(BEFORE_MAX).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ask(job: u128, priority: u8, since: Millis) -> GrantRequest {
        let resources = BTreeMap::new();
        GrantRequest { job: JobId(Uuid::from_u128(job)), run: 1, resources, priority, since }
    }

    #[test]
    fn asks_are_taken_by_priority_and_age_and_each_run_asks_once() {
        let mut asks = GrantQueue::default();
        for one in [ask(1, 5, 1_000), ask(2, 5, 500), ask(3, 4, 20_000), ask(2, 5, 500)] {
            asks.put(one);
        }
        assert_eq!((asks.len(), asks.before(JobId(Uuid::from_u128(1)))), (3, Some(2)));
        assert_eq!(asks.before(JobId(Uuid::from_u128(9))), None);
        asks.put(ask(1, 1, 1_000));
        let order: Vec<u128> =
            std::iter::from_fn(|| asks.take_first()).map(|ask| ask.job.0.as_u128()).collect();
        assert_eq!(order, [1, 3, 2]);
        assert!(asks.is_empty() && asks.order_of.is_empty());
    }
}
