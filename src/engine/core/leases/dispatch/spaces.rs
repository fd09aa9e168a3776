//! The queues by namespace and name, how many of them are in use, and which are about to be forgotten.
//! Always holds: a queue is in use while it has ready nodes, running attempts or parked requests; one that is not is
//! forgotten at most a minute after it was polled last, and sooner when very many are not. No step looks at more queues
//! than it changes.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Millis, Namespace, QueueName};

use super::queue::{Queue, StoppedKinds};
use super::{QueueKey, ToldOf};
use crate::engine::core::message::{Names, QueueFacts};

/// A queue that nobody uses is shown for so long after the last poll: looks are 5 s apart, and a minute is promised.
const UNUSED_KEPT_MS: Millis = 50_000;
/// Queues that nobody uses and that are kept all the same: who polls invented names costs no more.
const UNUSED_MAX: usize = 10_000;

/// A queue with what is known of its use.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Its nodes and requests.
    pub(crate) queue: Queue,
    /// What other engines were told of it, while that holds.
    pub(crate) told: Option<ToldOf>,
    running: u64,
    last_poll_at: Option<Millis>,
    is_used: bool,
    is_stalled: bool,
    /// It stands among those that may be forgotten.
    may_go: bool,
}

#[derive(Debug, Default)]
struct Space {
    places: BTreeMap<QueueName, Place>,
    used: usize,
}

/// The queues of all namespaces, with sums that are changed where a queue changes.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    all: BTreeMap<Namespace, Space>,
    /// When each queue that was not in use is looked at again; it may be in use by now.
    going: BTreeSet<(Millis, QueueKey)>,
    /// What is paused of namespaces of which something is.
    stops: BTreeMap<Namespace, Stops>,
    ready: u64,
    running: u64,
    stalled: u64,
}

/// Queues and kinds of work of a namespace that are paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stops {
    pub(crate) queues: BTreeSet<QueueName>,
    /// None: no kind is.
    pub(crate) kinds: Option<StoppedKinds>,
}

impl Stops {
    fn set(&self, name: &QueueName, queue: &mut Queue) {
        queue.stop(self.queues.contains(name), self.kinds.as_ref());
    }

    fn is_none(&self) -> bool {
        self.queues.is_empty() && self.kinds.is_none()
    }
}

impl Spaces {
    /// What is paused of a namespace from now on. Answers its queues that are there.
    pub(super) fn stop(&mut self, namespace: &Namespace, stops: Stops) -> Vec<QueueKey> {
        let places = self.all.get(namespace).into_iter().flat_map(|space| space.places.keys());
        let keys: Vec<QueueKey> = places.map(|name| (namespace.clone(), name.clone())).collect();
        for key in &keys {
            self.change(key, false, |place| stops.set(&key.1, &mut place.queue));
        }
        if stops.is_none() {
            self.stops.remove(namespace);
        } else {
            self.stops.insert(namespace.clone(), stops);
        }
        keys
    }

    pub(crate) fn get(&self, (namespace, name): &QueueKey) -> Option<&Place> {
        self.all.get(namespace)?.places.get(name)
    }

    /// Changes a queue, and counts what the change makes of it. A queue that is not there is made when `makes` says so.
    pub(crate) fn change<T>(
        &mut self,
        key: &QueueKey,
        makes: bool,
        change: impl FnOnce(&mut Place) -> T,
    ) -> Option<T> {
        let (namespace, name) = key;
        if makes && !self.all.contains_key(namespace) {
            self.all.insert(namespace.clone(), Space::default());
        }
        let space = self.all.get_mut(namespace)?;
        if makes && !space.places.contains_key(name) {
            let mut place = Place::default();
            if let Some(stops) = self.stops.get(namespace) {
                stops.set(name, &mut place.queue);
            }
            space.places.insert(name.clone(), place);
        }
        let place = space.places.get_mut(name)?;
        let (ready, running) = (place.queue.ready(), place.running);
        let changed = change(place);
        self.ready = self.ready + place.queue.ready() - ready;
        self.running = self.running + place.running - running;
        let stalled = place.queue.is_stalled();
        if stalled != std::mem::replace(&mut place.is_stalled, stalled) {
            self.stalled = if stalled { self.stalled + 1 } else { self.stalled - 1 };
        }
        let used = place.queue.ready() > 0 || place.running > 0 || place.queue.parked() > 0;
        if used != std::mem::replace(&mut place.is_used, used) {
            space.used = if used { space.used + 1 } else { space.used - 1 };
        }
        if !used && !std::mem::replace(&mut place.may_go, true) {
            let goes_at = goes_at(place);
            self.going.insert((goes_at, key.clone()));
        }
        Some(changed)
    }

