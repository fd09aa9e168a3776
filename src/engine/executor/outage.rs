//! What is out of reach is told once when that begins and once when it is over, however often it is tried meanwhile.
//! Absent: trying again, which looks, flushes and append notices do by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::ids::GroupId;

use crate::event_store::contract::EventStoreError;

/// Whether something is out of reach.
#[derive(Debug, Default)]
pub(super) struct Outage(AtomicBool);

impl Outage {
    /// It was tried in vain. Whether that is news.
    pub(super) fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// It was reached. Whether that is news.
    pub(super) fn ends(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Of everything that the executor tries again by itself.
#[derive(Debug, Default)]
pub(super) struct Outages {
    /// Reading what is due, and append notices.
    looks: Outage,
    /// Clearing append notices.
    pub(super) notices: Outage,
    pub(super) snapshots: Outage,
    pub(super) documents: Outage,
}

/// One look at all groups. An outage is over when a whole look found everything.
#[derive(Debug)]
pub(super) struct Look {
    outages: Arc<Outages>,
    failed: AtomicBool,
    /// Set where it is to be looked for again soon.
    again: Arc<AtomicBool>,
}

impl Look {
    pub(super) fn new(outages: Arc<Outages>, again: Arc<AtomicBool>) -> Self {
        Self { outages, failed: AtomicBool::new(false), again }
    }

    /// `what` of a group could not be read.
    pub(super) fn failed(&self, group: GroupId, what: &'static str, error: &EventStoreError) {
        self.failed.store(true, Ordering::Relaxed);
        self.again.store(true, Ordering::Relaxed);
        if self.outages.looks.begins() {
            let group = group.index();
            tracing::warn!(%error, group, what, "a group could not be looked at: it is tried again");
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if !self.failed.load(Ordering::Relaxed) && self.outages.looks.ends() {
            tracing::info!("all groups could be looked at again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_once_until_a_whole_look_found_everything() {
        let (outages, again) = (Arc::new(Outages::default()), Arc::new(AtomicBool::new(false)));
        let look = || Look::new(Arc::clone(&outages), Arc::clone(&again));
        let error = EventStoreError::Unavailable("away".to_owned());
        let told = || outages.looks.0.load(Ordering::Relaxed);
        let group = GroupId::all().next();
        let fails =
            |look: &Look| group.iter().for_each(|of| look.failed(*of, "append_notices", &error));
        for _ in 0..3 {
            let one = look();
            fails(&one);
            drop(one);
            assert!(told() && again.swap(false, Ordering::Relaxed), "it lasts, and is tried again");
            assert!(!outages.looks.begins(), "and was told");
        }
        drop(look());
        assert!(!told() && !again.load(Ordering::Relaxed));
        assert!(outages.looks.begins(), "the next one is news");
    }
}
