//! Requests that wait until a job has changed. The executor says which subjects something was made durable of, or was
//! read of; whoever waits for one of them then looks at it again.
//! Always holds: a word is a hint to look and nothing is decided from it, so one too many costs a read and a lost one a
//! later look. Absent: the looking (`Engine::job`), and how long anybody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::SubjectId;
use tokio::sync::Notify;

use crate::engine::core::message::Input;

/// The subjects that somebody waits for. Their number is bounded by the requests that may wait (`http::waiters`).
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_subject: Mutex<BTreeMap<SubjectId, Watched>>,
    /// How many there are, so that the executor takes no lock while there are none.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Watched {
    changed: Arc<Notify>,
    /// Requests that wait for it; with the last one it is forgotten.
    watches: usize,
}

impl Watchers {
    /// The subjects of this input that somebody waits for.
    pub(super) fn concerned(&self, input: &Input) -> Vec<SubjectId> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let by_subject = self.lock();
        let is_watched = |subject: &&SubjectId| by_subject.contains_key(*subject);
        match input {
            Input::Appended { subjects, .. } => {
                subjects.iter().filter(is_watched).cloned().collect()
            }
            Input::Tail { subject, .. } | Input::Loaded { subject, .. } => {
                Some(subject).filter(is_watched).cloned().into_iter().collect()
            }
            Input::Leaving
            | Input::FormerDrivers { .. }
            | Input::Stepped { .. }
            | Input::Request { .. }
            | Input::Gone { .. }
            | Input::Undelivered { .. }
            | Input::WakeUpsMoved { .. }
            | Input::Due { .. }
            | Input::Notices { .. }
            | Input::Removed { .. }
            | Input::Evaluated { .. }
            | Input::CatalogRead { .. }
            | Input::Flushed { .. }
            | Input::Peers { .. }
            | Input::KnownAs { .. }
            | Input::Drives { .. }
            | Input::Announced { .. }
            | Input::Routes { .. }
            | Input::Forwarded { .. }
            | Input::NotForwarded { .. } => Vec::new(),
        }
    }

    /// Wakes whoever waits for this subject.
    pub(super) fn changed(&self, subject: &SubjectId) {
        if let Some(watched) = self.lock().get(subject) {
            watched.changed.notify_waiters();
        }
    }

    /// Watches a subject.
    pub(super) fn watch(self: &Arc<Self>, subject: &SubjectId) -> Watch {
        let mut by_subject = self.lock();
        self.count.fetch_add(1, Ordering::AcqRel);
        let watched = by_subject
            .entry(subject.clone())
            .or_insert_with(|| Watched { changed: Arc::default(), watches: 0 });
        watched.watches += 1;
        let changed = Arc::clone(&watched.changed);
        Watch { watchers: Arc::clone(self), subject: subject.clone(), changed }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SubjectId, Watched>> {
        self.by_subject.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's watch over a subject.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    subject: SubjectId,
    changed: Arc<Notify>,
}

impl Watch {
    /// Ends when the subject may have changed after this was called, not after it was awaited: look at the subject
    /// between the two, and no change is missed.
    pub fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_subject = self.watchers.lock();
        let Some(watched) = by_subject.get_mut(&self.subject) else { return };
        watched.watches -= 1;
        if watched.watches == 0 {
            by_subject.remove(&self.subject);
        }
        self.watchers.count.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use domain::ids::{JobId, Namespace};
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_change_between_the_look_and_the_wait_is_not_missed() {
        let watchers = Arc::new(Watchers::default());
        let job = |text: &str| {
            let id = JobId::parse(text).expect("an id");
            SubjectId::job(Namespace::default_namespace(), id)
        };
        let one = job("0192aa00-0000-7000-8000-000000000001");
        let other = job("0192aa00-0000-7000-8000-000000000002");
        let watched = watchers.watch(&one);
        let changed = watched.changed();
        watchers.changed(&other);
        watchers.changed(&one);
        assert!(changed.now_or_never().is_some());
        assert!(watched.changed().now_or_never().is_none());
        drop(watched);
        assert!(watchers.lock().is_empty());
        assert_eq!(watchers.count.load(Ordering::Acquire), 0);
    }
}
