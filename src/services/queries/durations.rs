//! How long work of each action type took, learned from the streams that were read: what estimates of running jobs
//! rest on. Volatile and bounded; an engine that has just started knows nothing and says so by a wide spread.
//! Always holds: an event counts once, also when its stream is read again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::ids::{ActionType, Namespace, SubjectId};
use domain::job::progress::DurationStats;
use domain::job::story::Measured;

/// Action types remembered; a namespace that makes up more gets estimates from what its callers say.
const TYPES_MAX: usize = 10_000;
/// Streams of which it is remembered how far they were learned from.
const STREAMS_MAX: usize = 10_000;

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct LearnedDurations(Mutex<Learned>);

#[derive(Debug, Default)]
struct Learned {
    by_type: BTreeMap<(Namespace, ActionType), DurationStats>,
    up_to: BTreeMap<SubjectId, u64>,
}

impl LearnedDurations {
    /// Takes what a stream says up to `seq`.
    pub(super) fn learn(&self, subject: &SubjectId, seq: u64, measured: Vec<(u64, Measured)>) {
        if measured.is_empty() {
            return;
        }
        let mut learned = self.learned();
        let known = learned.up_to.get(subject).copied().unwrap_or(0);
        for (at, Measured { action_type, duration_ms }) in measured {
            let Some(action_type) = action_type.filter(|_| at > known) else { continue };
            let key = (subject.namespace.clone(), action_type);
            if learned.by_type.len() < TYPES_MAX || learned.by_type.contains_key(&key) {
                learned.by_type.entry(key).or_default().add(duration_ms);
            }
        }
        if learned.up_to.len() >= STREAMS_MAX && !learned.up_to.contains_key(subject) {
            learned.up_to.pop_first();
        }
        learned.up_to.insert(subject.clone(), known.max(seq));
    }

    /// What is known of each of these types, in their order.
    pub(super) fn of<'a>(
        &self,
        namespace: &Namespace,
        types: impl Iterator<Item = Option<&'a ActionType>>,
    ) -> Vec<Option<DurationStats>> {
        let learned = self.learned();
        let of_type = |action: &ActionType| {
            learned.by_type.get(&(namespace.clone(), action.clone())).copied()
        };
        types.map(|action| action.and_then(of_type)).collect()
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
