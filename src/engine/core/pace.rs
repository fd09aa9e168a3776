//! How slow the store and this engine are at the moment, by what the core sees itself: how long appends take and have
//! taken, how long what is asked waits before it is heard. Averages for refusing, the worst of the last seconds for
//! bearing with workers, who must not pay for it. Everything fades with time, so that what was refused is tried again.
//! Absent: reading clocks; time comes in.

use std::collections::VecDeque;

use domain::ids::Millis;

use crate::engine::core::leases::LeaseTime;

/// An average is worth half after so long without news: a store that nobody writes to any more is tried again soon.
const AVERAGE_HALVES_MS: Millis = 1_000;
/// What waits to be heard is measured all the time: news are at hand, and old ones mislead.
const QUEUE_HALVES_MS: Millis = 100;
/// The worst is remembered longer: heartbeats that were held up come in over seconds.
const WORST_HALVES_MS: Millis = 5_000;
/// What is asked and heard so late was asked of an engine that did not listen.
const STALL_MS: Millis = 1_000;
/// Leases are borne with for so long at most: beyond it a dead worker would hold its work for ever.
const GRACE_MAX_MS: Millis = 30_000;
/// A measure that halves with time.
#[derive(Debug, Default)]
struct Fading {
    value: Millis,
    at: Millis,
}

impl Fading {
    fn now(&self, now: Millis, halves_ms: Millis) -> Millis {
        let passed = now.saturating_sub(self.at).max(0);
        let halvings = passed / halves_ms;
        if halvings >= 40 {
            return 0;
        }
        let value = self.value >> halvings;
        value - (value / 2) * (passed % halves_ms) / halves_ms
    }

    fn set(&mut self, now: Millis, value: Millis) {
        *self = Self { value, at: now };
    }
}

#[derive(Debug)]
pub(crate) struct Pace {
    /// When each append under way was sent; they come back in that order, or nearly.
    appending: VecDeque<Millis>,
    store: Fading,
    queue: Fading,
    worst: Fading,
    /// Since when everything that is asked is heard soon.
    listening_since: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            appending: VecDeque::new(),
            store: Fading::default(),
            queue: Fading::default(),
            worst: Fading::default(),
            listening_since: Millis::MIN,
        }
    }
}

impl Pace {
    pub(crate) fn sent(&mut self, now: Millis) {
        self.appending.push_back(now);
    }

    pub(crate) fn came_back(&mut self, now: Millis) {
        let Some(sent) = self.appending.pop_front() else { return };
        let took = now.saturating_sub(sent).max(0);
        let average = self.store.now(now, AVERAGE_HALVES_MS).midpoint(took);
        self.store.set(now, average);
        self.bear(now, took);
    }

    /// Something was heard so long after it was asked.
    pub(crate) fn record_delay(&mut self, now: Millis, by: Millis) {
        let average = self.queue.now(now, QUEUE_HALVES_MS).midpoint(by);
        self.queue.set(now, average);
        self.bear(now, by);
        self.record_stall(now, by);
    }

    /// The engine came back to itself so much later than it meant to.
    pub(crate) fn record_stall(&mut self, now: Millis, by: Millis) {
        if by >= STALL_MS {
            self.bear(now, by);
            self.listening_since = now;
        }
    }

    fn bear(&mut self, now: Millis, took: Millis) {
        let worst = self.worst.now(now, WORST_HALVES_MS);
        self.worst.set(now, worst.max(took));
    }

    fn oldest_append(&self, now: Millis) -> Millis {
        self.appending.front().map_or(0, |sent| now.saturating_sub(*sent))
    }

    /// How long an append takes now.
    pub(crate) fn store_ms(&self, now: Millis) -> Millis {
        self.store.now(now, AVERAGE_HALVES_MS).max(self.oldest_append(now))
    }

    /// How long what is asked waits to be heard.
    pub(crate) fn queue_ms(&self, now: Millis) -> Millis {
        self.queue.now(now, QUEUE_HALVES_MS)
    }

    /// Until when a lease is good: its own time, a full period from when the engine listens again, and the worst delay
    /// of the last seconds on top.
    pub(crate) fn good_until(&self, lease: &LeaseTime, now: Millis) -> Millis {
        let period = Millis::try_from(lease.lease_ms).unwrap_or(Millis::MAX);
        let worst = self.worst.now(now, WORST_HALVES_MS).max(self.oldest_append(now));
        let until = lease.expires_at.max(self.listening_since.saturating_add(period));
        until.saturating_add(worst.min(GRACE_MAX_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_halves_evenly_and_ends_at_nothing() {
        let mut fading = Fading::default();
        fading.set(1_000, 800);
        let seen: Vec<Millis> =
            [1_000, 1_500, 2_000, 3_000, 100_000].map(|at| fading.now(at, 1_000)).into();
        assert_eq!(seen, [800, 600, 400, 200, 0]);
        assert_eq!(fading.now(0, 1_000), 800, "a clock that is behind changes nothing");
    }

    #[test]
    fn an_append_that_does_not_come_back_counts_while_it_is_away() {
        let mut pace = Pace::default();
        pace.sent(0);
        assert_eq!(pace.store_ms(700), 700);
        pace.came_back(700);
        assert_eq!(pace.store_ms(700), 350);
        assert_eq!(pace.store_ms(2_700), 87, "it fades though nothing is written any more");
    }

    #[test]
    fn a_lease_is_good_for_a_full_period_after_the_engine_stalled() {
        let mut pace = Pace::default();
        let lease =
            LeaseTime { epoch: domain::ids::Epoch::default(), expires_at: 10_000, lease_ms: 5_000 };
        assert_eq!(pace.good_until(&lease, 10_000), 10_000);
        pace.record_delay(9_000, 400);
        assert_eq!(pace.good_until(&lease, 9_000), 10_400, "borne with by what it waited");
        pace.record_delay(60_000, 50_000);
        assert_eq!(pace.good_until(&lease, 60_000), 65_000 + GRACE_MAX_MS);
    }
}