    /// Notes that somebody asked.
    pub(super) fn polled(&mut self, key: &QueueKey, now: Millis) {
        self.change(key, true, |place| place.last_poll_at = Some(now));
        while self.going.len() > UNUSED_MAX
            && let Some((_, key)) = self.going.pop_first()
        {
            self.look_at(key, Millis::MAX);
        }
    }

    /// Counts running attempts of a queue up or down.
    pub(super) fn count_running(&mut self, key: &QueueKey, up: bool) {
        self.change(key, up, |place| {
            place.running = if up { place.running + 1 } else { place.running.saturating_sub(1) };
        });
    }

    /// Forgets queues that nobody uses and nobody asked for in a while.
    pub(super) fn forget_unused(&mut self, now: Millis) {
        while self.going.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.going.pop_first()
        {
            self.look_at(key, now);
        }
    }

    /// A queue that was not in use: it goes, or it is looked at again.
    fn look_at(&mut self, key: QueueKey, now: Millis) {
        let (namespace, name) = &key;
        let Some(space) = self.all.get_mut(namespace) else { return };
        let Some(place) = space.places.get_mut(name) else { return };
        place.may_go = false;
        if place.is_used {
            return;
        }
        let goes_at = goes_at(place);
        // What was told of it is told again, and found wanting, within a second.
        if goes_at > now || place.told.is_some() {
            place.may_go = true;
            let at = goes_at.max(now.saturating_add(1_000));
            self.going.insert((at, key));
            return;
        }
        space.places.remove(name);
        if space.places.is_empty() {
            self.all.remove(namespace);
        }
    }

    /// Nodes offered over all queues.
    pub(super) fn ready(&self) -> u64 {
        self.ready
    }

    /// Attempts that run.
    pub(super) fn running(&self) -> u64 {
        self.running
    }

    /// Queues in which work and somebody who wants it wait for each other.
    pub(super) fn stalled(&self) -> u64 {
        self.stalled
    }

    /// Queues of a namespace that are in use.
    pub(super) fn used(&self, namespace: &Namespace) -> usize {
        self.all.get(namespace).map_or(0, |space| space.used)
    }

    /// Whether a queue is in use.
    pub(super) fn is_used(&self, namespace: &Namespace, name: &QueueName) -> bool {
        let place = self.all.get(namespace).and_then(|space| space.places.get(name));
        place.is_some_and(|place| place.is_used)
    }

    /// A part of the queues of a namespace, by name, and how many are known of it.
    pub(super) fn facts(&self, namespace: &Namespace, part: &Names) -> (Vec<QueueFacts>, u64) {
        let Some(space) = self.all.get(namespace) else { return (Vec::new(), 0) };
        let facts = part.of(&space.places).map(|(name, place)| facts(name, place));
        (facts.collect(), space.places.len() as u64)
    }

    /// The queues in use, in the order of their names, at most `max`.
    pub(super) fn in_use(&self, max: usize) -> Vec<(Namespace, QueueFacts)> {
        let all = self.all.iter().flat_map(|(namespace, space)| {
            space.places.iter().map(move |(name, place)| (namespace, name, place))
        });
        let used = all.filter(|(_, _, place)| place.is_used).take(max);
        used.map(|(namespace, name, place)| (namespace.clone(), facts(name, place))).collect()
    }

    /// All of them, to be told of anew.
    pub(crate) fn each(&mut self, mut told: impl FnMut(QueueKey, &mut Place)) {
        for (namespace, space) in &mut self.all {
            for (name, place) in &mut space.places {
                told((namespace.clone(), name.clone()), place);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.all.values().map(|space| space.places.len()).sum()
    }
}

/// One that nobody ever asked for goes at once.
fn goes_at(place: &Place) -> Millis {
    place.last_poll_at.map_or(Millis::MIN, |at| at.saturating_add(UNUSED_KEPT_MS))
}

fn facts(name: &QueueName, place: &Place) -> QueueFacts {
    QueueFacts {
        queue: name.clone(),
        ready: place.queue.ready(),
        running: place.running,
        oldest_ready_at: place.queue.oldest(),
        waiting_polls: place.queue.parked() as u64,
        last_poll_at: place.last_poll_at,
    }
}
