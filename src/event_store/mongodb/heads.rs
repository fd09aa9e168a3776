//! What this engine knows of the heads of recently used streams, so that an append of the next record needs no
//! look at the database.
//! Always holds: an entry was true when it was made, and none is older than two spans; a head that is known too low
//! costs a conflict, never a hole (the records a deletion leaves block every seq for longer than that).
//! Absent: iteration. It is a hashed map for looking up only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::SubjectId;

/// Streams in one generation: about 10 MB for both, enough for every stream that has an append in flight.
const GENERATION_MAX: usize = 32_768;
/// A generation grows no older: half an hour, so that no head is trusted for more than an hour. A deleted stream's
/// records stay a day.
const GENERATION_SPAN: Duration = Duration::from_mins(30);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<SubjectId, u64>,
    old: HashMap<SubjectId, u64>,
    began: Duration,
}

/// SubjectHeads by subject.
#[derive(Debug, Default)]
pub(super) struct SubjectHeads {
    generations: Mutex<Generations>,
}

impl SubjectHeads {
    /// The head as last seen; `now` is monotonic.
    pub(super) fn get(&self, subject: &SubjectId, now: Duration) -> Option<u64> {
        let mut all = self.lock();
        all.turn(now);
        all.young.get(subject).or_else(|| all.old.get(subject)).copied()
    }

    pub(super) fn set(&self, subject: &SubjectId, head: u64, now: Duration) {
        let mut all = self.lock();
        all.turn(now);
        if all.young.len() >= GENERATION_MAX {
            all.begin(now);
        }
        if let Some(known) = all.young.get_mut(subject) {
            *known = head;
        } else {
            all.young.insert(subject.clone(), head);
        }
    }

    pub(super) fn forget(&self, subject: &SubjectId) {
        let mut all = self.lock();
        all.young.remove(subject);
        all.old.remove(subject);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Nothing in here panics between two changes that belong together.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn turn(&mut self, now: Duration) {
        let age = now.saturating_sub(self.began);
        if age < GENERATION_SPAN {
            return;
        }
        if age >= GENERATION_SPAN * 2 {
            self.young.clear();
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Duration) {
        self.old = std::mem::take(&mut self.young);
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{JobId, Namespace};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_head_is_trusted_for_longer_than_an_hour() {
        let heads = SubjectHeads::default();
        let job = SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(1)));
        let minutes = |count: u64| Duration::from_secs(count * 60);
        heads.set(&job, 5, minutes(29));
        assert_eq!(heads.get(&job, minutes(45)), Some(5));
        assert_eq!(heads.get(&job, minutes(76)), None);
        heads.set(&job, 6, minutes(80));
        assert_eq!(heads.get(&job, minutes(200)), None);
    }
}
