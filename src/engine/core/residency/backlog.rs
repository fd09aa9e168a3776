//! What waits for subjects, and which subject has its turn next: what finishes work first, then what stops it, then
//! leases, then looking, then new work.
//! Always holds: the count of what waits is the sum over all queues, since a queue is changed through its [`Backlog`]
//! alone; and nothing starves: each eighth turn goes to whoever waits longest, whatever it wants.

use std::collections::VecDeque;

use domain::ids::Millis;

use crate::engine::core::urgency::Urgency;
use crate::engine::core::waiting::Waiting;

/// Turns by urgency between two turns by age.
const BY_AGE_EVERY: u32 = 8;
/// Waiting commands of a subject that are looked at for the most urgent one: a bound on the work of one look.
const LOOKED_MAX: usize = 64;

/// What waits for one subject, in order.
#[derive(Debug)]
pub(crate) struct SlotQueue(VecDeque<Waiting>);

impl Default for SlotQueue {
    /// One thing at a time waits for most subjects.
    fn default() -> Self {
        Self(VecDeque::with_capacity(1))
    }
}

impl SlotQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// As urgent as the most urgent that waits in it.
    pub(crate) fn urgency(&self) -> Urgency {
        let looked = self.0.iter().take(LOOKED_MAX).map(Waiting::urgency);
        looked.min().unwrap_or(Urgency::Submit)
    }
}

/// What waits over all subjects, and who has something to decide.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Slots by urgency. One may stand here more than once: its first turn does everything.
    runnable: [VecDeque<(u32, Millis)>; Urgency::ALL.len()],
    turns: u32,
    /// Things that wait, in all queues together.
    waiting: usize,
}

impl Backlog {
    /// Things that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn push_back(&mut self, queue: &mut SlotQueue, waiting: Waiting) {
        queue.0.push_back(waiting);
        self.waiting += 1;
    }

    /// What was taken out before comes back to its place.
    pub(crate) fn push_front(&mut self, queue: &mut SlotQueue, waiting: Waiting) {
        queue.0.push_front(waiting);
        self.waiting += 1;
    }

    pub(crate) fn pop_front(&mut self, queue: &mut SlotQueue) -> Option<Waiting> {
        let waiting = queue.0.pop_front()?;
        self.waiting -= 1;
        Some(waiting)
    }

    /// Everything that waits, to be refused.
    pub(crate) fn take_all(&mut self, queue: &mut SlotQueue) -> VecDeque<Waiting> {
        self.waiting -= queue.0.len();
        std::mem::take(&mut queue.0)
    }

    /// A subject has something to decide.
    pub(crate) fn is_runnable(&mut self, ix: u32, urgency: Urgency, now: Millis) {
        self.runnable[urgency as usize].push_back((ix, now));
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<u32> {
        self.turns = self.turns.wrapping_add(1);
        let next = if self.turns.is_multiple_of(BY_AGE_EVERY) {
            let heads = self.runnable.iter_mut().filter(|queue| !queue.is_empty());
            heads.min_by_key(|queue| queue.front().map(|(_, since)| *since))
        } else {
            self.runnable.iter_mut().find(|queue| !queue.is_empty())
        };
        next?.pop_front().map(|(ix, _)| ix)
    }

    pub(crate) fn has_runnable(&self) -> bool {
        !self.runnable.iter().all(VecDeque::is_empty)
    }

    /// Since when the subject waits that waits longest for its turn.
    pub(crate) fn since(&self) -> Option<Millis> {
        self.runnable.iter().filter_map(|queue| queue.front()).map(|(_, since)| *since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(backlog: &mut Backlog) -> Vec<u32> {
        std::iter::from_fn(|| backlog.next()).collect()
    }

    #[test]
    fn what_finishes_work_has_its_turn_before_what_brings_new_work() {
        let mut backlog = Backlog::default();
        for (ix, urgency) in (0..).zip(Urgency::ALL.into_iter().rev()) {
            backlog.is_runnable(ix, urgency, 0);
        }
        assert_eq!(order(&mut backlog), [4, 3, 2, 1, 0]);
        assert!(!backlog.has_runnable() && backlog.since().is_none());
    }

    #[test]
    fn whoever_waits_longest_has_each_eighth_turn() {
        let mut backlog = Backlog::default();
        backlog.is_runnable(100, Urgency::Submit, 0);
        for ix in 0..20 {
            backlog.is_runnable(ix, Urgency::Report, 1);
        }
        assert_eq!(backlog.since(), Some(0));
        let order = order(&mut backlog);
        assert_eq!(order.iter().position(|ix| *ix == 100), Some(7), "{order:?}");
        assert_eq!(order.len(), 21);
    }
}
