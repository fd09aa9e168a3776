//! Telling other engines of work that nobody here takes, and noting what they tell. Told once a turn on the change from
//! nothing to something, again about each second while it stays, and again when another engine took all there was and
//! more came.
//! Absent: any effect on what is leased; a hint only says whom to ask (`asking`).

use std::collections::BTreeSet;

use domain::ids::{ActionType, Millis};

use super::{Dispatch, Place, QueueKey};
use crate::engine::core::message::Announced;

/// Work that stays is told again after so long: words get lost, and engines join.
const AGAIN_MS: Millis = 1_000;
/// Queues told of in one turn; the others follow in the next.
const QUEUES_MAX: usize = 256;
/// Kinds told of one queue; with more, any kind is said to be there.
const KINDS_MAX: usize = 32;

/// What this engine tells others.
#[derive(Debug, Default)]
pub(super) struct Announcing {
    on: bool,
    /// Queues that got something new to tell since the last turn.
    news: BTreeSet<QueueKey>,
    /// When each queue that was told of is told of again.
    again: BTreeSet<(Millis, QueueKey)>,
}

/// What was told of a queue.
#[derive(Debug)]
pub(crate) struct ToldOf {
    again_at: Millis,
    kinds: BTreeSet<Option<ActionType>>,
}

impl Announcing {
    /// A node was offered.
    #[expect(clippy::ref_option, reason = "it is looked up in a set of such")]
    pub(super) fn offered(
        &mut self,
        key: &QueueKey,
        told: Option<&ToldOf>,
        kind: &Option<ActionType>,
    ) {
        let known = told.is_some_and(|told| told.kinds.contains(kind));
        if self.on && !known && !self.news.contains(key) {
            self.news.insert(key.clone());
        }
    }

    /// What was told of a queue does not hold any more: what comes next is news.
    fn forget(&mut self, key: &QueueKey, told: &mut Option<ToldOf>) {
        if let Some(told) = told.take() {
            self.again.remove(&(told.again_at, key.clone()));
        }
    }
}

impl Dispatch {
    /// Another engine took what it could, and found too little: of the kinds that are not there any more whatever comes
    /// now is news. What is left, of other kinds than those that were asked for, is told again in its time.
    pub(crate) fn emptied(&mut self, key: &QueueKey) {
        let announcing = &mut self.announcing;
        self.spaces.change(key, false, |place| {
            if place.queue.offered() == 0 {
                announcing.forget(key, &mut place.told);
            } else if let Some(told) = place.told.as_mut() {
                told.kinds.retain(|kind| place.queue.has(kind));
            }
        });
    }

    /// What is to be told now.
    pub(crate) fn tells(&mut self, now: Millis) -> Vec<Announced> {
        let mut told = Vec::new();
        while told.len() < QUEUES_MAX {
            let announcing = &mut self.announcing;
            // A queue that is not there any more is told of no more.
            let due = announcing.again.first().is_some_and(|(at, _)| *at <= now);
            let due = if due { announcing.again.pop_first().map(|(_, key)| key) } else { None };
            let Some(key) = due.or_else(|| announcing.news.first().cloned()) else { break };
            announcing.news.remove(&key);
            let again_at = now.saturating_add(AGAIN_MS);
            let tells = self.spaces.change(&key, false, |place| {
                announcing.forget(&key, &mut place.told);
                let kinds: BTreeSet<_> = place.queue.kinds().cloned().collect();
                if kinds.is_empty() {
                    return None;
                }
                place.told = Some(ToldOf { again_at, kinds });
                Some(announced(&key, place))
            });
            if let Some(tells) = tells.flatten() {
                told.push(tells);
                self.announcing.again.insert((again_at, key));
            }
        }
        told
    }

    /// When there is something to tell next.
    pub(crate) fn tells_next(&self, now: Millis) -> Option<Millis> {
        let again = self.announcing.again.first().map(|(at, _)| *at);
        let news = (!self.announcing.news.is_empty()).then_some(now);
        [again, news].into_iter().flatten().min()
    }

    /// Whether others are told from now on. Those who listen hear of everything that is there.
    pub(crate) fn listens(&mut self, on: bool) {
        self.announcing = Announcing { on, ..Announcing::default() };
        let announcing = &mut self.announcing;
        self.spaces.each(|key, place| {
            place.told = None;
            if on && place.queue.ready() > 0 {
                announcing.news.insert(key);
            }
        });
    }
}

fn announced((namespace, queue): &QueueKey, place: &Place) -> Announced {
    let of = &place.queue;
    let few = of.kinds().take(KINDS_MAX + 1).count() <= KINDS_MAX;
    Announced {
        namespace: namespace.clone(),
        queue: queue.clone(),
        kinds: if few { of.kinds().cloned().collect() } else { Vec::new() },
        ready: of.offered(),
    }
}
