//! Streams that are to be read: what somebody asks for first, then what is due first.
//! Always holds: a stream that is asked for waits for none that is not, however many there are and however long each
//! takes; replaying long streams leaves threads for everything else.
//! Absent: what is to be read (the core says so), and reading itself (`loader`).

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{Millis, SubjectId};
use tokio::sync::Semaphore;

use super::Executor;
use crate::engine::core::message::{ASKED, Input};
use crate::engine::loader;
use crate::environment::fail_points::{self, Point};

/// Streams read at once that nobody asks for: enough not to wait for a far store one stream at a time.
const UNASKED_MAX: usize = 64;
/// Streams read at once in all: places that only what is asked for can have.
const LOADS_MAX: usize = 96;

/// Since when a stream waits, and its turn among those of that moment.
type Turn = (Millis, u64);

/// The order of reading.
#[derive(Debug)]
pub(super) struct Loads {
    waiting: BTreeMap<Turn, SubjectId>,
    turns: BTreeMap<SubjectId, Turn>,
    open: usize,
    number: u64,
    /// Replays that may keep a thread busy at once.
    replays: Arc<Semaphore>,
}

impl Default for Loads {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            turns: BTreeMap::new(),
            open: 0,
            number: 0,
            replays: Arc::new(Semaphore::new(replays_max())),
        }
    }
}

impl Loads {
    /// A stream is to be read. False when it waits already: one read serves both, at the earlier turn.
    fn wait(&mut self, subject: SubjectId, due: Millis) -> bool {
        let before = self.turns.remove(&subject);
        let due = before.map_or(due, |turn| due.min(turn.0));
        if let Some(turn) = before {
            self.waiting.remove(&turn);
        }
        self.number += 1;
        let turn = (due, self.number);
        self.waiting.insert(turn, subject.clone());
        self.turns.insert(subject, turn);
        before.is_none()
    }

    /// Somebody asks for it, if it still waits.
    fn prioritize_load(&mut self, subject: &SubjectId) {
        if self.turns.get(subject).is_some_and(|turn| turn.0 != ASKED) {
            self.wait(subject.clone(), ASKED);
        }
    }

    /// The next that may be read now.
    fn next(&mut self) -> Option<SubjectId> {
        let first = self.waiting.first_entry()?;
        let most = if first.key().0 == ASKED { LOADS_MAX } else { UNASKED_MAX };
        if self.open >= most {
            return None;
        }
        let subject = first.remove();
        self.turns.remove(&subject);
        self.open += 1;
        Some(subject)
    }

    /// A read came back.
    fn is_over(&mut self) {
        self.open -= 1;
    }
}

impl Executor {
    /// Reads a stream when its turn comes.
    pub(super) fn load(&mut self, subject: &SubjectId, due: Millis) {
        if self.loads.wait(subject.clone(), due) {
            self.reads.begins(subject);
        }
        self.load_next();
    }

    /// Reads a stream soon that waits for its turn.
    pub(super) fn prioritize_load(&mut self, subject: &SubjectId) {
        self.loads.prioritize_load(subject);
        self.load_next();
    }

    /// A read came back. What could not be read is looked for again, and its group counts as not looked at until then.
    pub(super) fn was_loaded(&mut self, subject: &SubjectId, read: bool) {
        self.reads.ends(subject, read);
        if !read && self.groups.contains(&subject.group()) {
            self.gauges.unscanned_groups().insert(subject.group());
        }
        self.loads.is_over();
        self.load_next();
    }

    /// Reads what may be read now.
    fn load_next(&mut self) {
        while let Some(subject) = self.loads.next() {
            let (store, replays) = (Arc::clone(&self.store), Arc::clone(&self.loads.replays));
            self.spawn(async move {
                let result = loader::load_beside(store.as_ref(), &subject, &replays).await;
                fail_points::pass(Point::Loaded);
                Some(Input::Loaded { subject, result: result.map(Box::new) })
            });
        }
    }
}

/// Replays at once: half of the threads, so that whoever asks for something else finds one.
fn replays_max() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (threads / 2).max(1)
}

#[cfg(test)]
mod tests {
    use domain::ids::{JobId, Namespace};
    use uuid::Uuid;

    use super::*;

    fn job(number: u128) -> SubjectId {
        SubjectId::job(Namespace::default_namespace(), JobId(Uuid::from_u128(number)))
    }

    fn order(loads: &mut Loads) -> Vec<SubjectId> {
        std::iter::from_fn(|| loads.next()).collect()
    }

    #[test]
    fn what_is_asked_for_comes_first_then_what_is_due_first() {
        let mut loads = Loads::default();
        for (number, due) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            loads.wait(job(number), due);
        }
        loads.prioritize_load(&job(3));
        loads.wait(job(5), ASKED);
        loads.prioritize_load(&job(9));
        assert_eq!(order(&mut loads), [3, 5, 2, 4, 1].map(job));
    }

    #[test]
    fn what_is_asked_for_finds_a_place_though_all_others_are_taken() {
        let mut loads = Loads::default();
        for number in 0..200 {
            loads.wait(job(number), 0);
        }
        assert_eq!(order(&mut loads).len(), UNASKED_MAX);
        loads.prioritize_load(&job(150));
        loads.wait(job(1_000), ASKED);
        assert_eq!(order(&mut loads), [150, 1_000].map(job));
        for number in 2_000..2_100 {
            loads.wait(job(number), ASKED);
        }
        assert_eq!(order(&mut loads).len(), LOADS_MAX - UNASKED_MAX - 2, "these have a bound too");
        loads.is_over();
        assert_eq!(order(&mut loads).len(), 1);
    }

    #[test]
    fn a_stream_that_is_to_be_read_twice_is_read_once_at_the_earlier_turn() {
        let mut loads = Loads::default();
        loads.wait(job(1), 50);
        loads.wait(job(2), 40);
        loads.wait(job(1), 30);
        loads.wait(job(2), 60);
        assert_eq!(order(&mut loads), [1, 2].map(job));
        assert!(loads.turns.is_empty() && loads.waiting.is_empty());
    }
}
